"""Sources as the database knows them: the definition each one had when it was last loaded."""

from __future__ import annotations

from sqlalchemy import Connection, Row, insert, select, update

from healtharchive.model import wire
from healtharchive.model.database import Database
from healtharchive.model.errors import NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.source import SourceDefinition
from healtharchive.model.tables import sources


def upsert_source(
    database: Database, connection: Connection, definition: SourceDefinition, *, actor: Actor
) -> int:
    """Store a definition and return the source's id; an event when it is new or has changed."""
    plain = wire.to_plain(definition)
    row = connection.execute(select(sources).where(sources.c.code == definition.code)).one_or_none()
    if row is not None and row.definition == plain:
        return int(row.id)
    now = database.now(connection)
    values = {"name": definition.name, "definition": plain, "updated_at": now}
    if row is None:
        result = connection.execute(
            insert(sources).values(code=definition.code, created_at=now, enabled=True, **values)
        )
        assert result.inserted_primary_key is not None
        source_id = int(result.inserted_primary_key[0])
    else:
        source_id = int(row.id)
        connection.execute(update(sources).where(sources.c.id == source_id).values(**values))
    record(
        connection,
        at=now,
        actor=actor,
        subject="source",
        subject_id=definition.code,
        what="added" if row is None else "changed",
        why="its definition was loaded",
    )
    return source_id


def get_source(connection: Connection, code: str) -> SourceDefinition:
    """A source's definition; NotFound when no source has this code."""
    return _definition(_row(connection, code))


def source_id(connection: Connection, code: str) -> int:
    """A source's id; NotFound when no source has this code."""
    return int(_row(connection, code).id)


def list_sources(connection: Connection) -> list[SourceDefinition]:
    """Every enabled source, in the order campaigns take them."""
    rows = connection.execute(select(sources).where(sources.c.enabled.is_(True)))
    return sorted((_definition(row) for row in rows), key=lambda each: (each.order, each.code))


def _row(connection: Connection, code: str) -> Row[tuple[object, ...]]:
    row = connection.execute(select(sources).where(sources.c.code == code)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no source '{code}'.", "`healtharchive source list` shows those there are."
        )
    return row


def _definition(row: Row[tuple[object, ...]]) -> SourceDefinition:
    return wire.from_plain(SourceDefinition, row.definition)
