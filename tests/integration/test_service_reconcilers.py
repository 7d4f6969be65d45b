"""Leases and services put right by the steward, with real workers that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.attempts import list_attempts
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, this_process
from healtharchive.model.services import (
    HoldKind,
    Process,
    Service,
    hold,
    note_start,
    open_holds,
    processes,
)
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, attempts
from healtharchive.steward.leases import Leases
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Told, take_round
from healtharchive.steward.services import Services
from healtharchive.work.holder import holder_of, this_holder
from tests.lab.processes import kill, kill_tree, spawn, wait_for
from tests.lab.queue import add_job, claim_now
from tests.lab.stewards import events_about, means_for
from tests.lab.workers import job_of, spawn_worker


@dataclass
class Lab:
    """A machine whose worker the test kills; who is asked to start it starts a real one."""

    database: Database
    url: str
    directory: Path
    means: StewardMeans
    undo: ExitStack
    started: list[tuple[str, str]] = field(default_factory=list)

    def objection(self, service: str, unit: str) -> str:
        return ""

    def start(self, service: str, unit: str) -> str:
        """What the steward's starter does."""
        self.started.append((service, unit))
        self.worker()
        return f"the lab started {unit}"

    def worker(self) -> subprocess.Popen[bytes]:
        """A worker in a process of its own, once it has said that it is there."""
        process = spawn_worker(self.directory, self.url)
        self.undo.callback(kill_tree, process)
        wait_for(lambda: self.process(process.pid), what="the worker says that it began")
        return process

    def process(self, pid: int) -> Process | None:
        with self.database.read() as connection:
            found = [each for each in processes(connection) if each.pid == pid]
        return found[0] if found else None

    def owe(self, who: str, *, until: timedelta, service: Service = Service.WORKER) -> int:
        """Automation's stop of a service, as it is written before that."""
        with self.database.begin() as connection:
            return hold(
                self.database,
                connection,
                service,
                HoldKind.OWED,
                who=who,
                why="a stale mount is mended",
                actor=self.means.actor,
                host=self.means.actor.host,
                until=self.database.now(connection) + until,
            )

    def holds(self) -> list[int]:
        with self.database.read() as connection:
            return [each.id for each in open_holds(connection)]


