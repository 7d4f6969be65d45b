"""A collection as a WACZ: what it has now, and the layout that was prepared for just that.

What is prepared lies in `wacz_dir/KIND-NAME/STATE/`: `layout.json`, and the derived files that it
names. STATE is a digest of what the collection has; when segments come, it is another directory.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from healtharchive.model.collection import (
    CollectionKind,
    CollectionName,
    CollectionSegment,
    collection_segments,
    describe,
    hidden_elsewhere,
    spans_left_out,
)
from healtharchive.model.errors import NotFound
from healtharchive.warc.wacz import Layout, Part, Placed
from healtharchive.warc.wacz_holes import Holes, holes_of
from healtharchive.warc.wacz_places import size_of_all

LAYOUT_NAME = "layout.json"
FORM = 3  # raise it when the same collection is to become another WACZ
STATE_CHARS = 32
LONGEST_NAME = 100
NO_HOLES = holes_of(())


@dataclass(frozen=True)
class Collection:
    """What a collection has now. `left_out` are the suppressed records of its segments, by name.

    `elsewhere` are those that it might have had as originals: their segments and offsets.
    """

    name: CollectionName
    title: str
    segments: tuple[CollectionSegment, ...]
    left_out: Mapping[str, Holes] = field(default_factory=dict)
    elsewhere: tuple[tuple[str, int], ...] = ()

    @property
    def state(self) -> str:
        """A name for all that its WACZ depends on."""
        facts = {
            "form": FORM,
            "of": str(self.name),
            "title": self.title,
            "segments": [
                (each.name, each.sha256, each.indexed_at.isoformat()) for each in self.segments
            ],
            "left_out": sorted((name, repr(holes)) for name, holes in self.left_out.items()),
            "elsewhere": self.elsewhere,
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:STATE_CHARS]

    @property
    def created(self) -> datetime:
        """When the newest of its WARC files was sealed."""
        sealed = [each.sealed_at for each in self.segments if each.sealed_at is not None]
        return max(sealed, default=datetime(1980, 1, 1, tzinfo=UTC))

    def holes(self, segment: str) -> Holes:
        """What is left out of a segment."""
        return self.left_out.get(segment, NO_HOLES)


def look(connection: Connection, name: CollectionName) -> Collection:
    """The collection as it is now. NotFound when there is none, or nothing of it is indexed yet."""
    segments = collection_segments(connection, name)
    if not segments:
        raise NotFound(
            f"Nothing of {name} is captured and indexed yet.",
            "`healtharchive status` shows what is under way.",
        )
    spans = spans_left_out(connection, name)
    left_out = {segment: holes_of(found) for segment, found in spans.items()}
    elsewhere = hidden_elsewhere(connection, name)
    return Collection(name, describe(connection, name), tuple(segments), left_out, elsewhere)


def directory_of(wacz_dir: Path, name: CollectionName) -> Path:
    """Where what is prepared for a collection lies."""
    safe = quote(name.name, safe="")
    if len(safe) > LONGEST_NAME:
        safe = hashlib.sha256(safe.encode()).hexdigest()
    return wacz_dir / f"{name.kind}-{safe}"


def filename_of(name: CollectionName) -> str:
    """What its WACZ is called where somebody saves it."""
    word = name.name if name.kind is not CollectionKind.JOB else f"job-{name.name}"
    return f"{word.replace('/', '-')}.wacz"


def load_layout(directory: Path) -> Layout | None:
    """The layout in the directory of a state; None when not all of it is there."""
    try:
        facts = json.loads((directory / LAYOUT_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    parts = tuple(_part(*each) for each in facts["parts"])
    placed = tuple(Placed(*each) for each in facts["entries"])
    layout = Layout(parts, placed, facts["etag"])
    return layout if is_whole(directory, layout) else None


def is_whole(directory: Path, layout: Layout) -> bool:
    """Whether all files of a prepared state are there: anybody may remove any of them."""
    try:
        (directory / LAYOUT_NAME).stat()
        return all(
            _size(directory, part) == part.offset + part.length
            for part in layout.parts
            if part.derived or part.places
        )
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _size(directory: Path, part: Part) -> int:
    if part.places:
        return size_of_all(directory / part.places)
    return (directory / part.derived).stat().st_size


def layout_json(layout: Layout) -> bytes:
    """What `load_layout` reads."""
    parts: list[Any] = []
    for part in layout.parts:
        if part.segment:
            parts.append(("segment", part.length, part.segment, part.offset))
        elif part.derived:
            parts.append(("derived", part.length, part.derived, part.offset))
        elif part.places:
            parts.append(("places", part.length, part.places, part.offset))
        else:
            parts.append(("literal", part.length, base64.b64encode(part.literal).decode(), 0))
    placed = [(each.name, each.start, each.size_bytes, each.sha256) for each in layout.entries]
    return json.dumps({"etag": layout.etag, "parts": parts, "entries": placed}).encode()


def _part(kind: str, length: int, what: str, offset: int) -> Part:
    if kind == "segment":
        return Part(length, segment=what, offset=offset)
    if kind == "derived":
        return Part(length, derived=what, offset=offset)
    if kind == "places":
        return Part(length, places=what, offset=offset)
    return Part(length, base64.b64decode(what))
