"""The answerer of a page that is replayed: every answer is one of the job's own records.

Nothing is asked of a network. What the job has no record of is answered with 404, and counted.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.crawl.browser.asking import Asking
from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.browser.replayed import Missing
from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.frontier import url_key
from healtharchive.crawl.survey import KeptFrontier, Records
from healtharchive.crawl.transport import FetchFailed
from healtharchive.model.errors import BadInput, HealthArchiveError
from healtharchive.warc.fields import END_OF_FIELDS
from healtharchive.warc.http1 import Malformed, take_head
from healtharchive.warc.payload import Dechunker, HttpHead, payload_stream
from healtharchive.warc.reader import WarcRecord, read_record

MOST_LOADS = 4  # of the page itself, as when it was captured
MOST_MISSING = 200
# Records without a URL that were made shortly before a page's own are looked at for answers to its
# posts and partial requests: so many, and no further back than so many captures.
MOST_ASIDES = 500
ASIDE_REACH = 20_000
STAY = Canned(204)
NOT_RECORDED = Canned(404, "This was not recorded.")
OUT_OF_REACH = Canned(503, "This was recorded, but cannot be read now.")
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
FRAMING = ("content-length", "content-range", "transfer-encoding")
PURPOSES = {".js": "script", ".mjs": "script", ".css": "style"}


@dataclass(frozen=True, slots=True)
class SampledPage:
    """A captured page and its place: its span begins with what it was rendered to."""

    url: str
    capture_id: int
    segment: str
    span_offset: int
    record_offset: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a response lies. `digest` is not empty for a revisit: that of the payload it has not,
    which `original` holds where the job has it."""

    segment: str
    offset: int
    length: int
    digest: str = ""
    original: tuple[str, int, int] | None = None


