"""A WACZ of one capture alone: its records, what accompanies them, and where they come from."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from healtharchive import __version__
from healtharchive.model.errors import BadInput
from healtharchive.search.page_order import PageOrder
from healtharchive.search.segment_bytes import Stretch, read_stretch
from healtharchive.search.stored import Stored, find
from healtharchive.warc import wacz
from healtharchive.warc.cdxj import cdxj_lines
from healtharchive.warc.reader import WarcRecord, read_record, read_records
from healtharchive.warc.wacz import Entry, Part
from healtharchive.warc.wacz_package import (
    About,
    Page,
    index_blocks,
    index_head,
    package,
    package_digest,
    page_lines,
)

LARGEST_BYTES = 500_000_000
LONGEST_SPAN_BYTES = 64_000_000  # of what was recorded between two captures
PIECE_BYTES = 1 << 18


def one_page(order: PageOrder) -> Iterator[bytes]:
    """The signed WACZ in pieces. What `read_stretch` and `find` raise passes through.

    MemoryError when it would be larger than LARGEST_BYTES.
    """
    size = order.record.length + (order.original.length if order.original else 0)
    if size > LARGEST_BYTES:
        raise MemoryError
    with tempfile.TemporaryFile() as warc:  # without a name: whoever runs this may be killed
        _write_records(order, warc)
        layout = wacz.lay_out(_entries(order, warc))
        for part in layout.parts:
            if part.derived:
                yield from _pieces(warc)
            else:
                yield part.literal


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _write_records(order: PageOrder, out: BinaryIO) -> None:
    """The capture's request, its companions and itself; then the original of a revisit."""
    record = order.record
    start = max(order.span_start, record.offset - LONGEST_SPAN_BYTES)
    if start != order.span_start:
        start = record.offset  # too much lies between: the record alone
    end = record.offset + record.length
    if order.span_stop <= end + LONGEST_SPAN_BYTES:
        end = max(end, order.span_stop)
    length = end - start
    with tempfile.TemporaryFile() as span:
        stored = Stored(record.path, start, length, record.copies)
        span.writelines(read_stretch(Stretch(stored, order.file_bytes)))
        own = read_record(span, record.offset - start, record.length)
        for each in read_records(span):
            if isinstance(each, WarcRecord) and _belongs(each, own):
                span.seek(each.offset)
                out.write(span.read(each.length))
    if order.original is not None:
        out.writelines(find(order.original).raw())


def _belongs(record: WarcRecord, own: WarcRecord) -> bool:
    if record.offset == own.offset:
        return True
    about = [
        *record.headers.all("WARC-Concurrent-To"),
        *record.headers.all("WARC-Refers-To"),
    ]
    return own.record_id in about or record.record_id in own.headers.all("WARC-Concurrent-To")


def _entries(order: PageOrder, warc: BinaryIO) -> list[Entry]:
    name = f"capture-{order.capture_id}.warc.gz"
    entries = [_archive(name, warc)]
    found = cdxj_lines(Path(name), stream=warc)
    lines = sorted(line.to_text().encode() + b"\n" for line in found)
    if not lines:
        raise BadInput(f"Capture {order.capture_id} has no index line.")
    members = list(index_blocks(lines))
    page = Page(order.url, order.captured_at, order.title)
    small = [
        (wacz.INDEX_NAME, b"".join(member for member, _ in members)),
        (wacz.IDX_NAME, index_head() + b"".join(line for _, line in members)),
        (wacz.PAGES_NAME, b"".join(page_lines("Pages", [page], "pages"))),
    ]
    entries += [wacz.literal_entry(name, data, zlib.crc32(data)) for name, data in small]
    software = f"HealthArchive {__version__}"
    about = About(order.title, "One archived page. Not current advice.", order.made_at, software)
    package_json = package(about, entries, _provenance(order))
    package_hash = f"sha256:{hashlib.sha256(package_json).hexdigest()}"
    signed = _signed(order, package_hash, software)
    digest_json = package_digest(package_json, signed)
    for name, data in ((wacz.PACKAGE_NAME, package_json), (wacz.DIGEST_NAME, digest_json)):
        entries.append(wacz.literal_entry(name, data, zlib.crc32(data)))
    return entries


def _signed(order: PageOrder, package_hash: str, software: str) -> object:
    """The signature; None where the library for it is not installed: the page is whole without."""
    try:
        from healtharchive.warc.wacz_signing import signer
    except ImportError:
        return None
    return signer(Path(order.state_dir)).signed(package_hash, order.made_at, software)


def _archive(name: str, warc: BinaryIO) -> Entry:
    crc32, size, digest = 0, 0, hashlib.sha256()
    for piece in _pieces(warc):
        crc32 = zlib.crc32(piece, crc32)
        digest.update(piece)
        size += len(piece)
    parts = (Part(size, derived=name),)
    return Entry(wacz.ARCHIVE + name, parts, size, crc32, digest.hexdigest())


def _provenance(order: PageOrder) -> dict[str, object]:
    """Where the record lies in the archive: the chain to the sealed file and its manifest."""
    return {
        "mainPageUrl": order.url,
        "mainPageDate": order.captured_at.isoformat(),
        "healtharchive": {
            "capture": order.capture_id,
            "segment": order.segment,
            "segment_sha256": order.segment_sha256,
            "record_offset": order.record.offset,
            "record_length": order.record.length,
        },
    }
