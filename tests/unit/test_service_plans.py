"""When a service is started again: owed restarts, declared pauses, and what nobody declared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.errors import SetupError
from healtharchive.model.service_past import LastWords
from healtharchive.model.services import Hold, HoldKind, Process, Service
from healtharchive.steward.services import CAPS, HoldSeen, ServiceSeen, due_at, plan, unit_of
from healtharchive.work.starting import (
    Nobody,
    Systemctl,
    WantedFile,
    is_disabled,
    starter_here,
)
from healtharchive.work.systemd import Manager

NOW = datetime(2026, 1, 24, 6, 28, 2, tzinfo=UTC)
REPAY = 30.0


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def process(stopped: float | None = 120.0, unit: str = "healtharchive-worker.service") -> Process:
    stopped_at = None if stopped is None else ago(stopped)
    beat = ago(120.0) if stopped is None else ago(stopped)
    holder = "lab:42:4026531836:1000"
    return Process("worker", holder, "lab", unit, 42, "1", ago(9000), beat, stopped_at, None)


def pause(until: float | None = None) -> HoldSeen:
    end = None if until is None else NOW + timedelta(seconds=until)
    return HoldSeen(Hold(1, "worker", "", "pause", "anna", "disk", ago(500), end, None, None))


def owed(at: float = 100.0, until: float = 500.0, *, gone: bool = False) -> HoldSeen:
    end = NOW + timedelta(seconds=until)
    hold = Hold(2, "worker", "lab", HoldKind.OWED, "w:1:2:3", "stale", ago(at), end, None, None)
    return HoldSeen(hold, owner_gone=gone)


DOWN = ServiceSeen(
    service=Service.WORKER,
    host="lab",
    living_since=None,
    last=process(),
    words=LastWords(77, "SIGTERM from systemd (pid 1, root)"),
    waiting=3,
)


def whats(seen: ServiceSeen) -> list[str]:
    return [each.what for each in plan(seen, REPAY, NOW)]


def test_a_worker_that_somebody_stopped_while_jobs_wait_is_started_and_the_sender_is_named() -> (
    None
):
    (step,) = plan(DOWN, REPAY, NOW)
    assert (step.what, step.subject, step.subject_id) == ("start", "worker", "lab")
    assert "3 jobs wait" in step.why
    assert "SIGTERM from systemd (pid 1, root)" in step.why
    assert step.caused_by == 77
    assert step.evidence["unit"] == "healtharchive-worker.service"
    assert not step.urgent  # a deploy may have stopped it


@pytest.mark.parametrize(
    ("seen", "started"),
    [
        (replace(DOWN, last=process(stopped=10.0)), False),
        (replace(DOWN, last=process(stopped=None)), True),
        (replace(DOWN, waiting=0), False),
        (replace(DOWN, last=None), False),
        (replace(DOWN, living_since=ago(5)), False),
        (replace(DOWN, holds=(pause(),)), False),
        (replace(DOWN, holds=(pause(until=60),)), False),
        (replace(DOWN, holds=(owed(until=60),)), False),
        (replace(DOWN, holds=(owed(until=-29),)), False),
        (replace(DOWN, holds=(owed(until=-30),)), True),
        (replace(DOWN, holds=(owed(until=500, gone=True),)), True),
        (replace(DOWN, holds=(owed(until=-30), pause())), False),
        (replace(DOWN, waiting=0, holds=(owed(until=-30),)), True),
        (replace(DOWN, disabled=True), False),
        (replace(DOWN, disabled=True, holds=(owed(until=-30),)), False),
        (replace(DOWN, elsewhere=("lab2",)), True),
    ],
    ids=[
        "down for a moment only",
        "died without a word",
        "nothing waits",
        "it never ran here",
        "it runs",
        "an operator paused it",
        "paused for an hour",
        "automation still needs it down",
        "its restart is not due yet",
        "its restart is due",
        "that automation died",
        "owed, and paused by an operator",
        "owed, and nothing waits",
        "its unit is disabled: it has moved",
        "its unit was disabled after automation stopped it",
        "one of two machines that have a worker each",
    ],
)
def test_when_it_is_started(seen: ServiceSeen, started: bool) -> None:
    steps = plan(seen, REPAY, NOW)
    assert any(each.what == "start" and not each.held for each in steps) == started


def test_a_disabled_worker_that_runs_nowhere_is_refused_by_name_and_a_moved_one_is_not() -> None:
    forbidden = replace(DOWN, disabled=True)
    (step,) = plan(forbidden, REPAY, NOW)
    assert "healtharchive-worker.service is disabled on lab" in step.held
    assert "systemctl enable --now healtharchive-worker.service" in step.held
    assert plan(replace(forbidden, elsewhere=("lab2",)), REPAY, NOW) == []
    assert plan(replace(forbidden, waiting=0), REPAY, NOW) == []


def test_an_owed_restart_is_repaid_within_a_minute_whatever_is_set() -> None:
    late = due_at(owed(until=0.0), 60.0) - NOW
    assert late.total_seconds() + 5.0 < 60.0
    (step,) = plan(replace(DOWN, holds=(owed(until=-50),)), 60.0, NOW)
    assert step.urgent  # a deploy lock that its owner left behind does not keep it down
    assert CAPS.per_hour == 12


def test_a_pause_whose_time_is_over_ends_and_the_worker_is_started() -> None:
    assert whats(replace(DOWN, holds=(pause(until=-1),))) == ["end_pause", "start"]


@pytest.mark.parametrize(
    ("living", "until", "gone", "settled"),
    [(5.0, 500.0, False, True), (9000.0, 500.0, True, False), (9000.0, -121.0, False, True)],
    ids=["it runs again", "it is being stopped just now", "it was never stopped"],
)
def test_a_restart_is_settled_when_the_service_is_there(
    living: float, until: float, gone: bool, settled: bool
) -> None:
    seen = replace(DOWN, living_since=ago(living), holds=(owed(until=until, gone=gone),))
    assert whats(seen) == (["settle_restart"] if settled else [])


def test_an_owed_restart_of_a_unit_that_is_disabled_is_settled() -> None:
    step, refused = plan(replace(DOWN, disabled=True, holds=(owed(),)), REPAY, NOW)
    assert (step.what, refused.what) == ("settle_restart", "start")
    assert step.why == "healtharchive-worker.service is disabled on lab"


def test_who_starts_a_worker_says_where_another_one_runs() -> None:
    (step,) = plan(replace(DOWN, elsewhere=("lab2", "lab3")), REPAY, NOW)
    assert "nobody declared a pause; another runs on lab2, lab3; down since" in step.why


def test_where_nothing_can_be_started_a_person_is_told_the_command() -> None:
    nobody = Nobody("systemd does not run this machine")
    said = nobody.objection("worker", "healtharchive-worker.service")
    (step,) = plan(replace(DOWN, objection=said), REPAY, NOW)
    assert "a person must start it with `healtharchive worker`" in step.held
    with pytest.raises(SetupError, match="cannot be started from here"):
        nobody.start("worker", "healtharchive-worker.service")


def test_pages_are_started_again_where_they_ran_in_a_unit_but_not_in_a_terminal() -> None:
    unit = process(unit="healtharchive-serve.service")
    seen = replace(DOWN, service=Service.SERVE, waiting=0, last=unit)
    assert whats(seen) == ["start"]
    assert whats(replace(seen, last=process(unit="session-3.scope"))) == []
    assert whats(replace(seen, last=process(90_000, "healtharchive-serve.service"))) == []


def test_pages_whose_pause_has_ended_are_started_however_long_it_was() -> None:
    last = process(90_000, "healtharchive-serve.service")
    seen = replace(DOWN, service=Service.SERVE, waiting=0, last=last)
    assert whats(replace(seen, holds=(pause(),))) == []
    assert whats(replace(seen, resumed_at=ago(5))) == ["start"]
    assert whats(replace(seen, resumed_at=ago(90_000))) == []


def test_a_steward_settles_that_its_restart_was_owed_and_starts_no_other() -> None:
    holds = (owed(until=-30),)
    seen = replace(DOWN, service=Service.STEWARD, holds=holds)
    assert whats(replace(seen, living_since=ago(5))) == ["settle_restart"]
    assert whats(seen) == []
    assert whats(replace(seen, holds=())) == []


@pytest.mark.parametrize(
    ("unit", "started"),
    [
        ("healtharchive-worker@2.service", "healtharchive-worker@2.service"),
        ("session-3.scope", "healtharchive-worker.service"),
        ("cron.service", "healtharchive-worker.service"),
    ],
)
def test_which_unit_is_started(unit: str, started: str) -> None:
    assert unit_of(Service.WORKER, process(unit=unit)) == started
    assert unit_of(Service.WORKER, None) == "healtharchive-worker.service"


def test_who_starts_services_here(tmp_path: Path) -> None:
    assert isinstance(starter_here(tmp_path, user_id=0, booted=tmp_path / "none"), Nobody)
    assert starter_here(tmp_path, user_id=0, booted=tmp_path) == Systemctl(Manager("system"))
    assert starter_here(tmp_path, user_id=1000, booted=tmp_path) == WantedFile(tmp_path)


def test_without_systemd_no_unit_is_disabled(tmp_path: Path) -> None:
    assert not is_disabled("healtharchive-worker.service", booted=tmp_path / "none")


def test_a_request_that_nobody_takes_up_is_told(tmp_path: Path) -> None:
    import os

    wanted = WantedFile(tmp_path)
    assert "worker" in wanted.start("worker", "any.service")
    assert (tmp_path / "worker").read_bytes() == b""
    wanted.start("worker", "any.service")
    os.utime(tmp_path / "worker", (1, 1))
    with pytest.raises(SetupError, match=r"healtharchive-wanted@worker\.path"):
        wanted.start("worker", "any.service")
    with pytest.raises(SetupError, match="cannot be written"):
        WantedFile(tmp_path / "missing").start("worker", "any.service")