class Recorded:
    """Answers one page's requests. See `Answerer`.

    `records` is asked in threads, several at once. `missing` fills while the page is rendered: each
    request once, the first ones; `missing_count` counts on.
    `out_of_reach` says which records the job has that cannot be read now, or is empty.
    """

    def __init__(
        self, page: SampledPage, frontier: KeptFrontier, records: Records, directory: Path
    ) -> None:
        self.requests = 0
        self.missing_count = 0
        self.missing: dict[tuple[str, str], Missing] = {}
        self.out_of_reach = ""
        self._page = page
        self._frontier = frontier
        self._records = records
        self._directory = directory
        self._loads = 0
        self._indexing: asyncio.Task[dict[str, Place]] | None = None

    async def answer(self, request: ProxyRequest) -> Exchange | Canned:
        """See `Answerer`."""
        self.requests += 1
        asking = Asking.of(request)
        if asking.navigation and not self._may_go(asking):
            return STAY
        if asking.streams:
            raise FetchFailed("refused", "a stream without an end", permanent=True)
        try:
            found = await self._find(asking)
        except (BadInput, Malformed) as error:
            found = self._miss(request, f"its record cannot be used: {error}")
        except HealthArchiveError as error:
            self.out_of_reach = self.out_of_reach or f"{request.url}: {error.what}"
            return OUT_OF_REACH
        return found

    def _may_go(self, asking: Asking) -> bool:
        """Whether the top frame may go there: as when it was captured, to the page itself only."""
        if not asking.plain or asking.canonical != self._page.url:
            return False
        self._loads += 1
        return self._loads <= MOST_LOADS

    async def _find(self, asking: Asking) -> Exchange | Canned:
        request = asking.request
        place = self._capture(asking.canonical) if asking.plain else None
        if place is not None:
            return await asyncio.to_thread(self._read, place, request.url)
        place = (await self._asides()).get(asking.identity)
        if place is not None:
            return await asyncio.to_thread(self._read, place, request.url)
        if not asking.plain and request.method == "GET":
            place = self._capture(asking.canonical)
        if place is not None:
            whole = await asyncio.to_thread(self._read, place, request.url)
            return await asyncio.to_thread(part_of, whole, request.value("range"), self._directory)
        if not asking.plain:
            return self._miss(request, "no such request was recorded")
        became = self._frontier.became(asking.canonical)
        return self._miss(request, became.detail or became.kind or became.fate)

    def _capture(self, url: str) -> Place | None:
        """The capture of a URL."""
        rows = self._frontier.ask(
            "SELECT captures.kind, segment, record_offset, record_length, payload_digest"
            " FROM captures JOIN urls ON urls.id = url_id WHERE urls.key = ?",
            (url_key(url),),
        )
        if not rows:
            return None
        kind, segment, offset, length, digest = rows[0]
        if kind != "revisit":
            return Place(segment, offset, length)
        originals = self._frontier.ask(
            "SELECT segment, record_offset, record_length FROM captures"
            " WHERE payload_digest = ? AND kind = 'response' LIMIT 1",
            (digest,),
        )
        return Place(segment, offset, length, digest, originals[0] if originals else None)

    def _miss(self, request: ProxyRequest, why: str) -> Canned:
        key = request.method, request.url
        if key not in self.missing:
            self.missing_count += 1
            if len(self.missing) < MOST_MISSING:
                self.missing[key] = Missing(*key, purpose_of(request), why)
        return NOT_RECORDED

    # -- records without a URL: posts, parts ---------------------------------------------------

    async def _asides(self) -> dict[str, Place]:
        """Where the answers to this page's posts and partial requests lie, by their identity."""
        if self._indexing is None:
            rows = self._frontier.ask(
                "SELECT segment, span_offset, record_offset, record_length FROM captures"
                " WHERE id < ? AND id > ? AND url_id IS NULL AND kind = 'response'"
                " ORDER BY id DESC LIMIT ?",
                (self._page.capture_id, self._page.capture_id - ASIDE_REACH, MOST_ASIDES),
            )
            self._indexing = asyncio.create_task(asyncio.to_thread(self._index, rows))
        # Whoever asked may go away; the others still wait for it.
        return await asyncio.shield(self._indexing)

    def _index(self, rows: list[tuple[str, int, int, int]]) -> dict[str, Place]:
        found: dict[str, Place] = {}
        for segment, span_offset, offset, length in rows:
            raw = self._records.at(segment, span_offset, offset - span_offset)
            try:
                identity = _identity(read_record(io.BytesIO(raw), 0, len(raw)))
            except BadInput:
                continue  # damaged: its answer is missing then
            found.setdefault(identity, Place(segment, offset, length))
        return found

    # -- in a thread ---------------------------------------------------------------------------

    def _read(self, place: Place, url: str) -> Exchange:
        """The recorded answer. BadInput when it is damaged, another HealthArchiveError when it
        cannot be had."""
        record = _record(self._records.at(place.segment, place.offset, place.length))
        if not place.digest:
            return exchange_of(record, url, self._directory)
        if place.original is None:
            original = _record(self._records.holding(place.digest))
        else:
            original = _record(self._records.at(*place.original))
        return exchange_of(record, url, self._directory, payload_stream(original))


def purpose_of(request: ProxyRequest) -> str:
    """What a request is for. Chromium says so to https and loopback only; of others it is told by
    what they accept, or by their name."""
    said = request.value("sec-fetch-dest")
    if said:
        return "" if said == "empty" else said
    accepts = request.value("accept").partition(",")[0]
    known = {"text/css": "style", "text/html": "document"}.get(accepts)
    path = request.url.partition("?")[0]
    return known or next((PURPOSES[end] for end in PURPOSES if path.endswith(end)), "")


def exchange_of(
    record: WarcRecord, url: str, directory: Path, payload: Iterable[bytes] | None = None
) -> Exchange:
    """A recorded response as it came over the wire; of a revisit, with the payload of another.

    Malformed when it is no HTTP response. OSError when the disk fails.
    """
    pieces = record.block_stream()
    block = b""
    while not (found := END_OF_FIELDS.search(block)) and (piece := next(pieces, b"")):
        block += piece
    end = found.end() if found else len(block)
    head = take_head(block[:end])
    if head is None:
        raise Malformed("its head has no end")
    if payload is None:
        body = _spooled(_chain(block[end:], pieces), directory)
    else:
        body = _spooled(_chunks(payload) if head.chunked else payload, directory)
    return _exchange(record, url, head, block[:end], body)


