"""Fixity of the spool: the local files of sealed segments are read again, targets or none.

What is bad is told and, where a target has a good copy, replaced by it. Nothing is ever deleted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from healtharchive.model.copies import CopyState, releasable, verified_on
from healtharchive.model.local_readings import due_local, local_files, note_reading, note_watch
from healtharchive.model.losses import note_loss
from healtharchive.model.segments import SegmentFile
from healtharchive.model.shipments import CheckOrder, Expected, ShipReport, TargetOrder
from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL, Verdict
from healtharchive.model.targets import Target, get_target
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.reading_pace import Meter, pace

BAD_AGAIN_SECONDS = 3600.0  # until a bad one is read once more
FINDINGS = {"good": CopyState.VERIFIED, "differs": CopyState.DIFFERS, "gone": CopyState.GONE}


@dataclass(slots=True)
class LocalFixity:
    """Reads what is due on the local disk, the longest unread first."""

    means: StewardMeans
    _meter: Meter = field(default_factory=Meter)
    _begun: bool = False

    def plan(self) -> list[SegmentFile]:
        """The local files that are due to be read again; none while the disk cannot be used."""
        database = self.means.database
        window = timedelta(days=self.means.settings.fixity_days)
        with database.read() as connection:
            if not _can_be_read(get_target(connection, SPOOL)):
                return []
            now, monotonic = database.now(connection), self.means.clock.monotonic()
            if self._meter.is_old(monotonic):
                self._meter.count(*local_files(connection, now - window), monotonic)
            found = pace(self._meter.load, window.total_seconds())
            return due_local(
                connection,
                now=now,
                read_before=now - window + timedelta(seconds=found.lead_seconds),
                bad_before=now - timedelta(seconds=BAD_AGAIN_SECONDS),
                limit=found.batch,
            )

    def turn(self) -> int:
        """How many bad files were found."""
        self._begin()
        began = self.means.clock.monotonic()
        due = self.plan()
        if not due:
            return 0
        bad = self.check(due)
        seconds = self.means.clock.monotonic() - began
        self._meter.took(seconds, len(due), self.means.settings.ship_every_seconds)
        return bad

    def _begin(self) -> None:
        if not self._begun:
            with self.means.database.begin() as connection:
                note_watch(self.means.database, connection, actor=self.means.actor)
            self._begun = True

    def check(self, due: list[SegmentFile]) -> int:
        """Read these files and write what was found; how many are bad."""
        with self.means.database.read() as connection:
            spool = get_target(connection, SPOOL)
        bad = 0
        for order, by_name in _orders(spool, due):
            stall = self.means.settings.ship_stall_seconds
            for report in carry(order, self.means.stop, stall_seconds=stall):
                segment = by_name.get(report.name)
                found = _found(report)
                if segment is not None and found is not None:
                    bad += self._note(segment, found, report.reason)
        return bad

    def _note(self, segment: SegmentFile, found: CopyState, reason: str) -> bool:
        """Write what was found of a file; whether it is bad."""
        good = found is CopyState.VERIFIED
        why = "it was read again whole and right" if good else f"{segment.path}: {reason}"
        database, settings = self.means.database, self.means.settings
        with database.begin() as connection:
            if found is CopyState.GONE:
                fresh = timedelta(seconds=settings.release_proof_seconds)
                wanted = max(1, settings.copies_before_release)
                since = database.now(connection) - fresh
                if releasable(connection, since, wanted, 1, segment.id):
                    return False  # whoever releases it removes it first and says so afterwards
            actor = self.means.actor
            note_reading(database, connection, segment, found, actor=actor, why=why)
            if not good and not verified_on(connection, segment.id):
                note_loss(database, connection, segment, actor=actor)
        return not good


def _can_be_read(spool: Target) -> bool:
    """Whether the local disk is well; one that is full can be read all the same."""
    return spool.state is TargetState.CLOSED or spool.verdict is Verdict.FULL


def _orders(
    spool: Target, due: list[SegmentFile]
) -> Iterator[tuple[TargetOrder, dict[str, SegmentFile]]]:
    """An order for what lies below jobs_root, and one for the jobs of an earlier jobs_root."""
    for root in (spool.definition.root, os.sep):
        inside = root.rstrip(os.sep) + os.sep
        here = [each for each in due if each.path.startswith(inside)]
        due = [each for each in due if each not in here]
        by_name = {each.path.removeprefix(inside): each for each in here}
        expected = tuple(
            Expected(name, each.size_bytes, each.sha256) for name, each in by_name.items()
        )
        if expected:
            yield TargetOrder(replace(spool.definition, root=root), CheckOrder(expected)), by_name


def _found(report: ShipReport) -> CopyState | None:
    """What a report says of a file; None when it says nothing of one."""
    if report.kind == "checked":
        return FINDINGS.get(report.finding)
    unreadable = report.kind == "failed" and report.errno == errno.EIO
    return CopyState.DIFFERS if unreadable else None
