"""The integrity reconciler: copies are read back and re-hashed in time, and bad ones replaced.

The spool is one of its targets: what lies there are the local files (`fixity_local`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from healtharchive.model.copies import (
    CopyState,
    due_for_check,
    never_read,
    note_copy,
    to_restore,
)
from healtharchive.model.local_readings import note_reading, to_replace
from healtharchive.model.losses import note_loss
from healtharchive.model.reading_load import copies_on
from healtharchive.model.segments import SegmentFile, change_segment
from healtharchive.model.shipments import (
    CheckOrder,
    Expected,
    FetchOrder,
    ShipReport,
    TargetOrder,
    Wanted,
)
from healtharchive.model.states import SegmentEvent, SegmentState, TargetState
from healtharchive.model.target import SPOOL, TargetKind
from healtharchive.model.targets import get_target, list_targets, targets_of_jobs
from healtharchive.steward.courier import carry
from healtharchive.steward.fixity_local import LocalFixity
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.reading_pace import Meter, Pace, pace

RESTORED = 4  # files brought back in one order
SAMPLED = 0.5  # a new copy is read again after this part of the time it has
FINDINGS = {"differs": CopyState.DIFFERS, "gone": CopyState.GONE}


@dataclass(slots=True)
class Fixity:
    """One `turn` a target: read what is due there; restore what only others have."""

    means: StewardMeans
    _telling: threading.Lock = field(default_factory=threading.Lock)
    _meters: dict[str, Meter] = field(default_factory=dict)
    _local: LocalFixity = field(init=False)

    def __post_init__(self) -> None:
        self._local = LocalFixity(self.means)

    def targets(self) -> list[str]:
        """What holds sealed segments: they are shipped there, or jobs write them there."""
        with self.means.database.read() as connection:
            found = [each for each in list_targets(connection) if each.kind is not TargetKind.BIND]
            used = targets_of_jobs(connection)
            used.add(SPOOL)
        return [each.name for each in found if each.ship or each.name in used]

    def plan(self, name: str) -> list[SegmentFile]:
        """The copies on a target that are due to be read again, the longest unread first."""
        if name == SPOOL:
            return self._local.plan()
        database, settings = self.means.database, self.means.settings
        with database.read() as connection:
            if get_target(connection, name).state is not TargetState.CLOSED:
                return []
            now = database.now(connection)
            found = self._pace(connection, name, now)
            limit, lead = found.batch, timedelta(seconds=found.lead_seconds)
            due = due_for_check(
                connection,
                name,
                checked_before=now - timedelta(days=settings.fixity_days) + lead,
                new_before=now - timedelta(seconds=settings.fixity_new_seconds * SAMPLED),
                proven_before=now - timedelta(seconds=settings.release_proof_seconds)
                if settings.copies_before_release
                else None,
                limit=limit,
            )
            return due or never_read(connection, name, limit)

    def turn(self, name: str) -> int:
        """How many bad copies were found."""
        if name == SPOOL:
            return self._local.turn()
        began = self.means.clock.monotonic()
        due = self.plan(name)
        bad = self.check(name, due) if due else 0
        if due:
            seconds = self.means.clock.monotonic() - began
            self._meter(name).took(seconds, len(due), self.means.settings.ship_every_seconds)
        self.restore(name)
        return bad

    def check(self, name: str, due: list[SegmentFile]) -> int:
        """Read these copies and write what was found; how many are bad."""
        expected = tuple(Expected(each.name, each.size_bytes, each.sha256) for each in due)
        by_name = {each.name: each for each in due}
        bad = 0
        for report in self._carry(name, CheckOrder(expected)):
            segment = by_name.get(report.name)
            if report.kind == "checked" and segment is not None:
                bad += report.finding != "good"
                self._note(segment, name, report)
        return bad

    def restore(self, name: str) -> int:
        """Bring back files that this target has and another one lacks; how many."""
        database = self.means.database
        with database.read() as connection:
            wanting = to_restore(connection, RESTORED)
            bad = to_replace(connection, RESTORED)
            states = {each.name: each.state for each in list_targets(connection)}
        for segment in wanting:
            if not segment.verified_on:
                self._tell_loss(segment)
        if states.get(SPOOL) is TargetState.OPEN:
            return 0  # what is brought back needs room, which crawls need first
        here = [each for each in (*wanting, *bad) if _giver(each, states) == name]
        wanted = tuple(_wanted(each) for each in here)
        by_name = {each.name: each for each in here}
        restored = 0
        for report in self._carry(name, FetchOrder(wanted)) if wanted else ():
            if report.kind != "fetched" or report.name not in by_name:
                continue
            restored += 1
            self._note_restored(by_name[report.name], name)
        return restored

    def _note_restored(self, segment: SegmentFile, giver: str) -> None:
        database, actor = self.means.database, self.means.actor
        with database.begin() as connection:
            if segment.state is SegmentState.RELEASED:
                why = f"brought back from {giver}: another target has no good copy"
                event = SegmentEvent.RESTORE
                change_segment(database, connection, segment, event, actor=actor, why=why)
            why = f"the local file is now the good copy of {giver}"
            good = CopyState.VERIFIED
            note_reading(database, connection, segment, good, actor=actor, why=why)

    def _meter(self, name: str) -> Meter:
        return self._meters.setdefault(name, Meter())

    def _pace(self, connection: Connection, name: str, now: datetime) -> Pace:
        window = timedelta(days=self.means.settings.fixity_days)
        meter, monotonic = self._meter(name), self.means.clock.monotonic()
        if meter.is_old(monotonic):
            meter.count(*copies_on(connection, name, now - window), monotonic)
        return pace(meter.load, window.total_seconds())

    def _carry(self, name: str, work: CheckOrder | FetchOrder) -> list[ShipReport]:
        with self.means.database.read() as connection:
            target = get_target(connection, name)
        order = TargetOrder(target.definition, work, target.identity or "")
        stall = self.means.settings.ship_stall_seconds
        return list(carry(order, self.means.stop, stall_seconds=stall))

    def _note(self, segment: SegmentFile, target: str, report: ShipReport) -> None:
        state = FINDINGS.get(report.finding, CopyState.VERIFIED)
        why = "" if state is CopyState.VERIFIED else f"{segment.name} on {target}: {report.reason}"
        with self.means.database.begin() as connection:
            note_copy(
                self.means.database,
                connection,
                segment,
                target,
                state,
                actor=self.means.actor,
                why=why,
            )

    def _tell_loss(self, segment: SegmentFile) -> None:
        """Once for each loss, whichever target's turn or steward finds it."""
        with self._telling, self.means.database.begin() as connection:
            note_loss(self.means.database, connection, segment, actor=self.means.actor)


def _wanted(segment: SegmentFile) -> Wanted:
    """The file as it is to be had again.

    Where a local file should be and is gone, its directory must be there: else the disk may be
    away, and what is fetched would fill another one.
    """
    released = segment.state is SegmentState.RELEASED
    size, digest = segment.size_bytes, segment.sha256
    return Wanted(segment.name, size, digest, segment.path, make_directory=released)


def _giver(segment: SegmentFile, states: Mapping[str, TargetState]) -> str:
    """The first healthy target that has a good copy; empty when none has."""
    healthy = [name for name in segment.verified_on if states.get(name) is TargetState.CLOSED]
    return healthy[0] if healthy else ""
