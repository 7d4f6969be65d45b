"""`worker pause`, `worker resume` and `worker stop`, as people and automation give them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.model.services import HoldKind, Service, open_holds, processes
from healtharchive.model.states import JobStatus
from healtharchive.work.holder import holder_of
from healtharchive.work.owing import who_owes
from healtharchive.work.worker import INSTANT
from tests.lab.archive import Archive, command
from tests.lab.processes import descendants, kill_tree, spawn, wait_for, without_settings
from tests.lab.queue import add_job
from tests.lab.stewards import events_about
from tests.lab.workers import job_of, spawn_worker


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """An archive on either database whose workers have stub children."""
    (tmp_path / "backend.env").touch()
    return Archive(tmp_path, {"DATABASE_URL": database_url})


@pytest.fixture
def worker(tmp_path: Path, database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = spawn_worker(tmp_path, database_url)
    yield process
    kill_tree(process)


def status_of(database: Database, job_id: int, status: JobStatus) -> None:
    wait_for(lambda: job_of(database, job_id).status is status, what=f"job {job_id} is {status}")


def running_job(database: Database, directory: Path) -> int:
    job_id = add_job(database, directory)
    (directory / str(job_id)).write_text("run")
    status_of(database, job_id, JobStatus.RUNNING)

    def claimed_before(seconds: float) -> bool:
        job = job_of(database, job_id)
        assert job.started_at is not None
        assert job.heartbeat_at is not None
        return job.heartbeat_at - job.started_at > timedelta(seconds=seconds)

    # Longer ago than the instant within which a claim and a pause may miss each other.
    wait_for(lambda: claimed_before(INSTANT.total_seconds() + 0.5), what="it has run for a while")
    return job_id


def two_turns(database: Database) -> None:
    """Until the worker has begun and ended a whole turn from now on: each ends with its beat."""

    def beat() -> datetime:
        with database.read() as connection:
            (process,) = processes(connection, Service.WORKER)
        return process.beat_at

    for number in ("one", "another"):
        before = beat()
        wait_for(lambda before=before: beat() > before, what=f"{number} beat")  # type: ignore[misc]


def test_a_pause_sends_what_runs_back_to_the_queue_and_nothing_is_claimed_until_it_ends(
    archive: Archive, database: Database, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    job_id = running_job(database, tmp_path)
    told = archive.ask("worker", "pause", "--reason", "the disk is replaced", "--for", "2h")
    assert (told["kind"], told["why"]) == ("pause", "the disk is replaced")
    status_of(database, job_id, JobStatus.QUEUED)
    job = job_of(database, job_id)
    assert (job.attempt_count, job.retry_count, job.park_count) == (1, 0, 0)
    another = add_job(database, tmp_path)
    two_turns(database)
    assert job_of(database, another).status is JobStatus.QUEUED
    refused = archive.run("worker", "pause", "--reason", "again", codes=(2,))
    assert refused == ""
    assert "The pause of" in archive.run("worker", "resume", "--reason", "it is in")
    status_of(database, job_id, JobStatus.RUNNING)
    whats = [each.what for each in events_about(database, "worker")]
    assert whats == ["started", "paused", "resumed"]
    assert worker.poll() is None


def test_with_let_finish_what_runs_goes_on_and_nothing_new_begins(
    archive: Archive, database: Database, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    job_id = running_job(database, tmp_path)
    archive.run("worker", "pause", "--reason", "before the update", "--let-finish")
    waiting = add_job(database, tmp_path)
    two_turns(database)
    job = job_of(database, job_id)
    assert (job.status, job.fence) == (JobStatus.RUNNING, 1)
    assert job_of(database, waiting).status is JobStatus.QUEUED


def test_automation_stops_the_worker_and_owes_its_restart_first(
    archive: Archive, database: Database, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    job_id = running_job(database, tmp_path)
    told = archive.ask("worker", "stop", "--reason", "a mount is mended", "--for", "10min")
    assert worker.wait(30) == 0
    assert len(told["done"]) == 1
    assert job_of(database, job_id).status is JobStatus.QUEUED
    with database.read() as connection:
        (owed,) = open_holds(connection, Service.WORKER)
    assert (owed.kind, owed.why, owed.host) == (
        HoldKind.OWED,
        "a mount is mended",
        this_process().host,
    )
    assert owed.who == holder_of(this_process().pid)  # who called the command
    whats = [each.what for each in events_about(database, "worker")]
    assert whats == ["started", "restart_owed", "stop_signal", "stopped"]


def test_what_was_not_running_is_owed_all_the_same(archive: Archive, database: Database) -> None:
    said = archive.run("worker", "stop", "--reason", "a mount is mended", "--for", "10min")
    assert "No worker ran on this machine." in said
    assert "Its restart is owed by" in said


def test_the_one_who_owes_is_who_called_whatever_lay_between(tmp_path: Path) -> None:
    between = spawn(["env", "timeout", "600", "nice", "sleep", "600"])
    try:
        below = wait_for(lambda: _leaf(between.pid), what="sleep runs")
        assert who_owes(below) == holder_of(below)
        assert who_owes(between.pid) == holder_of(this_process().pid)
    finally:
        kill_tree(between)


def _leaf(pid: int) -> int | None:
    """The pid of the process below that sleeps, once it is there."""
    return {each.name(): each.pid for each in descendants(pid)}.get("sleep")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("pause", "--reason", " "), 2),
        (("pause", "--reason", "x", "--for", "soon"), 2),
        (("resume",), 2),
        (("stop", "--reason", "x", "--for", "2d"), 2),
        (("stop", "--reason", "x", "--for", "0s"), 2),
        (("stop", "--reason", "x"), 2),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    archive = Archive(tmp_path)
    archive.set_up()
    done = subprocess.run(
        command("worker", *words),
        env={**without_settings(), **archive.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
