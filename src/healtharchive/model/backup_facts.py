"""What a database holds, so that its copy can be compared with it: counts and a sample of rows.

Asked of the tables that are there, not of those this program knows: a backup may be older than it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text

REVISIONS = "alembic_version"
SAMPLED_ROWS = 12  # of each table, from its first to its last number


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The schema's revision, the rows of each table, and digests of some rows by their numbers."""

    revision: str
    counts: Mapping[str, int]
    samples: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts.values())


def facts_of(connection: Connection, without: Collection[str] = ()) -> DatabaseFacts:
    """What the database holds now; what its copy does, if the rows of these tables stay out."""
    tables = _tables(connection)
    copied = {name: table for name, table in tables.items() if name not in without}
    counts = {name: _count(connection, table) for name, table in copied.items()}
    counts |= {name: 0 for name in tables if name in without}
    samples = {
        name: _sample(connection, table) for name, table in copied.items() if "id" in table.c
    }
    return DatabaseFacts(_revision(connection), counts, samples)


def differences(connection: Connection, expected: DatabaseFacts) -> list[str]:
    """In what a database differs from these facts, one phrase each; empty when in nothing."""
    found = facts_of(connection)
    lines = []
    if found.revision != expected.revision:
        lines.append(f"its schema is {found.revision or 'none'}, not {expected.revision}")
    for name, count in expected.counts.items():
        if found.counts.get(name) != count:
            lines.append(f"{name} has {found.counts.get(name, 'no')} rows, not {count}")
    for name, rows in expected.samples.items():
        there = found.samples.get(name, {})
        wrong = sorted((each for each in rows if there.get(each) != rows[each]), key=int)
        if wrong:
            lines.append(f"{name}: row {wrong[0]} is not what it was")
    return lines


def size_bytes(connection: Connection) -> int:
    """How large the database is on disk."""
    if connection.dialect.name == "sqlite":
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())
    query = text("SELECT pg_database_size(current_database())")
    return int(connection.execute(query).scalar_one())


def _tables(connection: Connection) -> dict[str, Table]:
    # Reflected anew each time; column types are the database's own, the same in every copy.
    held = MetaData()
    names = sorted(inspect(connection).get_table_names())
    return {name: Table(name, held, autoload_with=connection) for name in names}


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(REVISIONS):
        return ""
    found = connection.execute(text(f"SELECT version_num FROM {REVISIONS}")).scalar()
    return str(found or "")


def _sample(connection: Connection, table: Table) -> dict[str, str]:
    """Digests of rows that lie evenly between the first number and the last."""
    number = table.c.id
    first, last = connection.execute(select(func.min(number), func.max(number))).one()
    if first is None:
        return {}
    span = last - first
    wanted = {first + span * step // (SAMPLED_ROWS - 1) for step in range(SAMPLED_ROWS)}
    found = {}
    for least in sorted(wanted):
        query = select(table).where(number >= least).order_by(number).limit(1)
        row = connection.execute(query).one()
        found[str(row.id)] = _digest(dict(row._mapping))
    return found


def _digest(row: Mapping[str, Any]) -> str:
    plain = json.dumps(row, sort_keys=True, default=_plain)
    return hashlib.sha256(plain.encode()).hexdigest()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
