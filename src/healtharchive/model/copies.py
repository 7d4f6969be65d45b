"""Copies of segments on the targets that sealed segments are shipped to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select, update

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.segments import SegmentFile, change_segment, file_of, segment_files
from healtharchive.model.states import SegmentEvent, SegmentState
from healtharchive.model.tables import archive_jobs, copies, segments, targets

ON_DISK = (SegmentState.SEALED, SegmentState.SHIPPED, SegmentState.VERIFIED)


class CopyState(StrEnum):
    """What is known of a segment's copy on a target."""

    VERIFIED = "verified"  # read back whole, and right
    DIFFERS = "differs"  # it was right and is not any more
    GONE = "gone"
    FAILED = "failed"  # it never got there


@dataclass(frozen=True, slots=True)
class CopyTally:
    """How a target stands: copies by state, and what still waits to be shipped there."""

    verified: int = 0
    bad: int = 0
    waiting: int = 0
    waiting_bytes: int = 0


# -- questions -----------------------------------------------------------------------------


def due_for(connection: Connection, target: str, now: datetime, limit: int) -> list[SegmentFile]:
    """Segments on the local disk without a verified copy on the target, the oldest first."""
    query = segment_files().where(_lacks(target), _may_try(target, now))
    return [file_of(row) for row in connection.execute(_oldest_first(query).limit(limit))]


def releasable(
    connection: Connection,
    fresh_since: datetime,
    copies_wanted: int,
    limit: int,
    segment_id: int | None = None,
) -> list[SegmentFile]:
    """Indexed segments whose local file is not needed: enough copies were right not long ago.

    Every target that is shipped to must have such a one, whatever `copies_wanted` says. With
    `segment_id` only that one is asked about.
    """
    right = and_(copies.c.segment_id == segments.c.id, copies.c.state == CopyState.VERIFIED)
    fresh = (
        select(func.count())
        .select_from(copies.join(targets, targets.c.name == copies.c.target))
        .where(right, copies.c.verified_at >= fresh_since, targets.c.declared)
        .scalar_subquery()
    )
    query = segment_files().where(
        segments.c.state == SegmentState.VERIFIED,
        segments.c.indexed_at.is_not(None),
        archive_jobs.c.target.is_(None),  # else its path is the target's: nothing is local
        fresh >= max(1, copies_wanted),
        ~_lacks_anywhere(copies.c.verified_at >= fresh_since),
    )
    if segment_id is not None:
        query = query.where(segments.c.id == segment_id)
    return [file_of(row) for row in connection.execute(_oldest_first(query).limit(limit))]


def due_for_check(
    connection: Connection,
    target: str,
    *,
    checked_before: datetime,
    new_before: datetime,
    proven_before: datetime | None,
    limit: int,
) -> list[SegmentFile]:
    """Copies that must be read again: not since `checked_before`, or never since they came.

    And those not read since `proven_before` whose local file waits for a fresh proof: a segment
    may be shipped long before its job is indexed. None: no local file is ever released.
    """
    never_again = and_(
        copies.c.first_verified_at == copies.c.verified_at, copies.c.verified_at <= new_before
    )
    due = [copies.c.verified_at <= checked_before, never_again]
    if proven_before is not None:
        waits = and_(segments.c.state == SegmentState.VERIFIED, segments.c.indexed_at.is_not(None))
        due.append(and_(waits, copies.c.verified_at < proven_before))
    query = (
        segment_files()
        .join(copies, copies.c.segment_id == segments.c.id)
        .where(
            copies.c.target == target,
            copies.c.state == CopyState.VERIFIED,
            or_(*due),
        )
        .order_by(copies.c.verified_at, segments.c.id)
    )
    return [file_of(row) for row in connection.execute(query.limit(limit))]


def never_read(connection: Connection, target: str, limit: int) -> list[SegmentFile]:
    """Segments that were written straight to the target and never read back from it."""
    query = segment_files().where(
        archive_jobs.c.target == target,
        segments.c.state.in_(ON_DISK),
        ~exists(
            select(copies.c.id).where(
                copies.c.segment_id == segments.c.id, copies.c.target == target
            )
        ),
    )
    return [file_of(row) for row in connection.execute(_oldest_first(query).limit(limit))]


def to_restore(connection: Connection, limit: int) -> list[SegmentFile]:
    """Segments without a local file whose copy is missing on a target that should have one.

    `verified_on` says where a good copy is; it is empty when there is none left.
    """
    query = segment_files().where(segments.c.state == SegmentState.RELEASED, _lacks_anywhere())
    rows = connection.execute(_oldest_first(query).limit(limit)).all()
    return [file_of(row, verified_on(connection, row.id)) for row in rows]


def verified_on(connection: Connection, segment_id: int) -> tuple[str, ...]:
    """The declared targets that have a verified copy of a segment."""
    query = (
        select(copies.c.target)
        .join(targets, targets.c.name == copies.c.target)
        .where(
            copies.c.segment_id == segment_id,
            copies.c.state == CopyState.VERIFIED,
            targets.c.declared,
        )
    )
    return tuple(connection.execute(query.order_by(copies.c.id)).scalars())


