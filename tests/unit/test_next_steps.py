"""What comes next by itself: of a target and of a service that is down, whoever stopped it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from healtharchive.cli.next_steps import after_service, after_target
from healtharchive.model.services import HoldKind, Process, Service
from healtharchive.steward.condition import ServiceNow, TargetNow
from tests.lab.conditions import (
    NOW,
    ago,
    hold,
    living,
    process,
    settings_here,
    stopped,
    target,
)

SENDER = "SIGTERM from systemctl stop healtharchive-worker (pid 4711, root) of session-3.scope"
SICK: dict[str, Any] = {"state": "open", "verdict": "stale"}


def told(
    service: ServiceNow,
    *,
    waiting: int = 1,
    steward: bool = True,
    refusal: str = "",
    of: Process | None = None,
) -> tuple[str, ...]:
    newest = of or service.newest
    assert newest is not None
    return after_service(
        service,
        newest,
        jobs_waiting=waiting,
        steward_lives=steward,
        refusal=refusal,
        settings=settings_here(),
        now=NOW,
    )


def test_a_service_that_runs_needs_nothing() -> None:
    assert told(living("worker")) == ("it runs, since 2026-01-23 12:00:00Z (1 d ago).",)


def test_who_stopped_it_is_named_and_when_it_is_started_again() -> None:
    just_now = stopped(Service.WORKER, by=SENDER, at=ago(seconds=10))
    assert told(just_now) == (
        f"it ended at 2026-01-24 11:59:50Z (10 s ago): {SENDER}.",
        "nobody declared a pause: the steward starts it again at 2026-01-24 12:00:20Z (in 20 s).",
    )


def test_a_pause_is_named_with_who_why_and_until_when() -> None:
    pause = hold(Service.WORKER, HoldKind.PAUSE, at=ago(hours=2), until=NOW + timedelta(hours=1))
    ended, coming = told(stopped(Service.WORKER, pause, by=SENDER))
    assert SENDER in ended
    assert coming == (
        "ada paused it (the disk is changed): it stays down until 2026-01-24 13:00:00Z (in 1 h); "
        "`healtharchive worker resume` ends that."
    )


def test_an_owed_restart_has_its_time() -> None:
    owed = hold(Service.WORKER, HoldKind.OWED, at=ago(minutes=1), until=NOW)
    assert told(stopped(Service.WORKER, owed))[1] == (
        "ada stopped it (the disk is changed); the steward starts it again at "
        "2026-01-24 12:00:30Z (in 30 s)."
    )
    overdue = replace(owed, until=ago(minutes=5))
    coming = told(stopped(Service.WORKER, overdue), waiting=0)[1]
    assert coming == "nobody declared a pause: the steward starts it again now."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"waiting": 0}, "no job waits; the steward starts it again when one does."),
        ({"steward": False}, "no steward is running; start it: `systemctl start "),
        (
            {"refusal": "a deploy lock is set"},
            "the steward does not start it: a deploy lock is set.",
        ),
    ],
)
def test_what_keeps_a_worker_down_is_said(changes: dict[str, Any], expected: str) -> None:
    assert expected in told(stopped(Service.WORKER), **changes)[1]


def test_one_that_died_without_a_word_is_told_as_such() -> None:
    dead = process("worker", beat_at=ago(minutes=4))
    service = ServiceNow("worker", (), (dead,), (), None)
    assert told(service)[0] == (
        "it fell silent at 2026-01-24 11:56:00Z (4 min ago), without a word: it was killed, or its "
        "machine is gone."
    )


def test_nobody_but_a_person_starts_a_steward() -> None:
    coming = told(stopped(Service.STEWARD), steward=False)[1]
    assert coming.endswith("start it: `systemctl start healtharchive-steward.service`.")


def test_an_older_process_is_told_that_another_runs() -> None:
    older = process("worker", holder="vps1:1:1:1", stopped_at=ago(hours=9), stop_reason="its end")
    assert told(living("worker"), of=older) == (
        "it ended at 2026-01-24 03:00:00Z (9 h ago): its end.",
        "another one runs: vps1:812:1:worker.",
    )


def coming_for(found: TargetNow, **changes: Any) -> str:
    values: dict[str, Any] = {
        "not_before": None,
        "refusal": "",
        "steward_lives": True,
        "eager_seconds": 4.0,
        "now": NOW,
        **changes,
    }
    return after_target(found, **values)


def soon(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_next_step_of_a_target_follows_from_its_state_and_the_gates() -> None:
    sick = target("box", **SICK)
    assert coming_for(target("box")) == (
        "nothing is wrong with it; the steward looks at it every 4 s."
    )
    assert "when it is well, a job tries it first" in coming_for(sick)
    assert coming_for(sick, not_before=soon(90)).startswith(
        "at 2026-01-24 12:01:30Z (in 1 min 30 s) it is repaired again"
    )
    assert "as soon as this is over: it is still used by job 7" in coming_for(
        sick, refusal="it is still used by job 7"
    )
    held = replace(sick, held="nobody said how it is mounted")
    assert "A person must decide" in coming_for(held, not_before=soon(90))
    half = replace(sick, state="half_open", jobs_waiting=3)
    assert "one of 3 waiting jobs tries it" in coming_for(half)
    assert coming_for(sick, steward_lives=False).startswith("nobody looks at it")
