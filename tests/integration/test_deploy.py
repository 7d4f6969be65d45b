"""`deploy`: a new version goes live with nothing lost, or everything is as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from healtharchive import __version__
from healtharchive.cli.machine import deploying_run
from healtharchive.cli.machine.deploying import Standing
from healtharchive.cli.machine.deploying_look import look
from healtharchive.cli.machine.deploying_run import Deployment, back_up, run_command
from healtharchive.cli.machine.systemctl import Services
from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import read
from healtharchive.model.services import Service, open_holds, processes
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import attempts
from healtharchive.settings import Settings
from healtharchive.steward.backup_files import kept_in
from healtharchive.work.holder import this_holder
from tests.lab.archive import Archive
from tests.lab.processes import kill_tree, stop, wait_for
from tests.lab.queue import add_job
from tests.lab.workers import job_of, settings_for, spawn_worker

Start = Callable[[], subprocess.Popen[bytes]]


@dataclass
class Unit:
    """A service that is started as a real process. `broken` starts are left to do nothing."""

    start_it: Start
    broken: int = 0
    process: subprocess.Popen[bytes] | None = None
    done: list[str] = field(default_factory=list)

    def running(self, service: str) -> bool:
        return service == "worker" and self.process is not None

    def stop(self, service: str) -> None:
        self.done.append(f"stop {service}")
        if self.process is not None:
            stop(self.process)
            self.process = None

    def start(self, service: str) -> None:
        self.done.append(f"start {service}")
        if self.broken:
            self.broken -= 1
            return
        self.process = self.start_it()

    def restart(self, service: str) -> None:
        self.stop(service)
        self.start(service)

    def start_when_we_end(self, service: str) -> None:
        self.done.append(f"promise {service}")


@contextmanager
def working(directory: Path, url: str, **settings: object) -> Iterator[Unit]:
    """A worker, as a service that can be stopped and started."""
    unit = Unit(lambda: spawn_worker(directory, url, **settings))
    unit.process = unit.start_it()
    with ExitStack() as stack:
        stack.callback(lambda: unit.process and kill_tree(unit.process))
        yield unit


def well(_words: Sequence[str], _seconds: float) -> tuple[int, str]:
    return 0, '{"findings": []}'


def deployment(
    settings: Settings, database: Database, unit: Services, told: list[str], **more: Any
) -> Deployment:
    means = {
        "tell": told.append,
        "command": well,
        "back_up": lambda: "archive-1: 7 rows",
        **more,
    }
    return Deployment(settings, database, SystemClock(), unit, "a test", **means)


def events_of(database: Database) -> list[str]:
    with database.read() as connection:
        return [each.what for each in read(connection, subject="deploy")]


def test_a_worker_is_restarted_and_its_job_goes_on(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    told: list[str] = []
    with working(tmp_path, database_url) as unit:
        wait_for(lambda: job_of(database, job_id).status is JobStatus.RUNNING, what="the job runs")
        settings = settings_for(tmp_path)
        standing = look(settings, database, SystemClock(), unit)
        assert [each.job_id for each in standing.drains] == [job_id]
        outcome = deployment(settings, database, unit, told).run(standing)
        assert outcome.failure == ""
        assert unit.done == ["stop worker", "start worker"]
        wait_for(lambda: job_of(database, job_id).status is JobStatus.RUNNING, what="it runs again")
    job = job_of(database, job_id)
    assert (job.attempt_count, job.retry_count, job.rescue_count) == (2, 0, 0)
    assert events_of(database) == ["began", "backed_up", "restarted", "verified", "done"]
    assert not settings.deploy_lock.exists()
    with database.read() as connection:
        assert open_holds(connection) == []
        ended = connection.execute(select(attempts.c.exit).order_by(attempts.c.id)).scalars()
        assert next(iter(ended)) is not None


def test_a_service_that_does_not_come_back_is_owed_and_the_way_back_is_told(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    with working(tmp_path, database_url) as unit:
        wait_for(lambda: _living(database), what="the worker lives")
        unit.broken = 2
        standing = look(settings, database, SystemClock(), unit)
        outcome = deployment(settings, database, unit, [], living_seconds=1.0).run(standing)
    assert "did not come to life" in outcome.failure
    assert outcome.back[-1] == "systemctl restart healtharchive-worker.service"
    assert events_of(database)[-1] == "failed"
    assert not settings.deploy_lock.exists()
    with database.read() as connection:
        (owed,) = open_holds(connection, Service.WORKER)
    assert (owed.kind, owed.who) == ("owed", this_holder())


def test_a_service_that_comes_back_at_the_second_try_is_not_left_down(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    with working(tmp_path, database_url) as unit:
        wait_for(lambda: _living(database), what="the worker lives")
        unit.broken = 1
        standing = look(settings, database, SystemClock(), unit)
        outcome = deployment(settings, database, unit, [], living_seconds=8.0).run(standing)
        assert outcome.failure
        assert unit.process is not None
    with database.read() as connection:
        assert open_holds(connection) == []


def test_without_a_backup_nothing_is_touched(database: Database, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    unit = Unit(lambda: pytest.fail("nothing is started"))

    def no_backup() -> str:
        raise SetupError("There is no room for a backup.")

    standing = look(settings, database, SystemClock(), unit)
    outcome = deployment(settings, database, unit, [], back_up=no_backup).run(standing)
    assert "There is no room for a backup" in outcome.failure
    assert outcome.back == ()
    assert events_of(database) == ["began", "failed"]
    assert not settings.deploy_lock.exists()


def test_a_status_that_is_not_content_fails_it(database: Database, tmp_path: Path) -> None:
    def critical(words: Sequence[str], _seconds: float) -> tuple[int, str]:
        return (2, "FAIL no worker lives") if words[0] == "status" else (0, "")

    settings = settings_for(tmp_path)
    unit = Unit(lambda: pytest.fail("nothing is started"))
    standing = look(settings, database, SystemClock(), unit)
    outcome = deployment(settings, database, unit, [], command=critical).run(standing)
    assert "FAIL no worker lives" in outcome.failure


def critical(subject_id: str) -> dict[str, object]:
    return {
        "name": "TargetDown",
        "severity": "critical",
        "subject": "target",
        "subject_id": subject_id,
        "sentence": f"{subject_id} is down.",
        "told": True,
    }


def test_only_what_was_not_critical_before_fails_it(database: Database, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    unit = Unit(lambda: pytest.fail("nothing is started"))
    standing = look(settings, database, SystemClock(), unit)
    answers = [["nas"], ["nas"], ["nas"], ["nas", "attic"]]

    def status(_words: Sequence[str], _seconds: float) -> tuple[int, str]:
        return 2, json.dumps({"findings": [critical(each) for each in answers.pop(0)]})

    assert deployment(settings, database, unit, [], command=status).run(standing).failure == ""
    outcome = deployment(settings, database, unit, [], command=status).run(standing)
    assert "attic is down." in outcome.failure
    assert "nas is down." not in outcome.failure


@dataclass
class Struck:
    """Services of which one gets us a signal while it is stopped."""

    strike: Callable[[], None]
    up: set[str]
    promised: set[str] = field(default_factory=set)

    def running(self, service: str) -> bool:
        return service in self.up

    def stop(self, service: str) -> None:
        assert service in self.promised, "SIGKILL now would leave it down"
        self.up.discard(service)
        self.strike()

    def start_when_we_end(self, service: str) -> None:
        self.promised.add(service)

    def start(self, service: str) -> None:
        self.up.add(service)

    def restart(self, service: str) -> None:
        self.up.add(service)  # systemd does both, whatever becomes of us
        self.strike()


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize("number", deploying_run.ENDING, ids=lambda number: number.name)
def test_a_signal_leaves_neither_a_service_down_nor_the_lock(
    database: Database, tmp_path: Path, number: signal.Signals, additive: bool
) -> None:
    settings = settings_for(tmp_path)
    services = Struck(lambda: os.kill(os.getpid(), number), {"worker", "steward", "serve"})
    standing = _standing(additive=additive)

    def gone(_sentence: str) -> None:
        raise OSError("the terminal is gone")

    def unforeseen(*_: object) -> None:
        raise RuntimeError("nobody handled it")

    before = signal.signal(number, unforeseen)
    try:
        with pytest.raises(SystemExit) as ended:
            deployment(settings, database, services, [], tell=gone).run(standing)
        assert signal.getsignal(number) is unforeseen
    finally:
        signal.signal(number, before)
    assert ended.value.code == 128 + number
    assert services.up == {"worker", "steward", "serve"}
    assert not settings.deploy_lock.exists()
    with database.read() as connection:
        assert open_holds(connection) == []
        assert f"{number.name} told it to end" in read(connection, subject="deploy")[-1].why


def test_a_signal_that_is_ignored_stays_so(database: Database, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    services = Struck(lambda: os.kill(os.getpid(), signal.SIGHUP), {"worker"})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        outcome = deployment(settings, database, services, []).run(_standing(additive=True))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert outcome.failure == ""


def _standing(*, additive: bool) -> Standing:
    return Standing(
        schema="0009",
        head="0009",
        pending={} if additive else {"0009": ("a column is dropped",)},
        unmet=(),
        drains=(),
        database_bytes=0,
        free_bytes=None,
        source_error="",
        lock="",
        running=("worker", "steward", "serve"),
        unmanaged=(),
        version=__version__,
    )


def test_what_lies_where_it_was_called_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = tmp_path / "healtharchive" / "cli"
    lying.mkdir(parents=True)
    for each in (lying.parent / "__init__.py", lying / "__init__.py", lying / "main.py"):
        each.write_text("raise SystemExit('what lies there was run')\n")
    monkeypatch.chdir(tmp_path)
    status, said = run_command(settings_for(tmp_path), ("--help",), 60.0)
    assert (status, "Usage" in said) == (0, True)


def test_a_command_has_no_way_back_to_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying_run, "COMMAND", ("sh", "-c", "id -ru; id -rg; id -u; pwd"))
    settings, user, group = settings_for(tmp_path), os.geteuid(), os.getegid()
    other_user, other_group = (65534, 65534) if user == 0 else (user, group)
    os.setegid(other_group)
    os.seteuid(other_user)
    try:
        _, said = run_command(settings, (), 10.0)
    finally:
        os.seteuid(user)
        os.setegid(group)
    assert said.split() == [str(other_user), str(other_group), str(other_user), "/"]


def test_two_at_once_are_refused_and_the_first_goes_on(database: Database, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    unit = Unit(lambda: pytest.fail("nothing is started"))
    standing = look(settings, database, SystemClock(), unit)
    seconds: list[str] = []

    def meanwhile() -> str:
        seconds.append(deployment(settings, database, unit, []).run(standing).failure)
        return "archive-1: 7 rows"

    outcome = deployment(settings, database, unit, [], back_up=meanwhile).run(standing)
    assert outcome.failure == ""
    assert "deploys already" in seconds[0]


def test_an_older_schema_is_backed_up_and_brought_up(
    empty_database_url: str, tmp_path: Path
) -> None:
    from healtharchive.model import schema

    database = Database(empty_database_url)
    schema.upgrade(database, "0008")
    settings = settings_for(tmp_path, database_url=empty_database_url)
    unit = Unit(lambda: pytest.fail("nothing is started"))
    standing = look(settings, database, SystemClock(), unit)
    assert list(standing.pending)[-1] == schema.head()
    really = partial(back_up, settings, database, SystemClock())
    outcome = deployment(settings, database, unit, [], back_up=really).run(standing)
    assert outcome.failure == ""
    assert schema.current(database) == schema.head()
    (backup,) = kept_in(settings.backup_dir)
    assert (backup.whole, backup.backup.facts.revision) == (True, "0008")
    assert "upgraded" in events_of(database)
    database.dispose()


def test_the_commands_lock_check_and_unlock(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    archive.set_up()
    assert archive.ask("deploy", "check")["ready"] is True
    archive.run("deploy", "lock", "--reason", "new disks")
    kept = json.loads((archive.data_dir / "deploy.lock").read_text())
    assert kept["why"] == "new disks"
    archive.run("deploy", "lock", "--reason", "me too", codes=(SetupError.exit_code,))
    refused = json.loads(archive.run("deploy", "check", "--json", codes=(1,)))
    assert "new disks" in refused["reasons"][0]
    archive.run("deploy", "run", codes=(SetupError.exit_code,))
    assert "new disks" in archive.run("deploy", "unlock")
    archive.run("deploy", "unlock", codes=(4,))
    said = archive.run("deploy", "run", "--dry-run").splitlines()
    assert said[0].startswith("take the deploy lock")
    assert said[-1] == "give the deploy lock back"
    told = [json.loads(line) for line in archive.run("events", "--json").splitlines()]
    assert [e["what"] for e in told if e["subject"] == "deploy"] == ["locked", "unlocked"]
    assert {e["subject_id"] for e in told if e["subject"] == "deploy"} == {__version__}


def _living(database: Database) -> bool:
    with database.read() as connection:
        return bool(processes(connection, Service.WORKER))
