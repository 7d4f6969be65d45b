"""What a running attempt reports of itself: its job's counts and the segments it sealed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, legible, record
from healtharchive.model.leases import check_fence, lease_lost
from healtharchive.model.orders import Counts, SealedSegment, Wait
from healtharchive.model.tables import archive_jobs, segments


def count_columns(counts: Counts) -> dict[str, Any]:
    """The columns of a job's row that hold these counts."""
    return {
        "urls_queued": counts.queued,
        "urls_in_flight": counts.in_flight,
        "urls_done": counts.done,
        "urls_failed": counts.failed,
        "urls_excluded": counts.excluded,
        "captures_written": counts.captures,
        "revisits_written": counts.revisits,
        "bytes_written": counts.bytes_written,
    }


def settled_urls(counts: Counts) -> int:
    """How many URLs a crawl is through with: this number rising is progress."""
    return counts.done + counts.failed + counts.excluded


def note_counts(
    database: Database, connection: Connection, job_id: int, fence: int, counts: Counts
) -> None:
    """Write an attempt's counts to its job; LeaseLost when the token is no longer the job's."""
    jobs = archive_jobs.c
    check_fence(connection, job_id, fence)
    row = connection.execute(
        select(jobs.urls_done, jobs.urls_failed, jobs.urls_excluded).where(jobs.id == job_id)
    ).one()
    columns = count_columns(counts)
    if settled_urls(counts) > sum(row):
        columns["progress_at"] = database.now(connection)
    changed = connection.execute(
        update(archive_jobs).where(jobs.id == job_id, jobs.fence == fence).values(**columns)
    )
    if changed.rowcount != 1:
        raise lease_lost(job_id, fence)


def note_wait(
    database: Database, connection: Connection, job_id: int, fence: int, wait: Wait | None
) -> None:
    """Write for whom and until when an attempt waits politely; with None, that it does not now.

    The columns are those of a job that is parked; what is left of them after the wait is when it
    was over. LeaseLost when the token is no longer the job's.
    """
    check_fence(connection, job_id, fence)
    jobs = archive_jobs.c
    row = connection.execute(select(jobs.not_before).where(jobs.id == job_id)).one()
    if wait is not None:
        until: datetime | None = datetime.fromisoformat(wait.until)
    else:
        known = row.not_before is not None
        until = min(row.not_before, database.now(connection)) if known else None
    reason = None if wait is None else legible(f"waits politely for {wait.host}: {wait.reason}")
    connection.execute(
        update(archive_jobs)
        .where(jobs.id == job_id, jobs.fence == fence)
        .values(not_before=until, parked_reason=reason)
    )


def note_segments(
    database: Database,
    connection: Connection,
    job_id: int,
    fence: int,
    sealed: Iterable[SealedSegment],
    *,
    actor: Actor,
) -> int:
    """Add the segments that are not known yet, each with its event; how many those were.

    LeaseLost when the token is no longer the job's. Saying the same again changes nothing, so a
    report that may have been lost can be repeated.
    """
    check_fence(connection, job_id, fence)
    added = 0
    for segment in sealed:
        result = connection.execute(
            database.insert_ignore(segments).values(
                job_id=job_id,
                name=segment.name,
                state=segment.state,
                path=segment.path,
                fence=segment.fence,
                size_bytes=segment.size_bytes,
                sha256=segment.sha256,
                records=segment.records,
                sealed_at=datetime.fromisoformat(segment.sealed_at),
                unreadable_records=0,
            )
        )
        if result.rowcount == 1:
            added += 1
            _record_segment(database, connection, job_id, segment, actor)
    return added


def _record_segment(
    database: Database, connection: Connection, job_id: int, segment: SealedSegment, actor: Actor
) -> None:
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="segment",
        subject_id=segment.name,
        what=segment.state,
        to_state=segment.state,
        why=f"job {job_id} wrote it",
        evidence={
            "job": job_id,
            "fence": segment.fence,
            "records": segment.records,
            "size_bytes": segment.size_bytes,
            "sha256": segment.sha256,
        },
    )
