"""How jobs got on over time, from the samples that were taken of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.tables_operation import progress_samples


@dataclass(frozen=True, slots=True)
class Moment:
    """How far some jobs were together when the last sample of them was taken."""

    at: datetime
    urls_done: int
    urls_failed: int
    urls_queued: int
    bytes_written: int


def course_of(connection: Connection, job_ids: Sequence[int], steps: int) -> list[Moment]:
    """How far the jobs were, at moments spread evenly over all their samples; empty without any.

    A crawl of weeks has very many samples: of each job one is asked for at each moment, the last
    one before it.
    """
    columns = progress_samples.c
    mine = columns.job_id.in_(job_ids)
    first, last = connection.execute(
        select(func.min(columns.at), func.max(columns.at)).where(mine)
    ).one()
    if first is None:
        return []
    moments = [first + (last - first) * step / steps for step in range(steps)] + [last]
    course = {each.at: each for each in (_together(connection, job_ids, at) for at in moments)}
    return list(course.values())


def _together(connection: Connection, job_ids: Sequence[int], at: datetime) -> Moment:
    done = failed = queued = written = 0
    taken: list[datetime] = []
    columns = progress_samples.c
    query = select(
        columns.at,
        columns.urls_done,
        columns.urls_failed,
        columns.urls_queued,
        columns.bytes_written,
    )
    for job_id in job_ids:
        latest = query.where(columns.job_id == job_id, columns.at <= at)
        row = connection.execute(latest.order_by(columns.at.desc()).limit(1)).one_or_none()
        if row is None:
            continue
        taken.append(row.at)
        done += row.urls_done
        failed += row.urls_failed
        queued += row.urls_queued
        written += row.bytes_written
    return Moment(max(taken), done, failed, queued, written)
