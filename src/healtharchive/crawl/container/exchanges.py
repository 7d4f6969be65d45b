"""What a crawler recorded, read from its WARC files: each response with its request.

A file may still be written: what is not whole yet waits. The bytes of a record stay as they are,
but for records without the block digest that our segments are checked by: they get one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from isal import isal_zlib

from healtharchive.crawl.urls import canonicalize
from healtharchive.warc.claims import BLOCK_FIELD, broken_claims, digest_claims
from healtharchive.warc.digest import label
from healtharchive.warc.members import GZIP_WBITS, INFLATE_ERROR
from healtharchive.warc.payload import HttpHead, http_head, payload_stream
from healtharchive.warc.reader import BadRecord, WarcFile, WarcRecord
from healtharchive.warc.record import member_stream, warc_date

STRETCH_BYTES = 16 << 20
STRETCH_EXCHANGES = 256
CHUNK_BYTES = 1 << 18
ANSWERS = ("response", "revisit")
SHARED_MEMBER = "its gzip member"
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One answer with its request, or a record of another type by itself.

    `url` is canonical, and None when the record belongs to no URL of the frontier. `claimed` is
    the payload digest as the crawler wrote it, `payload_digest` the one we computed (of a revisit
    there is none). `faults` say why its bytes cannot be trusted.
    """

    record: WarcRecord
    request: WarcRecord | None
    compressed: bool
    url: str | None
    status: int | None
    mime: str
    location: str
    claimed: str
    payload_digest: str
    payload_bytes: int
    faults: tuple[str, ...]

    @property
    def captured_at(self) -> str | None:
        """When it was captured, as our captures say it."""
        return warc_date(self.record.date) if self.record.date else None

    def pieces(self, path: Path) -> tuple[bytes, Iterator[bytes]]:
        """The members for our segment: the request's (empty without one), then the record's."""
        request = b""
        if self.request is not None:
            request = b"".join(_members(self.request, path, compressed=self.compressed))
        return request, _members(self.record, path, compressed=self.compressed)


@dataclass(slots=True)
class Stretch:
    """Part of a file: its exchanges, and the byte at which the next stretch begins.

    `damaged` counts records that cannot be read, `lonely` requests without an answer, `torn_bytes`
    what is dropped at the end of a closed file. `packed`: the file does not have one record to a
    gzip member, and has to be unpacked first.
    """

    end: int
    exchanges: list[RecordedExchange] = field(default_factory=list)
    damaged: int = 0
    lonely: int = 0
    torn_bytes: int = 0
    packed: bool = False
    at_end: bool = True
    size: int = 0


def read_stretch(path: Path, start: int, *, closed: bool, quiet: bool) -> Stretch:
    """The exchanges from byte `start` on, up to STRETCH_BYTES of them.

    `closed`: the file grows no more, so what is torn is dropped. `quiet`: it has not grown for
    a while, so an answer at its end has no request that is still to come.
    """
    stretch = Stretch(start)
    held: WarcRecord | None = None
    taken = 0
    with WarcFile(path) as warc:
        for record in warc.records(start):
            if isinstance(record, BadRecord):
                if held is not None:
                    _take(stretch, held, None, warc.compressed)
                    held = None
                if record.torn and not closed:
                    return stretch
                stretch.damaged += not record.torn
                stretch.torn_bytes += record.length if record.torn else 0
                stretch.end = record.offset + record.length
                continue
            if any(each.startswith(SHARED_MEMBER) for each in record.problems):
                stretch.packed = True
                return stretch
            if held is not None and _belong_together(held, record):
                _take(stretch, held, record, warc.compressed)
                held = None
            else:
                if held is not None:
                    _take(stretch, held, None, warc.compressed)
                held = record if record.record_type in (*ANSWERS, "request") else None
                if held is None:
                    _take(stretch, record, None, warc.compressed)
            taken += record.length
            enough = taken >= STRETCH_BYTES or len(stretch.exchanges) >= STRETCH_EXCHANGES
            if enough and held is None:
                stretch.at_end = False
                return stretch
        if held is not None and (closed or quiet):
            _take(stretch, held, None, warc.compressed)
    return stretch