def _exchange(
    record: WarcRecord, url: str, head: HttpHead, raw_head: bytes, body: SpooledBody
) -> Exchange:
    return Exchange(
        url=url,
        request=b"",
        response_head=raw_head,
        body=body,
        status=head.status or 0,
        headers=head.headers.pairs,
        chunked=head.chunked,
        entity_digest="",
        entity_bytes=0,
        block_digest="",
        ip="",
        tls="",
        cipher="",
        started_at=record.date or datetime.fromtimestamp(0, UTC),
        elapsed_seconds=0.0,
        truncated=record.headers.get("WARC-Truncated", ""),
    )


def part_of(whole: Exchange, wanted: str, directory: Path) -> Exchange | Canned:
    """The part of a whole answer that a Range field names (RFC 9110 §14.2).

    The whole where there is no part to give: another status than 200, several parts at once.
    """
    asked = RANGE.fullmatch(wanted.strip())
    if asked is None or whole.status != 200 or asked[0] == "bytes=-":
        return whole
    body = whole.body
    if whole.chunked:
        dechunk: Callable[[bytes], bytes] = Dechunker().feed
        body = _spooled((dechunk(piece) for piece in whole.body.chunks()), directory)
        whole.body.close()
    part = _bounds(asked[1], asked[2], body.size_bytes)
    if not part:
        total = body.size_bytes
        body.close()
        return Canned(416, fields=(("Content-Range", f"bytes */{total}"),))
    kept = [each for each in whole.headers if each[0].lower() not in FRAMING]
    kept.append(("Content-Range", f"bytes {part.start}-{part.stop - 1}/{body.size_bytes}"))
    kept.append(("Content-Length", str(len(part))))
    lines = ["HTTP/1.1 206 Partial Content", *(f"{name}: {value}" for name, value in kept)]
    cut = _spooled(_cut(body.chunks(), part), directory)
    body.close()
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return replace(
        whole, response_head=head, body=cut, status=206, headers=tuple(kept), chunked=False
    )


def _bounds(first: str, last: str, total: int) -> range:
    """The bytes that a range names; empty when there are none (RFC 9110 §14.1.2)."""
    if not first:
        return range(max(0, total - int(last)), total)
    return range(int(first), min(int(last) + 1, total) if last else total)


def _cut(pieces: Iterable[bytes], part: range) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        cut = piece[max(0, part.start - at) : max(0, part.stop - at)]
        at += len(piece)
        if cut:
            yield cut


def _chunks(payload: Iterable[bytes]) -> Iterator[bytes]:
    """A payload in chunks (RFC 9112 §7.1): those of a revisit's own answer are not kept."""
    for piece in payload:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _spooled(pieces: Iterable[bytes], directory: Path) -> SpooledBody:
    body = SpooledBody(directory)
    for piece in pieces:
        body.write(piece)
    return body


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _record(raw: bytes) -> WarcRecord:
    return read_record(io.BytesIO(raw), 0, len(raw))


def _identity(record: WarcRecord) -> str:
    """The identity of a recorded request, as `Asking` has it for one that comes in."""
    block = record.block()
    found = END_OF_FIELDS.search(block)
    end = found.end() if found else len(block)
    line, *fields = block[:end].decode("latin-1").splitlines()
    pairs = (each.partition(":") for each in fields if ":" in each)
    request = ProxyRequest(
        method=line.partition(" ")[0],
        url=record.target_uri or "",
        fields=tuple((name.strip(), value.strip()) for name, _, value in pairs),
        body=block[end:],
    )
    return Asking.of(request).identity
