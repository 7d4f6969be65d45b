"""Where records lie that make up one file of a WACZ: a table on the disk instead of a copy of them.

A row for each record, of a fixed length, so that the place of any byte is found without reading
all of it; behind the rows the names of the segments, and how many rows there are.
"""

from __future__ import annotations

import bisect
import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from healtharchive.warc.wacz import Part

ROW = struct.Struct("<QIQ")  # where it ends in the file, the number of its segment, its offset
COUNT = struct.Struct("<Q")
WIDEST_GAP_BYTES = 64 << 10  # read and thrown away: cheaper than another order to a child


class PlacesWriter:
    """Writes the table, one record after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._segments: dict[str, int] = {}
        self._count = 0
        self.size_bytes = 0  # of all records

    def add(self, segment: str, offset: int, length: int) -> None:
        """The next record."""
        self.size_bytes += length
        self._count += 1
        number = self._segments.setdefault(segment, len(self._segments))
        self._stream.write(ROW.pack(self.size_bytes, number, offset))

    def end(self) -> None:
        """Write what stands behind the rows."""
        self._stream.write(json.dumps(list(self._segments)).encode() + COUNT.pack(self._count))


def size_of_all(path: Path) -> int:
    """How many bytes the records of a table come to. OSError or ValueError when it is not whole."""
    with path.open("rb") as stream:
        table = _Table(stream)
        return table.end_of(table.count - 1)


def records_between(path: Path, start: int, stop: int) -> Iterator[Part]:
    """What makes up the bytes from `start` to before `stop`. As `size_of_all`."""
    with path.open("rb") as stream:
        table = _Table(stream)
        number = bisect.bisect_right(range(table.count), start, key=table.end_of)
        while start < stop and number < table.count:
            part = table.record(number)
            end = table.end_of(number)
            base = end - part.length
            yield part.cut(start - base, min(stop, end) - base)
            start, number = end, number + 1


class _Table:
    """A table that is open for reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        size = stream.seek(0, os.SEEK_END)
        (self.count,) = COUNT.unpack(self._at(max(0, size - COUNT.size), COUNT.size))
        names = size - COUNT.size - self.count * ROW.size
        if names < 0:
            raise ValueError("the table is cut short")
        self._segments = json.loads(self._at(self.count * ROW.size, names))

    def end_of(self, number: int) -> int:
        """Where a record ends in the file; 0 before the first one."""
        return self._row(number)[0] if number >= 0 else 0

    def record(self, number: int) -> Part:
        """A whole record."""
        end, segment, offset = self._row(number)
        length = end - self.end_of(number - 1)
        return Part(length, segment=self._segments[segment], offset=offset)

    def _row(self, number: int) -> tuple[int, int, int]:
        end, segment, offset = ROW.unpack(self._at(number * ROW.size, ROW.size))
        return end, segment, offset

    def _at(self, offset: int, length: int) -> bytes:
        self._stream.seek(offset)
        data = self._stream.read(length)
        if len(data) != length:
            raise ValueError("the table is cut short")
        return data


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a segment that are read at once, and which of them are wanted."""

    whole: Part
    parts: tuple[Part, ...]


def spans_of(parts: Iterable[Part], most_bytes: int) -> Iterator[Span]:
    """Records that lie near each other, together; a span of several has at most `most_bytes`."""
    near: list[Part] = []
    for part in parts:
        if near and not _is_near(near, part, most_bytes):
            yield _span(near)
            near = []
        near.append(part)
    if near:
        yield _span(near)


def _is_near(near: list[Part], part: Part, most_bytes: int) -> bool:
    last = near[-1]
    gap = part.offset - last.offset - last.length
    whole = part.offset + part.length - near[0].offset
    return part.segment == last.segment and 0 <= gap <= WIDEST_GAP_BYTES and whole <= most_bytes


def _span(near: list[Part]) -> Span:
    first, last = near[0], near[-1]
    length = last.offset + last.length - first.offset
    return Span(Part(length, segment=first.segment, offset=first.offset), tuple(near))
