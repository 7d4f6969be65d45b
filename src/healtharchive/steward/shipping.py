"""The shipping reconciler: sealed segments to every target that takes them, then their release."""

from __future__ import annotations

import errno
import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from healtharchive.model.blame import ERRNO_TABLE, Blame
from healtharchive.model.copies import (
    CopyState,
    due_for,
    note_copy,
    releasable,
)
from healtharchive.model.errors import IllegalTransition
from healtharchive.model.segments import SegmentFile, change_segment, job_facts
from healtharchive.model.shipments import Parcel, ShipOrder, ShipReport, TargetOrder
from healtharchive.model.states import SegmentEvent, TargetState
from healtharchive.model.targets import Target, get_target, list_targets
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.storage import errand
from healtharchive.storage.register import note_trouble
from healtharchive.work.parking import BackOff

logger = logging.getLogger(__name__)

FREE = Path(errand.__file__).with_name("free.py")
FREE_SECONDS = 30.0
BATCH = 16  # segments in one order: progress is written after each all the same
RETRY = BackOff(first_seconds=10.0, longest_seconds=600.0)
TOKEN = "ship"  # the same in every attempt, or nothing is ever resumed


@dataclass(frozen=True, slots=True)
class _Rest:
    """A target is left alone until then, or until its breaker has moved: then it was mended."""

    until: float  # of the monotonic clock
    since: datetime  # of the breaker's state