def tally(connection: Connection, target: str) -> CopyTally:
    """How a target that is shipped to stands."""
    rows = connection.execute(
        select(copies.c.state, func.count().label("number"))
        .where(copies.c.target == target)
        .group_by(copies.c.state)
    ).all()
    by_state: dict[str, int] = {row.state: row.number for row in rows}
    waiting = select(func.count(), func.coalesce(func.sum(segments.c.size_bytes), 0))
    waiting = waiting.select_from(segments.join(archive_jobs)).where(_lacks(target))
    number, size = connection.execute(waiting).one()
    right = by_state.get(CopyState.VERIFIED, 0)
    bad = by_state.get(CopyState.DIFFERS, 0) + by_state.get(CopyState.GONE, 0)
    return CopyTally(right, bad, int(number), int(size))


# -- changes -------------------------------------------------------------------------------


def note_copy(
    database: Database,
    connection: Connection,
    segment: SegmentFile,
    target: str,
    state: CopyState,
    *,
    actor: Actor,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    not_before: datetime | None = None,
) -> None:
    """Write what is known of a copy now; a change is an event of the segment."""
    now = database.now(connection)
    added = connection.execute(
        database.insert_ignore(copies).values(
            segment_id=segment.id,
            target=target,
            name=segment.name,
            state=CopyState.FAILED,
            failures=0,
        )
    )
    row = connection.execute(
        select(copies)
        .where(copies.c.segment_id == segment.id, copies.c.target == target)
        .with_for_update()
    ).one()
    right = state is CopyState.VERIFIED
    values: dict[str, Any] = {
        "state": state,
        "not_before": not_before,
        "last_error": None if right else why,
        "failures": 0 if right else row.failures + 1,
    }
    if right:
        values["verified_at"] = now
        again = row.state == CopyState.VERIFIED
        values["first_verified_at"] = row.first_verified_at if again else now
    connection.execute(update(copies).where(copies.c.id == row.id).values(**values))
    if right and row.state == CopyState.VERIFIED:
        return  # it is as it was: no news
    if state is CopyState.FAILED and row.last_error == why:
        return
    record(
        connection,
        at=now,
        actor=actor,
        subject="segment",
        subject_id=segment.file_name,
        what=f"copy_{state}",
        from_state=None if added.rowcount == 1 else row.state,
        to_state=state,
        why=why or f"read back from {target} whole and right",
        evidence={"target": target, "job": segment.job_id, **(evidence or {})},
    )
    if right:
        _advance(database, connection, segment, actor)


def _advance(
    database: Database, connection: Connection, segment: SegmentFile, actor: Actor
) -> None:
    """A segment with one good copy is shipped; with one on every target it is verified."""
    state = connection.execute(
        select(segments.c.state).where(segments.c.id == segment.id)
    ).scalar_one()
    if state == SegmentState.SEALED:
        why = "a copy of it is on a target"
        change_segment(database, connection, segment, SegmentEvent.SHIP, actor=actor, why=why)
        state = SegmentState.SHIPPED
    wanted = connection.execute(
        select(func.count()).select_from(targets).where(targets.c.ship, targets.c.declared)
    ).scalar_one()
    if state == SegmentState.SHIPPED and len(verified_on(connection, segment.id)) >= wanted:
        why = "every target has a copy that was read back whole and right"
        change_segment(database, connection, segment, SegmentEvent.VERIFY, actor=actor, why=why)


# -- parts of questions --------------------------------------------------------------------


def _oldest_first(query: Any) -> Any:
    return query.order_by(segments.c.sealed_at, segments.c.id)


def _lacks(target: str) -> Any:
    """Whether a segment is on the local disk and has no verified copy on the target."""
    return and_(
        segments.c.state.in_(ON_DISK),
        archive_jobs.c.target.is_(None),
        ~exists(
            select(copies.c.id).where(
                copies.c.segment_id == segments.c.id,
                copies.c.target == target,
                copies.c.state == CopyState.VERIFIED,
            )
        ),
    )


def _lacks_anywhere(*also: Any) -> Any:
    """Whether a target that is shipped to has no verified copy of a segment, or none of `also`."""
    copy = select(copies.c.id).where(
        copies.c.segment_id == segments.c.id,
        copies.c.target == targets.c.name,
        copies.c.state == CopyState.VERIFIED,
        *also,
    )
    # Said aloud: by itself SQLAlchemy ties a question to the one around it only, and this one
    # would ask whether the target has a copy of any segment at all.
    missing = ~exists(copy.correlate(segments, targets))
    return exists(select(targets.c.id).where(targets.c.ship, targets.c.declared, missing))


def _may_try(target: str, now: datetime) -> Any:
    return ~exists(
        select(copies.c.id).where(
            copies.c.segment_id == segments.c.id,
            copies.c.target == target,
            copies.c.not_before > now,
        )
    )
