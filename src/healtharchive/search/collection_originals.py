"""What revisits of a collection refer to and another job has: where those records lie, as one file.

They are read once, for the checksums and the index of that file, and not kept: a WACZ takes their
bytes from the segments of the other jobs, as it takes its own.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection

from healtharchive.model.collection import Original
from healtharchive.model.errors import BadInput
from healtharchive.model.holdings import copies_of
from healtharchive.search.stored import Stored, find
from healtharchive.warc import wacz
from healtharchive.warc.cdxj import cdxj_lines
from healtharchive.warc.wacz import Entry, Part
from healtharchive.warc.wacz_places import PlacesWriter

WARC_NAME = "originals.warc.gz"
PLACES_NAME = "originals.places"
MEMORY_BYTES = 16 << 20  # a longer record lies on the disk while it is read
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Originals:
    """The file in the WACZ, and its index lines in their order."""

    entry: Entry
    lines: list[bytes]


def place_originals(
    connection: Connection,
    found: Iterable[Original],
    places: BinaryIO,
    watch: Callable[[int], None],
) -> Originals | None:
    """The file that these records make up, whose table goes to `places`; None when there is none.

    A record that is lost is left out: its revisits stay orphans. OutOfReach when one cannot be
    read now; OSError when the disk fails.
    """
    writer = PlacesWriter(places)
    crc32, digest = 0, hashlib.sha256()
    lines: list[bytes] = []
    for each in found:
        stored = Stored(each.path, each.offset, each.length, copies_of(connection, each.segment))
        with cast(BinaryIO, tempfile.SpooledTemporaryFile(MEMORY_BYTES)) as copy:
            try:
                for piece in find(stored).raw():
                    copy.write(piece)
                    watch(len(piece))
            except (FileNotFoundError, BadInput):
                continue
            copy.seek(0)
            while piece := copy.read(PIECE_BYTES):
                crc32 = zlib.crc32(piece, crc32)
                digest.update(piece)
            for line in cdxj_lines(Path(WARC_NAME), stream=copy):
                moved = replace(line, offset=writer.size_bytes)
                lines.append(moved.to_text().encode() + b"\n")
        writer.add(each.segment, each.offset, each.length)
    writer.end()
    size = writer.size_bytes
    if not size:
        return None
    parts = (Part(size, places=PLACES_NAME),)
    name = wacz.ARCHIVE + WARC_NAME
    return Originals(Entry(name, parts, size, crc32, digest.hexdigest()), sorted(lines))
