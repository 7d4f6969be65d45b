"""One round of a reconciler: what it plans passes the gates, is applied, and leaves its event.

A reconciler observes and plans; whether a step may be taken now is decided here, the same way for
all of them, and a dry run prints the very steps. The storage, shipping and fixity reconcilers
have threads of their own for each target and do the same by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from healtharchive.model.actions import (
    APPLIED,
    DAY,
    FAILED,
    HOUR,
    REFUSED,
    done_within,
    last_done,
    last_refusal,
    note_action,
)
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.journal import record
from healtharchive.steward.means import StewardMeans


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, to one subject. Pure: it says what, not how.

    `held` is the reconciler's own reason not to do it now (a healthy crawl would be hurt, a person
    must decide); such a step is told and never applied. `urgent` passes the deploy lock. `quiet`
    is for what is done again and again, or journalled where it is done: it leaves no event of its
    own when it works.
    """

    what: str
    subject: str
    subject_id: str
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    caused_by: int | None = None
    held: str = ""
    urgent: bool = False
    quiet: bool = False

    @property
    def sentence(self) -> str:
        """What would be done, for a person."""
        return f"{self.what.replace('_', ' ')} {self.subject} {self.subject_id}: {self.why}"


@dataclass(frozen=True, slots=True)
class Caps:
    """How often the same thing may be done to the same subject."""

    cooldown_seconds: float = 0.0
    per_hour: int = 60
    per_day: int = 1000


@dataclass(frozen=True, slots=True)
class Past:
    """What was done of the kind before."""

    last_at: datetime | None
    in_last_hour: int
    in_last_day: int


class Reconciler(Protocol):
    """Compares one part of what is with what should be."""

    name: str
    caps: Caps

    def every_seconds(self) -> float:
        """How long after a round the next one begins."""

    def plan(self) -> Sequence[Step]:
        """Observe, and what follows from it: all that a dry run does."""

    def apply(self, step: Step) -> str:
        """Do it; what was done, for the journal. Raises when it could not be done."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a step: `outcome` is applied, failed or refused."""

    step: Step
    outcome: str
    why: str


def objection(
    step: Step,
    past: Past,
    caps: Caps,
    *,
    deploy_lock_age_seconds: float | None,
    deploy_lock_seconds: float,
    now: datetime,
) -> str:
    """Why a step must wait; empty when it may be taken now. Pure."""
    if step.held:
        return step.held
    locked = deploy_lock_age_seconds is not None and deploy_lock_age_seconds < deploy_lock_seconds
    if locked and not step.urgent:
        return "a deploy lock is set"
    if past.in_last_hour >= caps.per_hour:
        return f"it was done {past.in_last_hour} times in the last hour"
    if past.in_last_day >= caps.per_day:
        return f"it was done {past.in_last_day} times in the last day"
    wait = timedelta(seconds=caps.cooldown_seconds)
    if past.last_at is not None and now < past.last_at + wait:
        return f"it was done a moment ago: not before {past.last_at + wait:%H:%M:%S}Z"
    return ""


def take_round(reconciler: Reconciler, means: StewardMeans, *, dry_run: bool = False) -> list[Told]:
    """Plan once and take what the gates let through; what became of each step."""
    told = []
    for step in reconciler.plan():
        why = _objection(reconciler, step, means)
        if dry_run:
            told.append(Told(step, REFUSED if why else "planned", why))
        elif why:
            _note_refusal(step, why, means)
            told.append(Told(step, REFUSED, why))
        else:
            told.append(_take(reconciler, step, means))
    return told


def _objection(reconciler: Reconciler, step: Step, means: StewardMeans) -> str:
    with means.database.read() as connection:
        now = means.database.now(connection)
        past = _past(connection, step, now)
    return objection(
        step,
        past,
        reconciler.caps,
        deploy_lock_age_seconds=means.deploy_lock_age_seconds(),
        deploy_lock_seconds=means.settings.deploy_lock_seconds,
        now=now,
    )


def _past(connection: Connection, step: Step, now: datetime) -> Past:
    what = (step.subject, step.subject_id, step.what)
    return Past(
        last_done(connection, *what, now),
        done_within(connection, *what, HOUR, now),
        done_within(connection, *what, DAY, now),
    )


def _take(reconciler: Reconciler, step: Step, means: StewardMeans) -> Told:
    """Apply one step. What it cannot do costs this step only; a bug ends the round."""
    began = means.clock.monotonic()
    try:
        done = reconciler.apply(step)
    except Exception as error:
        why = str(error) or type(error).__name__
        _note(step, means, FAILED, why, began)
        if not isinstance(error, HealthArchiveError):
            raise
        return Told(step, FAILED, why)
    if not step.quiet:
        _note(step, means, APPLIED, done or step.why, began)
    return Told(step, APPLIED, done)


def note_step(
    step: Step,
    means: StewardMeans,
    connection: Connection,
    outcome: str,
    why: str,
    *,
    seconds: float = 0.0,
) -> None:
    """Write what became of a step: its event and its action.

    The event is called by the step's own word, with `_failed` or `_refused` when it was not taken.
    """
    now = means.database.now(connection)
    event_id = record(
        connection,
        at=now,
        actor=means.actor,
        subject=step.subject,
        subject_id=step.subject_id,
        what=step.what if outcome == APPLIED else f"{step.what}_{outcome}",
        why=why,
        evidence={**step.evidence, "because": step.why},
        caused_by=step.caused_by,
    )
    note_action(
        connection,
        at=now,
        subject=step.subject,
        subject_id=step.subject_id,
        what=step.what,
        outcome=outcome,
        why=why,
        seconds=seconds,
        event_id=event_id,
    )


def _note(step: Step, means: StewardMeans, outcome: str, why: str, began: float) -> None:
    with means.database.begin() as connection:
        seconds = round(means.clock.monotonic() - began, 3)
        note_step(step, means, connection, outcome, why, seconds=seconds)


def _note_refusal(step: Step, why: str, means: StewardMeans) -> None:
    """A refusal is an event too, once for each reason."""
    with means.database.begin() as connection:
        said = last_refusal(connection, step.subject, step.subject_id, step.what)
        if said.split(":")[0] != why.split(":")[0]:
            note_step(step, means, connection, REFUSED, why)
