"""The layout of a WACZ: a ZIP file that is computed, not stored.

Every entry is stored as it is (WACZ 1.1.1 §5.2 wants that of WARC files, and ranges need it), so
the place of each byte follows from the entries' sizes and checksums. Nothing here reads a file.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

ARCHIVE = "archive/"
INDEX_NAME = "indexes/index.cdx.gz"
IDX_NAME = "indexes/index.idx"
PAGES_NAME = "pages/pages.jsonl"
MORE_PAGES_NAME = "pages/extraPages.jsonl"
PACKAGE_NAME = "datapackage.json"
DIGEST_NAME = "datapackage-digest.json"

# PKWARE's APPNOTE.TXT 6.3.10; the sections are its.
LOCAL = struct.Struct("<4s5H3I2H")  # 4.3.7
CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
END = struct.Struct("<4s4H2IH")  # 4.3.16
END_64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
LOCATOR_64 = struct.Struct("<4sIQI")  # 4.3.15
EXTRA_64 = 1
WIDE_32 = 0xFFFFFFFF
WIDE_16 = 0xFFFF
VERSION, VERSION_64 = 20, 45
UTF8_NAME = 0x0800
FIRST_DAY = 0x0021  # 1980-01-01, midnight: a moment of our own would make each file another
REGULAR_FILE = 0o100644 << 16
MADE_ON_UNIX = 3 << 8


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes: those of `literal`, or `length` bytes of a file from `offset` on.

    The file is the segment `segment`, or the derived file `derived` beside the layout, or what
    the records come to that the table `places` beside the layout lists (`wacz_places`).
    """

    length: int
    literal: bytes = b""
    segment: str = ""
    derived: str = ""
    offset: int = 0
    places: str = ""

    def cut(self, begin: int, end: int) -> Part:
        """The part's bytes from `begin` to before `end`."""
        literal = self.literal[begin:end]
        offset = self.offset + begin
        return Part(end - begin, literal, self.segment, self.derived, offset, self.places)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the WACZ, with what its parts come to."""

    name: str
    parts: tuple[Part, ...]
    size_bytes: int
    crc32: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Where in the WACZ an entry's bytes begin, and what they must be."""

    name: str
    start: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Layout:
    """All parts of a WACZ in their order. `etag` names these bytes and no others."""

    parts: tuple[Part, ...]
    entries: tuple[Placed, ...]
    etag: str
    _ends: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends, end = [], 0
        for part in self.parts:
            end += part.length
            ends.append(end)
        object.__setattr__(self, "_ends", ends)

    @cached_property
    def size_bytes(self) -> int:
        """Of the whole WACZ."""
        return self._ends[-1] if self._ends else 0

    def between(self, start: int, stop: int) -> Iterator[Part]:
        """What makes up the bytes from `start` to before `stop`."""
        number = bisect.bisect_right(self._ends, start)
        while start < min(stop, self.size_bytes):
            part = self.parts[number]
            base = self._ends[number] - part.length
            end = min(stop, self._ends[number])
            yield part.cut(start - base, end - base)
            start, number = end, number + 1


def lay_out(entries: Sequence[Entry]) -> Layout:
    """The ZIP file of these entries, in this order."""
    parts: list[Part] = []
    placed: list[Placed] = []
    directory: list[bytes] = []
    at = 0
    for entry in entries:
        head = _local_header(entry)
        directory.append(_central_header(entry, at))
        placed.append(Placed(entry.name, at + len(head), entry.size_bytes, entry.sha256))
        parts += [Part(len(head), head), *(part for part in entry.parts if part.length)]
        at += len(head) + entry.size_bytes
    tail = b"".join(directory)
    tail += _ending(len(entries), at, len(tail))
    parts.append(Part(len(tail), tail))
    said = json.dumps([(each.name, each.start, each.sha256) for each in placed])
    return Layout(tuple(parts), tuple(placed), hashlib.sha256(said.encode()).hexdigest())


def _name(entry: Entry) -> tuple[bytes, int]:
    raw = entry.name.encode()
    return raw, 0 if raw.isascii() else UTF8_NAME


def _local_header(entry: Entry) -> bytes:
    name, flags = _name(entry)
    size, extra = entry.size_bytes, b""
    if size >= WIDE_32:
        extra = struct.pack("<2H2Q", EXTRA_64, 16, size, size)
        size = WIDE_32
    version = VERSION_64 if extra else VERSION
    fixed = (version, flags, 0, 0, FIRST_DAY, entry.crc32, size, size, len(name), len(extra))
    return LOCAL.pack(b"PK\3\4", *fixed) + name + extra


def _central_header(entry: Entry, at: int) -> bytes:
    """Its zip64 field holds only what is too wide for the fields before it (4.5.3)."""
    name, flags = _name(entry)
    size, wide = entry.size_bytes, b""
    if size >= WIDE_32:
        wide += struct.pack("<2Q", size, size)
        size = WIDE_32
    if at >= WIDE_32:
        wide += struct.pack("<Q", at)
        at = WIDE_32
    extra = struct.pack("<2H", EXTRA_64, len(wide)) + wide if wide else b""
    version = VERSION_64 if wide else VERSION
    return (
        CENTRAL.pack(
            b"PK\1\2",
            MADE_ON_UNIX | version,
            version,
            flags,
            0,
            0,
            FIRST_DAY,
            entry.crc32,
            size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            REGULAR_FILE,
            at,
        )
        + name
        + extra
    )


def _ending(count: int, at: int, directory_bytes: int) -> bytes:
    """What follows the directory, which lies at `at`."""
    wide = b""
    if count >= WIDE_16 or at >= WIDE_32 or directory_bytes >= WIDE_32:
        fixed = (END_64.size - 12, VERSION_64, VERSION_64, 0, 0)
        wide = END_64.pack(b"PK\6\6", *fixed, count, count, directory_bytes, at)
        wide += LOCATOR_64.pack(b"PK\6\7", 0, at + directory_bytes, 1)
    counted = min(count, WIDE_16)
    sizes = min(directory_bytes, WIDE_32), min(at, WIDE_32)
    return wide + END.pack(b"PK\5\6", 0, 0, counted, counted, *sizes, 0)


def literal_entry(name: str, data: bytes, crc32: int) -> Entry:
    """A file that lies in the layout itself."""
    digest = hashlib.sha256(data).hexdigest()
    return Entry(name, (Part(len(data), data),), len(data), crc32, digest)


def totals(parts: Iterable[Part]) -> int:
    """How many bytes these parts come to."""
    return sum(part.length for part in parts)