def _take(stretch: Stretch, first: WarcRecord, second: WarcRecord | None, compressed: bool) -> None:
    last = second or first
    stretch.end = last.offset + last.length
    records = [each for each in (first, second) if each is not None]
    request = next((each for each in records if each.record_type == "request"), None)
    main = next((each for each in records if each is not request), None)
    if main is None:
        stretch.lonely += 1
        return
    stretch.exchanges.append(_exchange(main, request, compressed))


def _belong_together(first: WarcRecord, second: WarcRecord) -> bool:
    """An answer and its request, in either order, that name each other or nobody."""
    types = {first.record_type, second.record_type}
    if "request" not in types or not types & set(ANSWERS) or first.target_uri != second.target_uri:
        return False
    named = [first.headers.all("WARC-Concurrent-To"), second.headers.all("WARC-Concurrent-To")]
    named_each_other = second.record_id in named[0] or first.record_id in named[1]
    return named_each_other or not any(named)


def _exchange(record: WarcRecord, request: WarcRecord | None, compressed: bool) -> RecordedExchange:
    head = http_head(record)
    faults = [fault for each in (record, request) if each is not None for fault in _faults(each)]
    digest, size = "", 0
    if record.record_type == "response":
        digest, size = _payload(record)
    return RecordedExchange(
        record=record,
        request=request,
        compressed=compressed,
        url=_url(record, request),
        status=head.status if head else None,
        mime=_mime(record, head),
        location=head.headers.get("Location", "") if head else "",
        claimed=record.headers.get("WARC-Payload-Digest", ""),
        payload_digest=digest,
        payload_bytes=size,
        faults=tuple(faults),
    )


def _faults(record: WarcRecord) -> list[str]:
    claims = [each for each in digest_claims(record) if each.known]
    return broken_claims(record, claims)


def _payload(record: WarcRecord) -> tuple[str, int]:
    """The digest of the body without its chunks, and its length."""
    digest, size = hashlib.sha256(), 0
    for piece in payload_stream(record):
        digest.update(piece)
        size += len(piece)
    return label(digest.hexdigest()), size


def _url(record: WarcRecord, request: WarcRecord | None) -> str | None:
    """The URL that an answer to a GET belongs to."""
    if record.record_type not in ANSWERS or not record.target_uri:
        return None
    asked = http_head(request) if request is not None else None
    if asked is not None and asked.start_line.partition(" ")[0].upper() != "GET":
        return None
    return canonicalize(record.target_uri)


def _mime(record: WarcRecord, head: HttpHead | None) -> str:
    fields = head.headers if head is not None else record.headers
    return fields.get("Content-Type", "").partition(";")[0].strip().lower()


# -- the bytes for our segment ---------------------------------------------------------------


def _members(record: WarcRecord, path: Path, *, compressed: bool) -> Iterator[bytes]:
    """The record's gzip member as it lies in the file, or a new one around the same block."""
    if compressed and not record.problems and _has_our_digest(record):
        return _bytes_of(path, record.offset, record.length)
    return member_stream(_header(record), record.block_stream())


def _has_our_digest(record: WarcRecord) -> bool:
    algorithm, _, value = record.headers.get(BLOCK_FIELD, "").partition(":")
    return algorithm == "sha256" and len(value) == 64 and HEX.issuperset(value)


def _bytes_of(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(offset)
        while length:
            chunk = stream.read(min(CHUNK_BYTES, length))
            if not chunk:
                raise EOFError(f"{path.name} has become shorter while it was read")
            length -= len(chunk)
            yield chunk


def _header(record: WarcRecord) -> bytes:
    """The record's header as it was, with the block's SHA-256 for its block digest."""
    digest = hashlib.sha256()
    for piece in record.block_stream():
        digest.update(piece)
    pairs = [pair for pair in record.headers.pairs if pair[0].lower() != BLOCK_FIELD.lower()]
    pairs.append((BLOCK_FIELD, label(digest.hexdigest())))
    lines = [record.version, *(f"{name}: {value}" for name, value in pairs)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def unpack(path: Path, to: Path) -> None:
    """Write a compressed file out plain, as far as it can be read."""
    with path.open("rb") as packed, to.open("wb") as plain:
        inflater = isal_zlib.decompressobj(GZIP_WBITS)
        while data := packed.read(CHUNK_BYTES):
            while data:
                try:
                    plain.write(inflater.decompress(data))
                except INFLATE_ERROR:
                    return
                data = inflater.unused_data
                if inflater.eof:
                    inflater = isal_zlib.decompressobj(GZIP_WBITS)
