"""The storage reconciler: looks at every target, and mends what can be mended, within gates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from healtharchive.model.actions import DAY, HOUR, REFUSED, done_within, last_refusal, note_action
from healtharchive.model.journal import record
from healtharchive.model.states import TargetState
from healtharchive.model.target import Verdict
from healtharchive.model.targets import Target, declare_targets, get_target, list_targets
from healtharchive.model.told import HELD, Told, last_told
from healtharchive.steward.gates import Record, refusal
from healtharchive.steward.looking import Watcher
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.mending import RECOVER, keep_evidence_after, mend
from healtharchive.steward.recovery import Repair, Seen, plan
from healtharchive.storage.declared import load_targets, spool
from healtharchive.storage.mountinfo import read_mounts
from healtharchive.storage.prober import Prober
from healtharchive.storage.pulse import Pulse
from healtharchive.storage.register import note_look

HELD_AFTER = timedelta(seconds=60)  # a shorter trouble needs no reason why nobody mended it


@dataclass(slots=True)
class Storage:
    """One round a target and call of `turn`; the targets are independent of each other."""

    means: StewardMeans
    _probers: dict[str, Prober] = field(default_factory=dict)
    _pulses: dict[str, Pulse] = field(default_factory=dict)
    _server_was_away: dict[str, bool] = field(default_factory=dict)

    def declare(self) -> list[str]:
        """Bring the rows to what the targets file says; the names of all targets."""
        settings, database = self.means.settings, self.means.database
        settings.jobs_root.mkdir(parents=True, exist_ok=True)
        definitions = [spool(settings.jobs_root), *load_targets(settings.targets_file)]
        with database.begin() as connection:
            declare_targets(database, connection, definitions, actor=self.means.actor)
        return self.names()

    def names(self) -> list[str]:
        """Every declared target, parents before their hot paths."""
        with self.means.database.read() as connection:
            return [each.name for each in list_targets(connection)]

    def turn(self, name: str) -> Repair | None:
        """Look at one target and do what follows; the plan, None when nothing is wrong."""
        seen, repair = self.observe(name)
        if repair is None:
            self._server_was_away.pop(name, None)
            return None
        may = not repair.hold and self._may(seen, repair)
        self._server_was_away[name] = seen.server_answers is False
        if may:
            mend(repair, seen, self._record(seen.target), self.means)
            seen = self._watcher(name).look()
            keep_evidence_after(seen, self.means)
        if repair.hold and not seen.inspection.healthy:
            self._note_hold(seen, repair)
        return repair

    def feel(self, target: Target) -> None:
        """Open the breaker of a mount that hangs, sooner than a look could be sure of it."""
        pulse = self._pulses.setdefault(target.name, Pulse())
        now, patience = self.means.clock.monotonic(), self.means.settings.silence_seconds
        silence = pulse.feel(target.definition, read_mounts(), now, patience)
        if silence is None:
            return
        with self.means.database.begin() as connection:
            if get_target(connection, target.name).state is TargetState.OPEN:
                return
            note_look(
                self.means.database,
                connection,
                target.name,
                Verdict.HUNG,
                error=silence.detail,
                evidence={"waiting": silence.waiting, "device": silence.device, "step": "pulse"},
                policy=self.means.breaker,
                actor=self.means.actor,
                certain=True,
            )

    def observe(self, name: str) -> tuple[Seen, Repair | None]:
        """What a target is like and what would mend it: all that a dry run does."""
        seen = self._watcher(name).look()
        return seen, plan(seen)

    def objection(self, seen: Seen, repair: Repair) -> str:
        """Why the repair may not be made now; empty when it may."""
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
        return refusal(
            verdict=repair.verdict,
            open_since=seen.target.since,
            writers=seen.writers,
            record=self._record(seen.target),
            deploy_lock_age_seconds=self.means.deploy_lock_age_seconds(),
            now=now,
            policy=self.means.gates,
        )

    # -- one target ----------------------------------------------------------------------------

    def _watcher(self, name: str) -> Watcher:
        prober = self._probers.setdefault(name, Prober(self.means.clock))
        return Watcher(self.means, name, prober)

    def _may(self, seen: Seen, repair: Repair) -> bool:
        """Whether the gates let the repair through; a refusal is an event, once for each reason."""
        why = self.objection(seen, repair)
        if not why:
            return True
        with self.means.database.begin() as connection:
            reason = why.split(":")[0]
            said = last_refusal(connection, "target", repair.target, RECOVER).split(":")[0]
            if said == reason:
                return False
            now = self.means.database.now(connection)
            event_id = record(
                connection,
                at=now,
                actor=self.means.actor,
                subject="target",
                subject_id=repair.target,
                what="recovery_refused",
                why=why,
                evidence={"steps": [step.sentence for step in repair.steps]},
            )
            note_action(
                connection,
                at=now,
                subject="target",
                subject_id=repair.target,
                what=RECOVER,
                outcome=REFUSED,
                why=why,
                event_id=event_id,
            )
        return False

    def _record(self, target: Target) -> Record:
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)

            def done(span: timedelta) -> int:
                return done_within(connection, "target", target.name, RECOVER, span, now)

            return Record(
                target.last_apply_at,
                target.apply_streak,
                done(HOUR),
                done(DAY),
                self._server_was_away.get(target.name, False),
                target.last_healthy_at,
            )

    def _note_hold(self, seen: Seen, repair: Repair) -> None:
        """Write why nothing automatic mends a target, once for each reason in one trouble.

        Nobody is told by this: it is what the rule TargetHeld goes by.
        """
        database, target = self.means.database, seen.target
        with database.begin() as connection:
            now = database.now(connection)
            if target.state is not TargetState.OPEN or now - target.since < HELD_AFTER:
                return
            noted = last_told(connection, "target", (HELD,), target.name)
            reason = _reason(repair.hold)
            if noted is not None and noted.at >= target.since and _reason_of(noted) == reason:
                return
            record(
                connection,
                at=now,
                actor=self.means.actor,
                subject="target",
                subject_id=target.name,
                what=HELD,
                why=f"it is {repair.verdict} since {target.since:%H:%M:%S}Z and not mended: "
                f"{repair.hold}. {seen.inspection.detail}",
                evidence={"hold": repair.hold, "repairs": target.apply_streak},
            )


def _reason_of(noted: Told) -> str:
    return _reason(str(noted.evidence.get("hold", "")))


def _reason(hold: str) -> str:
    """What stays the same of a reason as time goes by."""
    return hold.split(":")[0]
