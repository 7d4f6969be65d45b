"""How storage stands in numbers: targets, segments, their copies, and what is not safe yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from healtharchive.model.condition import lost_segments
from healtharchive.model.copies import ON_DISK, CopyState
from healtharchive.model.local_readings import bad_local, oldest_local_reading
from healtharchive.model.states import TargetState
from healtharchive.model.tables import archive_jobs, copies, segments, targets
from healtharchive.model.target import SPOOL

MOST_LOST = 1000  # counted; whoever lost more knows


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStanding:
    """A target's breaker, when it was last looked at, healthy and mended, and how often in vain."""

    name: str
    kind: str
    parent: str
    state: str
    ship: bool
    verdict: str
    trips: int  # that followed each other soon
    repairs: int  # in a row that did not help
    since: datetime  # of the breaker's state
    probed_at: datetime | None
    last_healthy_at: datetime | None
    last_apply_at: datetime | None

    @property
    def place(self) -> str:
        """The target that the bytes lie on: a hot path's parent, or itself."""
        return self.parent or self.name


@dataclass(frozen=True, slots=True)
class Amount:
    """So many things of one kind, and their bytes."""

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Unshipped:
    """What still waits to be shipped to a target, and since when the oldest of it does."""

    amount: Amount
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStanding:
    """`segments` by state, `copies` by (target, state), the others by target.

    The spool's are the local files; of its `copies` there are only the bad ones.

    `unverified_bytes` are of sealed files of which no target has a good copy; `lost_segments` are
    those that nobody has any more, up to MOST_LOST. `unread_since` is when the copy that nobody has
    read for the longest time was last read.
    """

    targets: Sequence[TargetStanding]
    segments: Mapping[str, Amount]
    unindexed_segments: int
    copies: Mapping[tuple[str, str], Amount]
    unshipped: Mapping[str, Unshipped]
    unverified_bytes: int
    lost_segments: int
    unread_since: Mapping[str, datetime]

    @property
    def open_targets(self) -> frozenset[str]:
        """The targets whose breaker is open."""
        return frozenset(each.name for each in self.targets if each.state == TargetState.OPEN)


def storage_standing(connection: Connection) -> StorageStanding:
    """How storage stands now."""
    unindexed = select(func.count()).select_from(segments).where(segments.c.indexed_at.is_(None))
    size = func.coalesce(func.sum(segments.c.size_bytes), 0)
    unverified = select(size).where(segments.c.state.in_(ON_DISK), ~_verified())
    return StorageStanding(
        targets=_targets(connection),
        segments=_segments(connection),
        unindexed_segments=int(connection.execute(unindexed).scalar_one()),
        copies=_copies(connection),
        unshipped=_unshipped(connection),
        unverified_bytes=int(connection.execute(unverified).scalar_one()),
        lost_segments=len(lost_segments(connection, MOST_LOST)),
        unread_since=_unread_since(connection),
    )


def _targets(connection: Connection) -> list[TargetStanding]:
    columns = targets.c
    query = select(
        columns.name,
        columns.kind,
        func.coalesce(columns.parent, "").label("parent"),
        columns.state,
        columns.ship,
        func.coalesce(columns.verdict, "").label("verdict"),
        columns.trip_streak.label("trips"),
        columns.apply_streak.label("repairs"),
        columns.since,
        columns.probed_at,
        columns.last_healthy_at,
        columns.last_apply_at,
    )
    rows = connection.execute(query.where(columns.declared).order_by(columns.name)).all()
    return [TargetStanding(**row._mapping) for row in rows]


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
    bad = {(SPOOL, found): Amount(*amount) for found, amount in bad_local(connection).items()}
    return bad | {
        (target, state): Amount(count, int(total))
        for target, state, count, total in connection.execute(query)
    }


def _unshipped(connection: Connection) -> dict[str, Unshipped]:
    """Every target that is shipped to, also where nothing waits."""
    there = (
        select(copies.c.id)
        .where(
            copies.c.segment_id == segments.c.id,
            copies.c.target == targets.c.name,
            copies.c.state == CopyState.VERIFIED,
        )
        .correlate(segments, targets)
        .exists()
    )
    local = segments.join(archive_jobs, archive_jobs.c.id == segments.c.job_id)
    query = (
        select(
            targets.c.name,
            func.count(),
            func.coalesce(func.sum(segments.c.size_bytes), 0),
            func.min(segments.c.sealed_at),
        )
        .select_from(targets.join(local, segments.c.state.in_(ON_DISK)))
        .where(targets.c.ship, targets.c.declared, archive_jobs.c.target.is_(None), ~there)
        .group_by(targets.c.name)
    )
    waiting = {
        name: Unshipped(Amount(count, int(size)), since)
        for name, count, size, since in connection.execute(query)
    }
    shipped_to = select(targets.c.name).where(targets.c.ship, targets.c.declared)
    nothing = Unshipped(Amount(0, 0), None)
    return {name: waiting.get(name, nothing) for name in connection.execute(shipped_to).scalars()}


def _verified() -> ColumnElement[bool]:
    """Whether any declared target has a good copy of a segment."""
    return (
        select(copies.c.id)
        .join(targets, targets.c.name == copies.c.target)
        .where(
            copies.c.segment_id == segments.c.id,
            copies.c.state == CopyState.VERIFIED,
            targets.c.declared,
        )
        .correlate(segments)
        .exists()
    )


def _unread_since(connection: Connection) -> dict[str, datetime]:
    query = (
        select(copies.c.target, func.min(copies.c.verified_at))
        .join(targets, targets.c.name == copies.c.target)
        .where(copies.c.state == CopyState.VERIFIED, targets.c.declared)
        .group_by(copies.c.target)
    )
    found = [*connection.execute(query), (SPOOL, oldest_local_reading(connection))]
    return {target: at for target, at in found if at is not None}
