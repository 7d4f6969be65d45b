"""The pictures of rendered pages: which captures have one, and where its record lies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from healtharchive.model.database import Database
from healtharchive.model.tables import pictures


class PictureKind(StrEnum):
    """A small picture of the first screen, or one of the whole page."""

    THUMBNAIL = "thumbnail"
    SCREENSHOT = "screenshot"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: `record_length` bytes from `record_offset` on, in its capture's segment."""

    kind: PictureKind
    record_offset: int
    record_length: int


def store_pictures(
    database: Database, connection: Connection, found: Iterable[tuple[int, Picture]]
) -> None:
    """Add pictures with the ids of their captures; those that are there already stay."""
    rows = [
        {
            "capture_id": capture_id,
            "kind": picture.kind,
            "record_offset": picture.record_offset,
            "record_length": picture.record_length,
        }
        for capture_id, picture in found
    ]
    if rows:
        connection.execute(database.insert_ignore(pictures), rows)


def pictures_of(connection: Connection, capture_id: int) -> dict[PictureKind, Picture]:
    """A capture's pictures by their kind; empty when it was not rendered."""
    query = select(pictures.c.kind, pictures.c.record_offset, pictures.c.record_length).where(
        pictures.c.capture_id == capture_id
    )
    found = [Picture(PictureKind(row[0]), row[1], row[2]) for row in connection.execute(query)]
    return {each.kind: each for each in found}


def with_thumbnail(connection: Connection, capture_ids: Collection[int]) -> frozenset[int]:
    """Which of these few captures have a thumbnail."""
    query = select(pictures.c.capture_id).where(
        pictures.c.capture_id.in_(capture_ids), pictures.c.kind == PictureKind.THUMBNAIL
    )
    return frozenset(connection.execute(query).scalars())
