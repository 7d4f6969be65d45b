"""Leaving records out of a segment: what is left of it, and where its records are then.

For captures that may not be shown any more. A segment never changes; a WACZ that holds it leaves
those bytes out, and the index moves up.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from healtharchive.warc.wacz import Part


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """`length` bytes of a segment, from `offset` on, that are left out."""

    offset: int
    length: int


@dataclass(frozen=True)
class Holes:
    """The holes of one segment, in order and without overlap. Made by `holes_of`."""

    holes: tuple[Hole, ...]

    def parts(self, segment: str, size_bytes: int) -> tuple[Part, ...]:
        """What is left of the segment."""
        left: list[Part] = []
        at = 0
        for hole in self.holes:
            if hole.offset > at:
                left.append(Part(hole.offset - at, segment=segment, offset=at))
            at = hole.offset + hole.length
        if size_bytes > at:
            left.append(Part(size_bytes - at, segment=segment, offset=at))
        return tuple(left)

    def moved(self, offset: int) -> int | None:
        """Where a record that lay at `offset` lies now; None when it was left out."""
        before = bisect.bisect_right(self.holes, Hole(offset, 1 << 62))
        if before and offset < self.holes[before - 1].offset + self.holes[before - 1].length:
            return None
        return offset - sum(hole.length for hole in self.holes[:before])

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The segment's CDXJ lines without those left out, and with the others' new offsets."""
        if not self.holes:
            yield from lines
            return
        for line in lines:
            key, _, text = line.partition(b" {")
            facts = json.loads(b"{" + text)
            offset = self.moved(int(facts["offset"]))
            if offset is not None:
                facts["offset"] = str(offset)
                yield key + b" " + json.dumps(facts).encode() + b"\n"


def holes_of(spans: Sequence[tuple[int, int]]) -> Holes:
    """The holes that (offset, length) spans make, in whatever order they come."""
    merged: list[Hole] = []
    for offset, length in sorted(spans):
        if merged and offset <= merged[-1].offset + merged[-1].length:
            last = merged.pop()
            end = max(offset + length, last.offset + last.length)
            merged.append(Hole(last.offset, end - last.offset))
        else:
            merged.append(Hole(offset, length))
    return Holes(tuple(merged))
