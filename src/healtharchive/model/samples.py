"""A few of a job's pages that stand for all of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.tables import archive_jobs, captures, segments, snapshots


def sample_of_job(connection: Connection, job_id: int, size: int) -> list[str]:
    """Index keys (SEGMENT:OFFSET) of up to `size` of a job's pages, spread evenly over it.

    All of them when there are no more. A job may have a million: they are counted, not fetched.
    """
    number, of_job = snapshots.c.id, snapshots.c.job_id == job_id
    count, first, last = connection.execute(
        select(func.count(), func.min(number), func.max(number)).where(of_job)
    ).one()
    query = (
        select(segments.c.name, captures.c.record_offset)
        .join(captures, captures.c.segment_id == segments.c.id)
        .join(snapshots, snapshots.c.capture_id == captures.c.id)
    )
    if count <= size:
        query = query.where(of_job)
    else:
        following = select(number).where(of_job).order_by(number).limit(1)
        steps = (first + (last - first + 1) * step // size for step in range(size))
        chosen = {connection.execute(following.where(number >= at)).scalar() for at in steps}
        query = query.where(number.in_(chosen))
    return sorted(f"{name}:{offset}" for name, offset in connection.execute(query))


def state_of_job(connection: Connection, job_id: int) -> tuple[datetime | None, int]:
    """What is another one once the job's pages are: when it was indexed, how far compared."""
    query = select(archive_jobs.c.indexed_at, archive_jobs.c.compared_upto)
    indexed_at, upto = connection.execute(query.where(archive_jobs.c.id == job_id)).one()
    return indexed_at, upto
