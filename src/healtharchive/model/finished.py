"""Jobs that are long over: what only served their running may go."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs


def jobs_finished(
    connection: Connection, since: datetime, before: datetime
) -> list[tuple[int, str, str | None]]:
    """(number, output directory, target) of each crawl that was indexed in that time."""
    query = (
        select(archive_jobs.c.id, archive_jobs.c.output_dir, archive_jobs.c.target)
        .where(
            archive_jobs.c.status == JobStatus.INDEXED,
            archive_jobs.c.indexed_at >= since,
            archive_jobs.c.indexed_at < before,
        )
        .order_by(archive_jobs.c.indexed_at, archive_jobs.c.id)
    )
    return [(row.id, row.output_dir, row.target) for row in connection.execute(query)]