@dataclass(slots=True)
class Shipping:
    """One `turn` a target: ship what is due there, and release what has copies enough."""

    means: StewardMeans
    _failures: dict[str, int] = field(default_factory=dict)
    _rests: dict[str, _Rest] = field(default_factory=dict)
    _releasing: threading.Lock = field(default_factory=threading.Lock)

    def targets(self) -> list[str]:
        """The targets that sealed segments are shipped to."""
        with self.means.database.read() as connection:
            return [each.name for each in list_targets(connection) if each.ship]

    def plan(self, name: str) -> list[SegmentFile]:
        """What would be shipped to a target now, the oldest first; nothing while it is sick."""
        database = self.means.database
        with database.read() as connection:
            target = get_target(connection, name)
            if target.state is not TargetState.CLOSED or self._rests_now(target):
                return []
            return due_for(connection, name, database.now(connection), BATCH)

    def turn(self, name: str) -> int:
        """How many segments got a verified copy."""
        shipped = 0
        due = self.plan(name)
        if due:
            shipped = self._ship(name, due)
        self.release()
        return shipped

    def release(self) -> int:
        """Remove local files that have copies enough, each only after a fresh proof; how many."""
        with self._releasing:  # each target's thread comes by here
            return sum(self._release(segment) for segment in self._releasable(BATCH))

    def _releasable(self, limit: int, segment_id: int | None = None) -> list[SegmentFile]:
        settings = self.means.settings
        wanted = settings.copies_before_release
        if wanted == 0:
            return []
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
            fresh_since = now - timedelta(seconds=settings.release_proof_seconds)
            return releasable(connection, fresh_since, wanted, limit, segment_id)

    def _rests_now(self, target: Target) -> bool:
        rest = self._rests.get(target.name)
        if rest is None or rest.since != target.since:
            return False
        return self.means.clock.monotonic() < rest.until

    # -- one order -----------------------------------------------------------------------------

    def _ship(self, name: str, due: list[SegmentFile]) -> int:
        with self.means.database.read() as connection:
            target = get_target(connection, name)
            parcels = tuple(
                Parcel(
                    path=each.path,
                    name=each.name,
                    size_bytes=each.size_bytes,
                    sha256=each.sha256,
                    records=each.records,
                    sealed_at=each.sealed_at.isoformat() if each.sealed_at else "",
                    fence=each.fence,
                    facts=job_facts(connection, each.job_id),
                )
                for each in due
            )
        order = TargetOrder(target.definition, ShipOrder(parcels, TOKEN), target.identity or "")
        by_name = {each.name: each for each in due}
        shipped = 0
        told: ShipReport | None = None  # a failure that may be the whole target's
        for report in carry(
            order, self.means.stop, stall_seconds=self.means.settings.ship_stall_seconds
        ):
            if told is not None and not _ended_by_target(report):
                self._note_failed(by_name[told.name], name, told)
            told = None
            segment = by_name.get(report.name)
            if report.kind == "verified" and segment is not None:
                self._note_verified(segment, name, report)
                shipped += 1
                self.release()  # room is made as the order goes on, not at its end
            elif report.kind == "failed" and segment is not None:
                told = report
            elif report.kind == "end":
                self._note_end(target, report)
        return shipped

    def _note_verified(self, segment: SegmentFile, target: str, report: ShipReport) -> None:
        receipt = report.receipt
        evidence = (
            {}
            if receipt is None
            else {
                "sha256": receipt.sha256,
                "sent_bytes": receipt.sent_bytes,
                "resumed_at_bytes": receipt.resumed_at_bytes,
                "already_there": receipt.already_there,
                "seconds": round(receipt.elapsed_seconds, 2),
            }
        )
        self._note(segment, target, CopyState.VERIFIED, evidence=evidence)
        self._failures.pop(target, None)

    def _note_failed(self, segment: SegmentFile, target: str, report: ShipReport) -> None:
        if report.side == "local" and report.errno == errno.ENOENT and self._went_unsaid(segment):
            return
        why = f"{'our own file' if report.side == 'local' else target}: {report.reason}"
        self._note(segment, target, CopyState.FAILED, why=why, wait=RETRY.first_seconds * 6)

    def _went_unsaid(self, segment: SegmentFile) -> bool:
        """Whether a steward died between removing the file and saying so: it is said now.

        Then the copy that went bad since is brought back from another target.
        """
        said = self._say_released(segment, "its local file was removed before a steward ended")
        if said:
            logger.warning("%s: its release was never written; it is now", segment.path)
        return said

    def _note_end(self, target: Target, report: ShipReport) -> None:
        """The target's own trouble: its breaker hears of it, and the next try waits a little.

        No segment is blamed for it: what has a verified copy keeps it, the others stay in order.
        """
        if report.outcome in ("complete", "stopped"):
            return
        streak = self._failures[target.name] = self._failures.get(target.name, 0) + 1
        wait = RETRY.wait_seconds(streak, lambda: 0.5)
        self._rests[target.name] = _Rest(self.means.clock.monotonic() + wait, target.since)
        logger.warning("shipping to %s: %s", target.name, report.reason)
        if report.side == "local" or report.blame == Blame.BUG:
            return
        known = ERRNO_TABLE.get(report.errno or 0)
        with self.means.database.begin() as connection:
            note_trouble(
                self.means.database,
                connection,
                target.name,
                definite=bool(known and known[2]),
                why=f"shipping: {report.reason}",
                policy=self.means.breaker,
                actor=self.means.actor,
            )

    def _note(
        self,
        segment: SegmentFile,
        target: str,
        state: CopyState,
        *,
        why: str = "",
        evidence: dict[str, object] | None = None,
        wait: float = 0.0,
    ) -> None:
        database = self.means.database
        with database.begin() as connection:
            now = database.now(connection)
            note_copy(
                database,
                connection,
                segment,
                target,
                state,
                actor=self.means.actor,
                why=why,
                evidence=evidence,
                not_before=now + timedelta(seconds=wait) if wait else None,
            )

    # -- release -------------------------------------------------------------------------------

    def _release(self, segment: SegmentFile) -> bool:
        """Remove the file first and say so afterwards: a crash between the two is repeated."""
        if not self._releasable(1, segment.id):
            return False  # a copy was found to be bad in this instant
        order = json.dumps({"path": segment.path, "size_bytes": segment.size_bytes})
        done = errand.run_script(FREE, order, FREE_SECONDS)
        try:
            answer = json.loads(done.output)
        except ValueError:
            answer = {"ok": False, "detail": "its removal did not end in time"}
        if not answer["ok"]:
            logger.warning("%s is not released: %s", segment.path, answer["detail"])
            return False
        return self._say_released(segment, "it has copies enough, each read back not long ago")

    def _say_released(self, segment: SegmentFile, why: str) -> bool:
        """Write that the file is gone; False when it may not be, or another process said it."""
        try:
            with self.means.database.begin() as connection:
                change_segment(
                    self.means.database,
                    connection,
                    segment,
                    SegmentEvent.RELEASE,
                    actor=self.means.actor,
                    why=why,
                )
        except IllegalTransition:
            return False
        return True


def _ended_by_target(report: ShipReport) -> bool:
    """Whether an order ended for a reason that is not one file's."""
    return report.kind == "end" and report.outcome == "infra"
