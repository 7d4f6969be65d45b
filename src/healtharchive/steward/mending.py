"""Carrying out a repair: evidence before, the steps, a look, evidence after, one event."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healtharchive.model.actions import note_action
from healtharchive.model.journal import record
from healtharchive.model.targets import change_target
from healtharchive.steward.gates import Record, streak_after
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.recovery import Repair, Seen, Step
from healtharchive.storage.diagnosis import Cause, diagnose
from healtharchive.storage.evidence import collect, write
from healtharchive.storage.mount_power import Mounter
from healtharchive.storage.mountinfo import read_mounts
from healtharchive.storage.mounting import Step as Done

RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Mended:
    """How a repair went: each step as it was done, and what the evidence says it was."""

    ok: bool
    done: tuple[Done, ...]
    cause: Cause
    before: Path
    seconds: float


def mend(repair: Repair, seen: Seen, past: Record, means: StewardMeans) -> Mended:
    """Do the steps in order until one fails, and write what was done."""
    began = time.monotonic()
    parent = seen.parent.definition if seen.parent else None
    evidence = collect(
        seen.target.definition,
        seen.inspection,
        read_mounts(),
        taken_at=means.clock.now(),
        extra={"writers": list(seen.writers), "server_answers": seen.server_answers},
        parent=parent,
    )
    before = write(means.settings.evidence_dir, evidence, "before")
    cause = diagnose(evidence)
    _begin(repair, past, cause, before, means)
    mounter = means.mounter
    done: list[Done] = []
    for step in repair.steps:
        done.append(_do(step, seen, mounter))
        if not done[-1].ok:
            break
    ok = done[-1].ok if done else False
    mended = Mended(ok, tuple(done), cause, before, time.monotonic() - began)
    _conclude(repair, mended, means)
    return mended


def keep_evidence_after(seen: Seen, means: StewardMeans) -> Path:
    """The bundle that belongs to the one from before the repair."""
    evidence = collect(
        seen.target.definition,
        seen.inspection,
        read_mounts(),
        taken_at=means.clock.now(),
        parent=seen.parent.definition if seen.parent else None,
    )
    return write(means.settings.evidence_dir, evidence, "after")


def _do(step: Step, seen: Seen, mounter: Mounter) -> Done:
    definition = seen.target.definition
    if step.what == "abort":
        return mounter.abort(definition, step.subject)
    if step.what == "end_process":
        return mounter.end_process(definition, int(step.subject))
    assert step.definition is not None
    parent = definition if step.definition.parent == definition.name else None
    if parent is None and seen.parent is not None:
        parent = seen.parent.definition
    if step.what == "unmount":
        return mounter.unmount(step.definition, parent)
    return mounter.mount(step.definition, parent)


def _begin(repair: Repair, past: Record, cause: Cause, before: Path, means: StewardMeans) -> None:
    """The try is counted before it is made: one that is killed in the middle counts too."""
    with means.database.begin() as connection:
        now = means.database.now(connection)
        change_target(
            means.database,
            connection,
            repair.target,
            None,
            actor=means.actor,
            columns={
                "last_apply_at": now,
                "apply_streak": streak_after(past, means.gates),
            },
        )
        record(
            connection,
            at=now,
            actor=means.actor,
            subject="target",
            subject_id=repair.target,
            what="recovery_began",
            why=cause.sentence,
            evidence={
                "verdict": repair.verdict,
                "cause": cause.kind,
                "because": list(cause.because),
                "bundle": before.name,
                "steps": [step.sentence for step in repair.steps],
            },
        )


def _conclude(repair: Repair, mended: Mended, means: StewardMeans) -> None:
    failed = next((each for each in mended.done if not each.ok), None)
    why = f"{failed.what} {failed.path}: {failed.detail}" if failed else "every step was done"
    evidence: dict[str, Any] = {
        "steps": [
            f"{each.what} {each.path}: {each.detail or 'done'} ({each.seconds:.2f} s)"
            for each in mended.done
        ],
        "seconds": round(mended.seconds, 2),
    }
    with means.database.begin() as connection:
        now = means.database.now(connection)
        event_id = record(
            connection,
            at=now,
            actor=means.actor,
            subject="target",
            subject_id=repair.target,
            what="recovery_done" if mended.ok else "recovery_failed",
            why=why,
            evidence=evidence,
        )
        note_action(
            connection,
            at=now,
            subject="target",
            subject_id=repair.target,
            what=RECOVER,
            outcome="applied" if mended.ok else "failed",
            why=why,
            seconds=mended.seconds,
            event_id=event_id,
        )
