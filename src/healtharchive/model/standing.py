"""How the archive stands in numbers, for those who watch it; captures are not counted anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, copies, segments, sources, targets


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker has now; the counts are those its crawl reported last."""

    id: int
    source: str
    urls_queued: int
    urls_done: int
    urls_failed: int
    bytes_written: int
    progress_at: datetime | None


@dataclass(frozen=True, slots=True)
class TargetStanding:
    """A target's breaker, and when it was last looked at, healthy, and mended."""

    name: str
    state: str
    probed_at: datetime | None
    last_healthy_at: datetime | None
    last_apply_at: datetime | None


@dataclass(frozen=True, slots=True)
class Amount:
    """So many things of one kind, and their bytes."""

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All of it. `jobs` by (source, status), `parked` by target, `captures` as the jobs count."""

    jobs: dict[tuple[str, str], int]
    parked: dict[str, int]
    running: tuple[RunningJob, ...]
    captures: int
    segments: dict[str, Amount]
    unindexed_segments: int
    copies: dict[tuple[str, str], Amount]
    targets: tuple[TargetStanding, ...]


def standing(connection: Connection) -> Standing:
    """How the archive stands now."""
    unindexed = select(func.count()).select_from(segments).where(segments.c.indexed_at.is_(None))
    captured = select(func.coalesce(func.sum(archive_jobs.c.captures_written), 0))
    return Standing(
        jobs=_jobs(connection),
        parked=_parked(connection),
        running=_running(connection),
        captures=int(connection.execute(captured).scalar_one()),
        segments=_segments(connection),
        unindexed_segments=int(connection.execute(unindexed).scalar_one()),
        copies=_copies(connection),
        targets=_targets(connection),
    )


def _jobs(connection: Connection) -> dict[tuple[str, str], int]:
    query = (
        select(sources.c.code, archive_jobs.c.status, func.count())
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .group_by(sources.c.code, archive_jobs.c.status)
    )
    return {(source, status): count for source, status, count in connection.execute(query)}


def _parked(connection: Connection) -> dict[str, int]:
    """Parked jobs by the target they wait for; those that wait for something else under `none`."""
    target = func.coalesce(archive_jobs.c.parked_target, "none")
    query = (
        select(target, func.count())
        .where(archive_jobs.c.status == JobStatus.PARKED)
        .group_by(target)
    )
    return {str(name): int(count) for name, count in connection.execute(query)}


def _running(connection: Connection) -> tuple[RunningJob, ...]:
    columns = archive_jobs.c
    query = (
        select(
            columns.id,
            sources.c.code,
            columns.urls_queued,
            columns.urls_done,
            columns.urls_failed,
            columns.bytes_written,
            columns.progress_at,
        )
        .join(sources, sources.c.id == columns.source_id)
        .where(columns.status == JobStatus.RUNNING)
        .order_by(columns.id)
    )
    return tuple(RunningJob(*row) for row in connection.execute(query))


def _segments(connection: Connection) -> dict[str, Amount]:
    size = func.coalesce(func.sum(segments.c.size_bytes), 0)
    query = select(segments.c.state, func.count(), size).group_by(segments.c.state)
    return {state: Amount(count, int(total)) for state, count, total in connection.execute(query)}


def _copies(connection: Connection) -> dict[tuple[str, str], Amount]:
    size = func.coalesce(func.sum(segments.c.size_bytes), 0)
    query = (
        select(copies.c.target, copies.c.state, func.count(), size)
        .join(segments, segments.c.id == copies.c.segment_id)
        .group_by(copies.c.target, copies.c.state)
    )
    return {
        (target, state): Amount(count, int(total))
        for target, state, count, total in connection.execute(query)
    }


def _targets(connection: Connection) -> tuple[TargetStanding, ...]:
    query = select(
        targets.c.name,
        targets.c.state,
        targets.c.probed_at,
        targets.c.last_healthy_at,
        targets.c.last_apply_at,
    ).where(targets.c.declared)
    return tuple(TargetStanding(*row) for row in connection.execute(query.order_by(targets.c.name)))
