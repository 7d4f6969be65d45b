"""Under which systemd unit, or other name, the attempts that run now were started."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from healtharchive.model.tables import archive_jobs, attempts


def units_of(connection: Connection, job_ids: Iterable[int]) -> dict[int, str]:
    """The unit of each of these jobs' running attempt; jobs that nobody runs are left out."""
    query = (
        select(attempts.c.job_id, attempts.c.unit)
        .join(archive_jobs, archive_jobs.c.id == attempts.c.job_id)
        .where(
            attempts.c.job_id.in_(list(job_ids)),
            attempts.c.fence == archive_jobs.c.fence,
            attempts.c.ended_at.is_(None),
            attempts.c.unit.is_not(None),
        )
    )
    return {row.job_id: row.unit for row in connection.execute(query)}
