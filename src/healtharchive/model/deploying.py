"""What a deployment must know of the database, also while it has an older schema."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text

from healtharchive.model.database import Database
from healtharchive.model.states import HELD
from healtharchive.model.tables import archive_jobs, attempts, sources


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job that somebody works on now, and since when."""

    job_id: int
    source: str
    work: str  # crawl or index
    worker: str
    started_at: datetime


def held_jobs(connection: Connection) -> list[HeldJob]:
    """The jobs that a stop of the workers interrupts, the longest running first."""
    query = (
        select(
            archive_jobs.c.id,
            sources.c.code,
            attempts.c.work,
            attempts.c.worker,
            attempts.c.started_at,
        )
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .join(attempts, attempts.c.job_id == archive_jobs.c.id)
        .where(
            archive_jobs.c.status.in_(HELD),
            attempts.c.fence == archive_jobs.c.fence,
            attempts.c.ended_at.is_(None),
        )
        .order_by(attempts.c.started_at)
    )
    return [HeldJob(*row) for row in connection.execute(query)]


def database_bytes(database: Database, connection: Connection) -> int:
    """How large the database is."""
    if database.is_sqlite:
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        query = "SELECT pg_database_size(current_database())"
    return int(connection.execute(text(query)).scalar_one())


def server_version(database: Database, connection: Connection) -> str:
    """The version of the database's program: SQLite's library, PostgreSQL's server."""
    query = "SELECT sqlite_version()" if database.is_sqlite else "SHOW server_version"
    return str(connection.execute(text(query)).scalar_one())