@pytest.fixture
def lab(database: Database, database_url: str, tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as undo:
        means = means_for(tmp_path, database, repay_seconds=1.0)
        means = StewardMeans(
            settings=means.settings,
            database=database,
            clock=means.clock,
            stop=means.stop,
            actor=this_process(),
        )
        yield Lab(database, database_url, tmp_path, means, undo)


def whats(told: list[Told]) -> list[str]:
    return [each.step.what for each in told]


# -- services ------------------------------------------------------------------------------


def test_a_killed_worker_whose_restart_is_owed_runs_again_though_that_automation_died(
    lab: Lab,
) -> None:
    services = Services(lab.means, starter=lambda: lab)
    automation = spawn([sys.executable, "-c", "import time; time.sleep(600)"])
    lab.undo.callback(kill_tree, automation)
    worker = lab.worker()
    number = lab.owe(holder_of(automation.pid), until=timedelta(hours=6))
    kill_tree(worker)
    assert take_round(services, lab.means) == []  # it is needed down, and who needs it lives
    kill_tree(automation)
    (told,) = take_round(services, lab.means)
    assert (told.step.what, told.outcome) == ("start", "applied")
    assert "who is gone: a stale mount is mended" in told.step.why
    assert lab.started == [("worker", "healtharchive-worker.service")]
    assert lab.holds() == [number]
    assert whats(take_round(services, lab.means)) == ["settle_restart"]
    assert lab.holds() == []
    assert take_round(services, lab.means) == []
    (owed, started, repaid) = [
        each
        for each in events_about(lab.database, "worker")
        if each.what in ("restart_owed", "start", "restart_repaid")
    ]
    assert owed.evidence["hold"] == number
    assert started.why == "the lab started healtharchive-worker.service"
    assert repaid.why.startswith("it runs again since")


def test_a_worker_that_died_without_a_word_is_started_when_jobs_wait(lab: Lab) -> None:
    services = Services(lab.means, starter=lambda: lab)
    worker = lab.worker()
    kill_tree(worker)
    assert take_round(services, lab.means) == []  # nothing waits
    job_id = add_job(lab.database, lab.directory)

    def told() -> list[Told]:
        return take_round(services, lab.means)

    (step,) = [each.step for each in wait_for(told, what="it was down for repay_seconds")]
    assert "1 job waits; nobody declared a pause" in step.why
    assert "it died without a word" in step.why
    wait_for(
        lambda: job_of(lab.database, job_id).status is JobStatus.INDEXED, what="the job is done"
    )


def test_a_worker_that_moved_is_left_alone_where_its_unit_is_disabled(lab: Lab) -> None:
    """The old machine's steward: jobs wait, and a worker lives on the new machine."""
    units: list[str] = []

    def disabled(unit: str) -> bool:
        units.append(unit)
        return True

    moved = Services(lab.means, starter=lambda: lab, disabled=disabled)
    kill_tree(lab.worker())
    add_job(lab.database, lab.directory)
    elsewhere = Actor("healtharchive-worker.service", 7, "new-machine")
    with lab.database.begin() as connection:
        holder = "new-machine:7:1:2"
        note_start(lab.database, connection, Service.WORKER, holder, "1.0", actor=elsewhere)
    still_here = Services(lab.means, starter=lambda: lab)
    told = wait_for(
        lambda: take_round(still_here, lab.means, dry_run=True), what="its start is due"
    )
    assert "another runs on new-machine" in told[0].step.why
    lab.owe("deploy:1:2:3", until=timedelta(0))
    assert whats(take_round(moved, lab.means)) == ["settle_restart"]
    assert take_round(moved, lab.means) == []
    assert (lab.holds(), lab.started) == ([], [])
    assert "healtharchive-worker.service" in units


def test_who_stopped_the_worker_is_in_the_reason_for_its_start(lab: Lab) -> None:
    services = Services(lab.means, starter=lambda: lab)
    worker = lab.worker()
    kill(worker.pid, signal.SIGTERM)
    worker.wait(30)
    add_job(lab.database, lab.directory)
    (told,) = wait_for(lambda: take_round(services, lab.means), what="it is started")
    (sender,) = events_about(lab.database, "worker", what="stop_signal")
    assert sender.why in told.step.why
    (started,) = events_about(lab.database, "worker", what="start")
    assert started.caused_by == sender.id


def test_a_steward_that_lives_again_settles_the_restart_that_was_owed(lab: Lab) -> None:
    lab.owe("deploy:1:2:3", until=timedelta(hours=1), service=Service.STEWARD)
    services = Services(lab.means, starter=lambda: lab)
    database, actor = lab.database, lab.means.actor
    assert take_round(services, lab.means) == []
    with database.begin() as connection:
        note_start(database, connection, Service.STEWARD, this_holder(), "1.0", actor=actor)
    assert whats(take_round(services, lab.means)) == ["settle_restart"]
    assert (lab.holds(), lab.started) == ([], [])


# -- leases --------------------------------------------------------------------------------


def test_what_a_killed_worker_held_goes_back_to_the_queue_without_any_worker(lab: Lab) -> None:
    job_id = add_job(lab.database, lab.directory)
    (lab.directory / str(job_id)).write_text("run")
    worker = lab.worker()
    wait_for(
        lambda: job_of(lab.database, job_id).status is JobStatus.RUNNING, what="the crawl runs"
    )
    leases = Leases(lab.means)
    assert take_round(leases, lab.means) == []
    kill_tree(worker)
    planned = take_round(leases, lab.means, dry_run=True)
    assert whats(planned) == ["take_back", "note_gone"]
    assert job_of(lab.database, job_id).status is JobStatus.RUNNING
    told = take_round(leases, lab.means)
    assert [each.outcome for each in told] == ["applied", "applied"]
    job = job_of(lab.database, job_id)
    assert (job.status, job.rescue_count, job.retry_count) == (JobStatus.QUEUED, 1, 0)
    with lab.database.read() as connection:
        assert [each.exit for each in list_attempts(connection, job_id)] == ["rescued"]
        assert processes(connection, Service.WORKER) == []
    (gone,) = events_about(lab.database, "worker", what="note_gone")
    assert "did not say why" in gone.why
    assert take_round(leases, lab.means) == []


def test_a_row_that_says_running_and_was_never_held_goes_back_to_the_queue(
    database: Database, tmp_path: Path
) -> None:
    means = means_for(tmp_path, database)
    job_id = add_job(database, tmp_path)
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=JobStatus.RUNNING))
    (told,) = take_round(Leases(means), means)
    assert told.step.why == "it says running, and nobody holds it"
    assert job_of(database, job_id).status is JobStatus.QUEUED


def test_an_attempt_that_nobody_ended_is_ended_when_its_job_has_moved_on(
    database: Database, tmp_path: Path
) -> None:
    means = means_for(tmp_path, database)
    job_id = add_job(database, tmp_path)
    held = claim_now(database, "elsewhere:1:2:3")
    assert held is not None
    leases = Leases(means)
    assert take_round(leases, means) == []  # it is held elsewhere, and runs
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=JobStatus.INDEXED, lease_owner=None))
    (told,) = take_round(leases, means)
    assert (told.step.what, told.why) == ("end_attempt", "its end was written")
    with database.read() as connection:
        (attempt,) = list_attempts(connection, job_id)
    assert (attempt.exit, attempt.ended_at is not None) == ("lost", True)
    assert take_round(leases, means) == []
    with database.begin() as connection:
        connection.execute(update(attempts).values(ended_at=None, exit=None))
        connection.execute(update(archive_jobs).values(fence=9))
    assert whats(take_round(leases, means)) == ["end_attempt"]
