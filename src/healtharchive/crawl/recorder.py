"""From an exchange to its WARC records: request, then response or revisit (WARC 1.1 §6)."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from healtharchive.crawl.batch import Capture
from healtharchive.crawl.enrichment import nothing_attached
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.transport import Exchange
from healtharchive.warc.companions import ASIDE_FIELD
from healtharchive.warc.digest import label, sha256_hex
from healtharchive.warc.record import (
    ENTITY_DIGEST_FIELD,
    REVISIT_PROFILE,
    Fields,
    header,
    member,
    member_stream,
    new_record_id,
    warc_date,
)

# Above this a response is compressed piece by piece instead of in one go.
WHOLE_RECORD_BYTES = 1_000_000
# Payloads of exchanges that no commit has confirmed yet are remembered here; the rest is asked
# of the frontier.
REMEMBERED_PAYLOADS = 20_000

Original = tuple[str, str, str | None]  # target URI, WARC-Date, record id


class Recorder:
    """Makes the records of exchanges, and knows which payloads were recorded before.

    `payload_index` is the SQLite file of the source's earlier editions, if there is one.
    """

    def __init__(self, frontier: Frontier, payload_index: Path | None) -> None:
        self._frontier = frontier
        self._recent: dict[str, Original] = {}
        self._editions: sqlite3.Connection | None = None
        if payload_index is not None and payload_index.exists():
            uri = f"{payload_index.absolute().as_uri()}?mode=ro"
            self._editions = sqlite3.connect(uri, uri=True, isolation_level=None)

    def close(self) -> None:
        """Let go of the earlier editions' file."""
        if self._editions is not None:
            self._editions.close()

    def records(
        self,
        url_id: int | None,
        exchange: Exchange,
        attached: Callable[[str], tuple[bytes, ...]] = nothing_attached,
    ) -> tuple[Iterable[bytes], Capture]:
        """The gzip members of an exchange, and its capture with offsets relative to the span.

        What is `attached` to the response's record id comes first in the span: whoever reads the
        file from the beginning has it at hand when the response comes.

        Without a `url_id` the answer stands aside: it is recorded in full, says so, and no later
        record refers to it. It only accompanies a page, and is not what its URL was captured by.
        """
        response_id = new_record_id()
        beside = attached(response_id)
        request = _request_record(exchange, response_id)
        original = self._original(exchange) if url_id is not None else None
        if original is not None:
            kind = "revisit"
            second: Iterable[bytes] = (_revisit_record(exchange, response_id, original),)
        else:
            kind = "response"
            aside = [(ASIDE_FIELD, "it accompanies a page")] if url_id is None else []
            second = _response_record(exchange, response_id, aside)
            if url_id is not None:
                second = itertools.chain(second, self._remembering(exchange, response_id))
        capture = Capture(
            kind=kind,
            span_offset=0,
            span_length=0,
            records=2 + len(beside),
            record_offset=sum(map(len, beside)) + len(request),
            record_length=0,
            url_id=url_id,
            record_id=response_id,
            status=exchange.status,
            mime=mime_of(exchange),
            payload_digest=label(exchange.entity_digest),
            payload_bytes=exchange.entity_bytes,
            captured_at=warc_date(exchange.started_at),
            truncated=exchange.truncated or None,
        )
        return itertools.chain(beside, (request,), second), capture

    def _original(self, exchange: Exchange) -> Original | None:
        if not exchange.entity_bytes or exchange.truncated:
            return None
        digest = label(exchange.entity_digest)
        return (
            self._recent.get(digest)
            or self._frontier.payload(digest)
            or self._of_an_earlier_edition(digest)
        )

    def _of_an_earlier_edition(self, digest: str) -> Original | None:
        if self._editions is None:
            return None
        query = "SELECT url, captured_at, record_id FROM payloads WHERE digest = ?"
        with closing(self._editions.execute(query, (digest,))) as rows:
            row = rows.fetchone()
        return (row[0], row[1], row[2]) if row else None

    def _remembering(self, exchange: Exchange, record_id: str) -> Iterator[bytes]:
        """Nothing to write: the payload is remembered when all before it has been written.

        An append that is cancelled or fails before leaves no revisit to a record that is not there.
        """
        self._remember(exchange, record_id)
        yield from ()

    def _remember(self, exchange: Exchange, record_id: str) -> None:
        if not exchange.entity_bytes or exchange.truncated:
            return
        if len(self._recent) >= REMEMBERED_PAYLOADS:
            self._recent.pop(next(iter(self._recent)))
        self._recent[label(exchange.entity_digest)] = (
            exchange.url,
            warc_date(exchange.started_at),
            record_id,
        )


