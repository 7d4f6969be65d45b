"""The local files of sealed segments: when each was last read again, and what is wrong with it.

A file counts as read at its seal: what was written then is what its digest was made of. Nobody
is late with it before local files are watched at all: archives are older than that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update

from healtharchive.model.copies import ON_DISK, CopyState, verified_on
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.segments import SegmentFile, file_of, segment_files
from healtharchive.model.tables import archive_jobs, copies, events, segments, targets
from healtharchive.model.target import SPOOL

GOOD = "local_good"
WATCH, BEGAN = "fixity", "began"


def is_local() -> ColumnElement[bool]:
    """Whether a segment's file is on the local disk; the question joins the jobs."""
    return and_(segments.c.state.in_(ON_DISK), archive_jobs.c.target.is_(None))


def is_bad() -> ColumnElement[bool]:
    """Whether a segment's local file was missing, or not as it was, when it was last read."""
    return and_(is_local(), segments.c.local_finding.is_not(None))


def _read_at() -> ColumnElement[datetime]:
    return func.coalesce(segments.c.local_read_at, segments.c.sealed_at)


def due_local(
    connection: Connection,
    *,
    now: datetime,
    read_before: datetime,
    bad_before: datetime,
    limit: int,
) -> list[SegmentFile]:
    """Local files that must be read again, the longest unread first.

    A bad one is due sooner, by `bad_before`: a disk that was away may be back. A reading that is
    yet to come was noted while the clock was wrong.
    """
    good, bad = segments.c.local_finding.is_(None), segments.c.local_finding.is_not(None)
    due = or_(
        and_(good, _read_at() <= read_before),
        and_(bad, _read_at() <= bad_before),
        _read_at() > now,
    )
    query = segment_files().where(is_local(), due).order_by(_read_at(), segments.c.id)
    return [file_of(row) for row in connection.execute(query.limit(limit))]


def local_files(connection: Connection, late_before: datetime) -> tuple[int, int]:
    """(all, those last read before then) of the good local files."""
    good = (is_local(), segments.c.local_finding.is_(None))
    there = select(func.count()).select_from(segments.join(archive_jobs)).where(*good)
    late = there.where(_read_at() < late_before)
    return (
        int(connection.execute(there).scalar_one()),
        int(connection.execute(late).scalar_one()),
    )


def oldest_local_reading(connection: Connection) -> datetime | None:
    """When the good local file that was unread the longest was last read, or was first watched.

    None without any, and before the first look at them.
    """
    begun = _watched_since(connection)
    if begun is None:
        return None
    query = (
        select(func.min(_read_at()))
        .select_from(segments.join(archive_jobs))
        .where(is_local(), segments.c.local_finding.is_(None))
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return None if found is None else max(found, begun)


def note_watch(database: Database, connection: Connection, *, actor: Actor) -> None:
    """Write once that local files are read again from now on."""
    if _watched_since(connection) is None:
        record(
            connection,
            at=database.now(connection),
            actor=actor,
            subject=WATCH,
            subject_id=SPOOL,
            what=BEGAN,
            why="from now on local files are read again in time; what is older counts from here",
        )


def _watched_since(connection: Connection) -> datetime | None:
    query = select(func.min(events.c.at)).where(
        events.c.subject == WATCH, events.c.subject_id == SPOOL, events.c.what == BEGAN
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def bad_local(connection: Connection) -> dict[str, tuple[int, int]]:
    """How many local files are bad, and their bytes, by what was found."""
    query = (
        select(
            segments.c.local_finding,
            func.count(),
            func.coalesce(func.sum(segments.c.size_bytes), 0),
        )
        .select_from(segments.join(archive_jobs))
        .where(is_bad())
        .group_by(segments.c.local_finding)
    )
    return {found: (int(count), int(size)) for found, count, size in connection.execute(query)}


def to_replace(connection: Connection, limit: int) -> list[SegmentFile]:
    """Bad local files of which a target has a good copy; `verified_on` says which."""
    elsewhere = exists(
        select(copies.c.id)
        .join(targets, and_(targets.c.name == copies.c.target, targets.c.declared))
        .where(copies.c.segment_id == segments.c.id, copies.c.state == CopyState.VERIFIED)
        .correlate(segments)
    )
    query = segment_files().where(is_bad(), elsewhere).order_by(_read_at(), segments.c.id)
    rows = connection.execute(query.limit(limit)).all()
    return [file_of(row, verified_on(connection, row.id)) for row in rows]


def note_reading(
    database: Database,
    connection: Connection,
    segment: SegmentFile,
    finding: CopyState,
    *,
    actor: Actor,
    why: str,
) -> None:
    """Write what was found (verified, differs or gone); a change is an event of the segment.

    Nothing is written of a file that was released meanwhile.
    """
    known = select(segments.c.local_finding).where(
        segments.c.id == segment.id, segments.c.state.in_(ON_DISK)
    )
    row = connection.execute(known.with_for_update()).one_or_none()
    if row is None:
        return
    now = database.now(connection)
    bad = None if finding is CopyState.VERIFIED else finding
    values: dict[str, Any] = {"local_read_at": now, "local_finding": bad}
    connection.execute(update(segments).where(segments.c.id == segment.id).values(**values))
    if row.local_finding == bad:
        return
    record(
        connection,
        at=now,
        actor=actor,
        subject="segment",
        subject_id=segment.file_name,
        what=f"local_{bad}" if bad else GOOD,
        why=why,
        evidence={"job": segment.job_id, "path": segment.path, "sha256": segment.sha256},
    )
