"""The bytes of a WACZ from anywhere to anywhere: for an answer, and for a file written by export.

No segment is opened here: a child reads a few megabytes at a time, and is free again before they
are passed on, so that a slow reader holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.database import Database
from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import copies_of, segment_place
from healtharchive.search.collection_prepare import Prepared
from healtharchive.search.stored import Stored
from healtharchive.warc.wacz import Part
from healtharchive.warc.wacz_places import records_between, spans_of
from healtharchive.web.preparing import BeingPrepared, BeingRepaired
from healtharchive.web.reading import Readers, ReadOrder, StorageUnavailable

ORDER_BYTES = 4 << 20
FIRST_ORDER_BYTES = 1 << 18  # the first byte comes soon, and who hangs up early holds no child long
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of prepared WACZ files come from."""

    database: Database
    readers: Readers

    def pieces(self, prepared: Prepared, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, at most ORDER_BYTES in memory at a time.

        BeingRepaired when a segment cannot be read; BeingPrepared when a derived file has been
        removed: it is made anew; OSError when the disk fails.
        """
        for part in prepared.layout.between(start, stop):
            if part.segment:
                yield from self._of_segment(part)
            elif part.derived:
                yield from _of_file(prepared.directory / part.derived, part)
            elif part.places:
                yield from self._of_records(prepared.directory / part.places, part)
            else:
                yield part.literal

    def _of_segment(self, part: Part) -> Iterator[bytes]:
        begin, order_bytes = 0, FIRST_ORDER_BYTES
        while begin < part.length:
            end = min(begin + order_bytes, part.length)
            yield self._read(part.cut(begin, end))
            begin, order_bytes = end, min(2 * order_bytes, ORDER_BYTES)

    def _of_records(self, places: Path, part: Part) -> Iterator[bytes]:
        for span in spans_of(_records(places, part), ORDER_BYTES):
            if span.whole.length > ORDER_BYTES:  # one long record
                yield from self._of_segment(span.whole)
                continue
            data = self._read(span.whole)
            for each in span.parts:
                start = each.offset - span.whole.offset
                yield data[start : start + each.length]

    def _read(self, part: Part) -> bytes:
        # Asked anew for each order: in the hours of a long download a segment may be released.
        try:
            with self.database.read() as connection:
                path, size_bytes, _ = segment_place(connection, part.segment)
                copies = copies_of(connection, part.segment)
        except NotFound as error:  # another job's, which may go without this collection
            raise BeingRepaired(error.what) from error
        stored = Stored(path, part.offset, part.length, copies)
        try:
            reading = self.readers.read(ReadOrder("range", stored, file_bytes=size_bytes))
            data = b"".join(reading.body)
        except StorageUnavailable as error:
            raise BeingRepaired(f"{part.segment}: {error.what}") from error
        if reading.answer.refused:
            raise BeingRepaired(f"{part.segment}: {reading.answer.reason or 'it is not there'}")
        if len(data) != part.length:
            raise BeingRepaired(f"{part.segment}: {len(data)} bytes came instead of {part.length}")
        return data


def _records(places: Path, part: Part) -> Iterator[Part]:
    try:
        yield from records_between(places, part.offset, part.offset + part.length)
    except (FileNotFoundError, ValueError):
        raise _gone(places) from None


def _of_file(path: Path, part: Part) -> Iterator[bytes]:
    left = part.length
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise _gone(path) from None
    with stream:
        stream.seek(part.offset)
        while left:
            piece = stream.read(min(left, PIECE_BYTES))
            if not piece:
                raise _gone(path)
            left -= len(piece)
            yield piece


def _gone(path: Path) -> BeingPrepared:
    what = f"{path.name}, a prepared part of the WACZ, has been removed or cut short."
    return BeingPrepared(what, "Ask again: it is made anew.")