def mime_of(exchange: Exchange) -> str:
    """The media type of the Content-Type field, lower-case, without parameters."""
    return header_value(exchange, "content-type").partition(";")[0].strip().lower()


def is_html_page(exchange: Exchange) -> bool:
    """Whether it is a whole page that a browser shows."""
    return exchange.status == 200 and not exchange.truncated and "html" in mime_of(exchange)


def header_value(exchange: Exchange, name: str) -> str:
    """The first value of a response header, or empty."""
    for each, value in exchange.headers:
        if each.lower() == name:
            return value
    return ""


def _shared_fields(exchange: Exchange, record_id: str) -> Fields:
    fields: Fields = [
        ("WARC-Record-ID", record_id),
        ("WARC-Date", warc_date(exchange.started_at)),
        ("WARC-Target-URI", exchange.url),
        ("WARC-IP-Address", exchange.ip),
        ("WARC-Protocol", "http/1.1"),
    ]
    if exchange.tls:
        fields.append(("WARC-Protocol", exchange.tls.lower().replace("tlsv", "tls/")))
        fields.append(("WARC-Cipher-Suite", exchange.cipher))
    return fields


def _request_record(exchange: Exchange, response_id: str) -> bytes:
    fields = [
        *_shared_fields(exchange, new_record_id()),
        ("WARC-Concurrent-To", response_id),
        ("WARC-Block-Digest", label(sha256_hex(exchange.request))),
        ("Content-Type", "application/http;msgtype=request"),
    ]
    return member(header("request", fields, len(exchange.request)), exchange.request)


def _response_record(exchange: Exchange, record_id: str, more: Fields) -> Iterable[bytes]:
    digest_field = ENTITY_DIGEST_FIELD if exchange.chunked else "WARC-Payload-Digest"
    fields = [
        *_shared_fields(exchange, record_id),
        ("WARC-Block-Digest", label(exchange.block_digest)),
        (digest_field, label(exchange.entity_digest)),
        ("Content-Type", "application/http;msgtype=response"),
        *more,
    ]
    if exchange.truncated:
        fields.append(("WARC-Truncated", exchange.truncated))
    length = len(exchange.response_head) + exchange.body.size_bytes
    head = header("response", fields, length)
    if length <= WHOLE_RECORD_BYTES:
        return (member(head, exchange.response_head + exchange.body.read()),)
    return member_stream(head, itertools.chain((exchange.response_head,), exchange.body.chunks()))


def _revisit_record(exchange: Exchange, record_id: str, original: Original) -> bytes:
    uri, date, original_id = original
    fields = [
        *_shared_fields(exchange, record_id),
        ("WARC-Profile", REVISIT_PROFILE),
        ("WARC-Refers-To-Target-URI", uri),
        ("WARC-Refers-To-Date", date),
        ("WARC-Block-Digest", label(sha256_hex(exchange.response_head))),
        ("WARC-Payload-Digest", label(exchange.entity_digest)),
        ("Content-Type", "application/http;msgtype=response"),
    ]
    if original_id:
        fields.append(("WARC-Refers-To", original_id))
    block = exchange.response_head
    return member(header("revisit", fields, len(block)), block)
