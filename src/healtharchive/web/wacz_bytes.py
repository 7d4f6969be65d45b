"""The bytes of a WACZ from anywhere to anywhere: for an answer, and for a file written by export.

No segment is opened here: a child reads a few megabytes at a time, and is free again before they
are passed on, so that a slow reader holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.database import Database
from healtharchive.model.holdings import copies_of, segment_place
from healtharchive.search.collection_prepare import Prepared
from healtharchive.search.stored import Stored
from healtharchive.warc.wacz import Part
from healtharchive.web.preparing import BeingPrepared, BeingRepaired
from healtharchive.web.reading import Readers, ReadOrder, StorageUnavailable

ORDER_BYTES = 4 << 20
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
            else:
                yield part.literal

    def _of_segment(self, part: Part) -> Iterator[bytes]:
        for begin in range(0, part.length, ORDER_BYTES):
            yield self._read(part.cut(begin, min(begin + ORDER_BYTES, part.length)))

    def _read(self, part: Part) -> bytes:
        # Asked anew for each order: in the hours of a long download a segment may be released.
        with self.database.read() as connection:
            path, size_bytes, _ = segment_place(connection, part.segment)
            copies = copies_of(connection, part.segment)
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
