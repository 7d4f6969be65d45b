"""What is seen of targets, written down: the breaker decides, the row and the journal keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor
from healtharchive.model.states import TargetEvent, TargetState
from healtharchive.model.target import SPOOL, Verdict
from healtharchive.model.targets import (
    Target,
    change_target,
    get_target,
    trial_got_on,
    waiting_for,
    writers_of,
)
from healtharchive.storage.breaker import (
    BreakerFacts,
    BreakerPolicy,
    after_look,
    after_trouble,
)


def note_look(
    database: Database,
    connection: Connection,
    name: str,
    verdict: Verdict,
    *,
    error: str,
    evidence: Mapping[str, Any],
    policy: BreakerPolicy,
    actor: Actor,
    certain: bool = False,
) -> int | None:
    """Write what a look at a target found, and take its breaker the step that follows.

    The id of the breaker's event, None when the breaker stayed as it was.
    """
    target = get_target(connection, name, lock=True)
    now = database.now(connection)
    change = after_look(_facts(target), verdict, now, policy, certain=certain)
    columns: dict[str, Any] = {
        **change.columns,
        "verdict": verdict.value,
        "probed_at": now,
        "evidence": dict(evidence),
        "last_error": None if verdict is Verdict.HEALTHY else error,
    }
    if verdict is Verdict.HEALTHY:
        columns["last_healthy_at"] = now
    why = error or "it is healthy again"
    if change.event is TargetEvent.PROBE_OK:
        why = f"{change.columns['good_probes']} good looks in a row"
    event_id = change_target(
        database,
        connection,
        name,
        change.event,
        actor=actor,
        why=why,
        evidence={"verdict": verdict.value, **evidence},
        columns=columns,
    )
    return event_id or _after_trial(database, connection, target, verdict, actor)


def _after_trial(
    database: Database, connection: Connection, target: Target, verdict: Verdict, actor: Actor
) -> int | None:
    """Close a half-open breaker when its trial got on, or when there is nobody to try it."""
    if target.state is not TargetState.HALF_OPEN or verdict is not Verdict.HEALTHY:
        return None
    if trial_got_on(connection, target.name, target.since):
        why = "its trial captures again"
    elif target.name == SPOOL or not (
        waiting_for(connection, target.name) or writers_of(connection, target.name)
    ):
        why = "nobody waits to try it"
    else:
        return None
    return change_target(
        database,
        connection,
        target.name,
        TargetEvent.TRIAL_OK,
        actor=actor,
        why=why,
    )


def note_trouble(
    database: Database,
    connection: Connection,
    name: str,
    *,
    definite: bool,
    why: str,
    policy: BreakerPolicy,
    actor: Actor,
    caused_by: int | None = None,
) -> int | None:
    """Write that a job failed because of a target; the id of the breaker's event, if it moved."""
    target = get_target(connection, name, lock=True)
    now = database.now(connection)
    change = after_trouble(_facts(target), now, policy, definite=definite)
    return change_target(
        database,
        connection,
        name,
        change.event,
        actor=actor,
        why=why,
        columns={**change.columns, "last_error": why},
        caused_by=caused_by,
    )


def _facts(target: Target) -> BreakerFacts:
    return BreakerFacts(
        target.state,
        target.since,
        target.tripped_at,
        target.trip_streak,
        target.strikes,
        target.good_probes,
        target.good_since,
        target.last_healthy_at is not None,
    )
