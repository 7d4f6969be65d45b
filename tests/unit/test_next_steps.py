"""What comes next by itself and when, and what a person alone can do: of all that may be wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from healtharchive.model.expiries import Expiry
from healtharchive.model.rounds import Round
from healtharchive.model.services import HoldKind, Process, Service
from healtharchive.steward import (
    backups,
    drift,
    expiry,
    lagging,
    next_jobs,
    next_keeping,
    next_services,
    next_storage,
    services,
    shipping,
    spool,
    stalls,
)
from healtharchive.steward.alert_rules import NextStep
from healtharchive.steward.condition import Condition, ServiceNow, SpoolNow, TargetNow
from healtharchive.steward.next_services import after_service
from healtharchive.steward.next_storage import after_target
from tests.lab.conditions import (
    NOW,
    ago,
    found_in,
    healthy,
    hold,
    living,
    never,
    process,
    running,
    settings_here,
    stopped,
    target,
    waiting,
    with_services,
)

SENDER = "SIGTERM from systemctl stop healtharchive-worker (pid 4711, root) of session-3.scope"
SICK: dict[str, Any] = {"state": "open", "verdict": "stale"}


def told(
    service: ServiceNow,
    *,
    waiting: int = 1,
    steward: str = "vps1",
    refusal: str = "",
    of: Process | None = None,
) -> tuple[str, ...]:
    newest = of or service.newest
    assert newest is not None
    return after_service(
        replace(service, refused=refusal),
        newest,
        jobs_waiting=waiting,
        stewards=(process("steward", host=steward),) if steward else (),
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
        ({"steward": ""}, "no steward is running; start it: `systemctl start "),
        (
            {"steward": "vps2"},
            "again on vps1, where it ran last: no steward is running there; `systemctl start ",
        ),
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
    coming = told(stopped(Service.STEWARD), steward="")[1]
    assert coming.endswith("start it: `systemctl start healtharchive-steward.service`.")


def test_an_older_process_is_told_that_another_runs() -> None:
    older = process("worker", holder="vps1:1:1:1", stopped_at=ago(hours=9), stop_reason="its end")
    assert told(living("worker"), of=older) == (
        "it ended at 2026-01-24 03:00:00Z (9 h ago): its end.",
        "another one runs: vps1:812:1:worker.",
    )


def coming_for(found: TargetNow, **changes: Any) -> str:
    lives = changes.pop("steward_lives", True)
    changed = replace(found, **changes)
    return after_target(changed, steward_lives=lives, settings=settings_here(), now=NOW)


def soon(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_next_step_of_a_target_follows_from_its_state_and_the_gates() -> None:
    sick = target("box", **SICK)
    assert coming_for(target("box")) == (
        "nothing is wrong with it; the steward looks at it every 4 s."
    )
    assert "when it is well, a job tries it first" in coming_for(sick)
    assert coming_for(sick, repair_at=soon(90), repairs_in_hour=3) == (
        "at 2026-01-24 12:01:30Z (in 1 min 30 s) it is repaired again if it still needs it, "
        "9 more times in this hour at most."
    )
    assert "as soon as this is over: it is still used by job 7" in coming_for(
        sick, refused="it is still used by job 7"
    )
    held = replace(sick, held="nobody said how it is mounted")
    assert "A person must decide" in coming_for(held, repair_at=soon(90))
    half = replace(sick, state="half_open", jobs_waiting=3)
    assert "one of 3 waiting jobs tries it" in coming_for(half)
    assert coming_for(sick, steward_lives=False).startswith("nobody looks at it")


# -- what messages and `status` say of what a rule found ------------------------------------


def next_of(condition: Condition, **values: object) -> NextStep:
    """The next step of the one thing that is found and not explained."""
    (only,) = [each for each in found_in(condition, **values) if not each.explained_by]
    return only.next_step


def test_a_target_is_told_with_its_next_repair_and_what_its_fault_asks_of_a_person() -> None:
    stale = target("box", **SICK, repair_at=soon(90))
    told_of = next_of(healthy(targets=(stale,)))
    assert told_of.by_itself.startswith("at 2026-01-24 12:01:30Z (in 1 min 30 s) it is repaired")
    assert told_of.only_you.startswith("look at the other side")
    full = next_of(healthy(targets=(replace(stale, verdict="full"),)))
    assert full.only_you == "make room on it, or a larger one: only there it can be mended."
    held = replace(stale, held="nobody said how it is mounted")
    assert next_of(healthy(targets=(held,))).only_you.startswith("mount it by hand")


def test_a_flapping_target_that_is_well_is_told_when_that_counts_as_over() -> None:
    well = target("box", trips=3, since=ago(minutes=4))
    assert next_of(healthy(targets=(well,))).by_itself == (
        "if it stays well, this is over at 2026-01-24 12:06:00Z (in 6 min)."
    )


def test_a_missing_worker_is_told_with_the_time_of_its_start_or_why_there_is_none() -> None:
    gone = stopped(Service.WORKER, at=ago(seconds=10))
    waits = {"jobs": {"queued": 1}}
    assert next_of(healthy(services=with_services(gone), **waits)).by_itself == (
        "nobody declared a pause: the steward starts it again at 2026-01-24 12:00:20Z (in 20 s)."
    )
    refused = replace(gone, refused="there is no systemd here")
    assert (
        "does not start it: there is no systemd here"
        in next_of(healthy(services=with_services(refused), **waits)).by_itself
    )
    first = next_of(healthy(services=with_services(never(Service.WORKER)), **waits))
    assert first.by_itself == (
        "nothing: the first start of a worker is a person's; `healtharchive worker`."
    )


def test_a_stalled_crawl_is_told_how_often_it_may_still_be_started_anew() -> None:
    still = running(progress_at=ago(hours=1), restarts_in_day=1)
    assert "3 more times in this day at most" in next_of(healthy(running=(still,))).by_itself
    spent = replace(still, restarts_in_day=4)
    assert next_of(healthy(running=(spent,))).by_itself == (
        "nothing: it was started anew 4 times in a day, which is all it may be."
    )


def test_a_parked_job_is_told_when_it_is_tried_and_how_often_at_most() -> None:
    assert next_of(healthy(waiting=(waiting(),))).by_itself == (
        "at 2026-01-24 12:01:00Z (in 1 min) the first worker with room claims it and tries again; "
        "at most 6 times an hour, for ever, and it spends no retry."
    )


def test_a_filling_disk_is_told_when_it_is_full_and_when_it_is_cleaned() -> None:
    round_ = Round("spool", ago(seconds=21), ago(seconds=20), 1.0, 7, 0, None, None)
    told_of = next_of(healthy(spool=SpoolNow(40.0, NOW, 5.0), rounds=(round_,)))
    assert told_of.by_itself == (
        "the steward frees what every target has a good copy of in its next round, at "
        "2026-01-24 12:00:40Z (in 40 s); one every 1 min. Otherwise at 85 % no crawl is begun, and "
        "as it fills now it is full on 2026-01-29."
    )
    alone = healthy(spool=SpoolNow(40.0, NOW, 5.0), targets=(target("spool", kind="local"),))
    assert "without one nothing is ever freed" in next_of(alone).only_you


def test_a_pause_is_told_with_its_end() -> None:
    pause = hold(Service.WORKER, HoldKind.PAUSE, at=ago(days=2), until=NOW + timedelta(hours=1))
    services = with_services(stopped(Service.WORKER, pause))
    assert next_of(healthy(services=services, jobs={"queued": 1})).by_itself == (
        "the pause ends at 2026-01-24 13:00:00Z (in 1 h), and the steward starts the worker."
    )


def test_the_end_of_a_pause_starts_nobody_who_runs_or_whom_nobody_starts() -> None:
    until = NOW + timedelta(hours=1)
    pause = hold(Service.WORKER, HoldKind.PAUSE, at=ago(days=2), until=until)
    alive = with_services(replace(living(Service.WORKER), holds=(pause,)))
    assert next_of(healthy(services=alive, jobs={"queued": 1})).by_itself.endswith(
        "(in 1 h), and jobs are claimed again."
    )
    alone = with_services(stopped(Service.WORKER, pause), never(Service.STEWARD))
    found = found_in(healthy(services=alone, jobs={"queued": 1}))
    (told_of,) = [each.next_step for each in found if each.rule.name == "WorkerPaused"]
    assert told_of.by_itself.endswith("nobody starts the worker: no steward is running.")


@pytest.mark.parametrize(
    ("unit", "hours", "promised"),
    [
        ("healtharchive-serve.service", 2, "the steward starts it again now"),
        ("healtharchive-serve.service", 25, "pages that are down for a day are not missed"),
        ("session-3.scope", 2, "the steward starts pages of systemd's only"),
        ("shell", 2, "the steward starts pages of systemd's only"),
    ],
)
def test_a_start_of_the_pages_is_promised_only_where_the_steward_makes_it(
    unit: str, hours: int, promised: str
) -> None:
    died = process(Service.SERVE, unit=unit, beat_at=ago(hours=hours), started_at=ago(days=3))
    down = ServiceNow(Service.SERVE, (), (died,), (), None)
    assert promised in told(down)[1]
    seen = services.ServiceSeen(service=Service.SERVE, host="vps1", living_since=None, last=died)
    steps = services.plan(seen, settings_here().repay_seconds, NOW)
    assert bool(steps) is ("starts it again" in promised)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("token", "revoke the old one"), ("certificate", "Caddy"), ("key", "a new key in its place")],
)
def test_what_ends_is_told_with_who_renews_it(kind: str, words: str) -> None:
    ends = Expiry(kind, "box", NOW + timedelta(days=3))
    assert words in next_of(healthy(expiries=(ends,))).only_you


def test_the_times_that_are_told_are_those_that_the_reconcilers_keep() -> None:
    assert next_storage.SPOOL_EVERY_SECONDS == spool.EVERY_SECONDS
    assert shipping.RETRY.longest_seconds == next_storage.SHIP_SECONDS
    assert next_jobs.COMPARE_SECONDS == lagging.EVERY_SECONDS
    assert next_jobs.COMPARED == "three jobs a round"
    assert lagging.COMPARED_A_ROUND == 3
    assert lagging.COOLED_SECONDS == 3600.0  # `an hour after it failed`
    assert next_keeping.RETRY_BACKUP_SECONDS == backups.RETRY_SECONDS
    assert next_keeping.RETRY_RESTORE_SECONDS == backups.RETRY_TEST_SECONDS
    assert next_keeping.LOOK_AT_ENDS_SECONDS == expiry.EVERY_SECONDS
    assert drift.EVERY_SECONDS == 60.0  # `every minute`
    assert next_services.MISSED == services.LATELY
    assert (services.CAPS.cooldown_seconds, services.CAPS.per_hour) == (20.0, 12)
    assert stalls.CAPS.cooldown_seconds == 60.0  # `within a minute`
