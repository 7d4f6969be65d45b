"""The worker, with stub children: no thrash, fencing, signals, lost workers, dead databases."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from healtharchive.model import schema
from healtharchive.model.attempts import HOUR, Work, list_attempts
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.jobs import Job
from healtharchive.model.journal import Event, read
from healtharchive.model.operator import pause_job
from healtharchive.model.states import JobStatus
from healtharchive.storage.probe import ProbeResult, probe
from tests.lab.postgres import cluster
from tests.lab.processes import kill, kill_tree, stop, wait_for
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.workers import job_of, settings_for, spawn_worker, stub_worker, working

STOPPED_WRITER = """
import os, signal, sys
from healtharchive.model.database import Database
from healtharchive.model.leases import claim
from healtharchive.model.attempts import Work
from healtharchive.work.holder import this_holder
from tests.lab.queue import terms_of
database = Database(sys.argv[1])
with database.begin() as connection:
    assert claim(database, connection, Work.CRAWL, terms_of(this_holder(), lease_seconds=0.1))
with database.begin():
    os.kill(os.getpid(), signal.SIGSTOP)
"""
# Runs when nobody else wants its processor, and takes a while to be taken apart.
STARVING = """
import json, os, sys
cpu = sorted(os.sched_getaffinity(0))[-1]
held = bytearray(300_000_000)
counts = {"found": 1, "done": 1, "captures": 1}
print(json.dumps({"kind": "started"}), flush=True)
print(json.dumps({"kind": "progress", "counts": counts}), flush=True)
os.sched_setaffinity(0, [cpu])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True:
    pass
"""
HOG = """
import os
os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[-1]])
while True:
    pass
"""
SENDER = "import os, sys, time; os.kill(int(sys.argv[1]), 15); time.sleep(60)"


# -- promise 1: no thrash ------------------------------------------------------------------


def test_row_01_stale_mount_starts_a_job_at_most_six_times_an_hour_while_others_run(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    clock = SetClock()
    simulated = SetDatabase(database_url, clock)
    sick, *well = [add_job(simulated, tmp_path, code) for code in ("sick", "a", "b", "c")]
    (tmp_path / str(sick)).write_text(f"errno {errno.ENOTCONN}")
    settings = settings_for(tmp_path, park_first_seconds=30, starts_per_hour=6, lease_seconds=60)
    worker = stub_worker(tmp_path, simulated, clock, settings=settings)
    for _ in range(180):
        worker.turn()
        wait_for(
            lambda: not worker.running, what="the attempts of this turn have ended", every=0.002
        )
        clock.advance(HOUR.total_seconds() / 180)
    assert {job_of(simulated, each).status for each in well} == {JobStatus.INDEXED}
    job = job_of(simulated, sick)
    with simulated.read() as connection:
        tried = list_attempts(connection, sick)
    assert 4 <= len(tried) <= 6
    assert {(each.exit, each.errno) for each in tried} == {("infra", errno.ENOTCONN)}
    assert (job.status, job.retry_count, job.park_count) == (JobStatus.PARKED, 0, len(tried))
    assert job.parked_reason == "stale"
    simulated.dispose()


def test_output_that_cannot_be_used_parks_before_anything_starts(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    worker = stub_worker(
        tmp_path,
        database,
        probe=lambda path: ProbeResult(path, ok=False, errno=errno.ENOTCONN, step="stat"),
    )
    worker.turn()
    worker.finish()
    job = job_of(database, job_id)
    assert (job.status, job.retry_count) == (JobStatus.PARKED, 0)
    assert "stale mount (errno 107)" in str(job.parked_reason)
    assert not (tmp_path / f"{job_id}.log").exists()


# -- the ends of attempts --------------------------------------------------------------------


def test_a_job_is_crawled_then_indexed(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    with working(stub_worker(tmp_path, database, probe=lambda path: probe(path, 10.0))):
        job = wait_for_status(database, job_id, JobStatus.INDEXED)
    assert (job.counts.done, job.counts.captures, job.outcome) == (3, 3, "complete")
    with database.read() as connection:
        works = [each.work for each in list_attempts(connection, job_id)]
    assert works == [Work.INDEX, Work.CRAWL]


def test_row_38_failures_are_retried_and_then_given_up(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("failed")
    with working(stub_worker(tmp_path, database)):
        job = wait_for_status(database, job_id, JobStatus.FAILED)
    assert (job.retry_count, job.attempt_count) == (3, 4)
    assert job.last_error == "the test wants it"


def test_a_killed_child_that_got_on_costs_no_retry(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("die-late")
    worker = stub_worker(tmp_path, database)
    worker.turn()
    worker.finish()
    job = job_of(database, job_id)
    assert (job.status, job.retry_count, job.counts.done) == (JobStatus.QUEUED, 0, 2)


def test_a_child_that_gave_up_while_the_lease_is_still_ours_is_parked_not_forgotten(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("fenced")
    worker = stub_worker(tmp_path, database)
    worker.turn()
    worker.finish()
    job = job_of(database, job_id)
    assert (job.status, job.retry_count) == (JobStatus.PARKED, 0)
    assert job.parked_reason == "its lease ran out"
    (note,) = [event for event in events_of(database, "job") if event.what == "note"]
    assert note.why == "it took over: the test wants it"


def test_a_pause_stops_the_running_crawl(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    with working(stub_worker(tmp_path, database)):
        wait_for_progress(database, job_id)
        with database.begin() as connection:
            pause_job(database, connection, job_id, actor=ACTOR)
        wait_for_status(database, job_id, JobStatus.PAUSED)


def test_a_child_that_does_not_stop_is_killed_and_its_job_released(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("stubborn")
    settings = settings_for(tmp_path, stop_seconds=0.1)
    with working(stub_worker(tmp_path, database, settings=settings)):
        wait_for_progress(database, job_id)
    assert job_of(database, job_id).status is JobStatus.QUEUED


@pytest.mark.long  # it takes the processors from all others
@pytest.mark.timeout(300)
def test_a_killed_child_that_only_waits_for_its_turn_is_waited_for_and_nobody_is_blamed(
    database: Database, tmp_path: Path
) -> None:
    """Its processor is busy with others and it has much memory to give back: it ends seconds after
    it was killed, and that says nothing about where it writes to."""
    job_id = add_job(database, tmp_path)
    settings = settings_for(tmp_path, stop_seconds=0.1, lease_seconds=60)
    command = (sys.executable, "-S", "-c", STARVING)
    worker = stub_worker(
        tmp_path, database, settings=settings, commands={Work.CRAWL: command, Work.INDEX: command}
    )
    with ExitStack() as undo:
        for _ in range(3):
            hog = subprocess.Popen([sys.executable, "-S", "-c", HOG])
            undo.callback(hog.wait)
            undo.callback(hog.kill)
        with working(worker):
            wait_for_progress(database, job_id)
            with database.begin() as connection:
                pause_job(database, connection, job_id, actor=ACTOR)
            paused = wait_for_status(database, job_id, JobStatus.PAUSED, seconds=120.0)
    assert (paused.retry_count, paused.park_count) == (0, 0)
    with database.read() as connection:
        (only,) = list_attempts(connection, job_id)
    assert (only.exit, only.errno) == ("stopped", None)
    assert only.reason == "pause was asked for; it had to be ended"


def test_one_job_is_run_until_it_is_settled(database: Database, tmp_path: Path) -> None:
    job_id, other = add_job(database, tmp_path), add_job(database, tmp_path)
    worker = stub_worker(tmp_path, database)
    worker.job_id = job_id
    assert worker.work_on_one(until_settled=True).status is JobStatus.INDEXED
    assert job_of(database, other).status is JobStatus.QUEUED


def test_a_job_that_cannot_be_run_now_is_refused_with_the_reason(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    with database.begin() as connection:
        pause_job(database, connection, job_id, actor=ACTOR)
    paused, missing = stub_worker(tmp_path, database), stub_worker(tmp_path, database)
    paused.job_id, missing.job_id = job_id, 999
    with pytest.raises(BadInput, match="is paused: there is nothing to run"):
        paused.work_on_one(until_settled=False)
    with pytest.raises(NotFound, match="no job 999"):
        missing.work_on_one(until_settled=False)


# -- signals and lost workers ----------------------------------------------------------------


def test_sigterm_releases_the_job_and_records_who_sent_it(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    worker = spawn_worker(tmp_path, database_url)
    try:
        wait_for_progress(database, job_id)
        with subprocess.Popen([sys.executable, "-c", SENDER, str(worker.pid)]) as sender:
            status = worker.wait(30)
            sender.kill()
    finally:
        kill_tree(worker)
    assert status == 0
    job = job_of(database, job_id)
    assert (job.status, job.lease_owner, job.retry_count) == (JobStatus.QUEUED, None, 0)
    told = {event.what: event for event in events_of(database, "worker")}
    assert list(told) == ["started", "stop_signal", "stopped"]
    evidence = told["stop_signal"].evidence
    assert evidence["signal"] == "SIGTERM"
    assert evidence["sender_pid"] == sender.pid
    assert "os.kill" in evidence["sender_command"]
    release = events_of(database, "job")[-1]
    assert release.what == "release"
    assert f"pid {sender.pid}" in release.why


def test_row_22_a_killed_worker_takes_its_child_along_and_the_next_one_continues(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    worker = spawn_worker(tmp_path, database_url, lease_seconds=600)
    try:
        child = wait_for_child(database, job_id)
        kill(worker.pid)
        worker.wait(10)
        wait_for(lambda: ended(child), what="the child is gone")
    finally:
        kill_tree(worker)
    (tmp_path / str(job_id)).write_text("complete")
    # Its lease would last ten minutes more; but the process that held it is seen to be gone.
    with working(stub_worker(tmp_path, database)):
        job = wait_for_status(database, job_id, JobStatus.INDEXED)
    assert (job.rescue_count, job.retry_count) == (1, 0)


def test_row_23_a_worker_stopped_for_longer_than_its_lease_is_fenced(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    first = spawn_worker(tmp_path, database_url, lease_seconds=1)
    try:
        child = wait_for_child(database, job_id)
        stop_between_transactions(first.pid, database_url)
        (tmp_path / str(job_id)).write_text("complete")
        with working(stub_worker(tmp_path, database, holder="somewhere:1:2:3")):
            finished = wait_for_status(database, job_id, JobStatus.INDEXED)
        written = len(events_of(database, "job"))
        kill(first.pid, signal.SIGCONT)
        wait_for(lambda: ended(child), what="the fenced worker has ended its child")
        assert stop(first) == 0
    finally:
        kill(first.pid, signal.SIGCONT)
        kill_tree(first)
    assert job_of(database, job_id) == finished
    assert finished.counts.done == 3
    assert len(events_of(database, "job")) == written
    with database.read() as connection:
        exits = [each.exit for each in list_attempts(connection, job_id)]
    assert exits == ["complete", "complete", "rescued"]


def test_a_worker_stopped_within_a_transaction_is_ended_when_its_lease_is_over(
    tmp_path: Path,
) -> None:
    """SQLite has one writer: while that one sleeps, nobody could ever take its job."""
    url = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    database = Database(url, busy_seconds=0.5)
    schema.upgrade(database)
    job_id = add_job(database, tmp_path)
    with subprocess.Popen([sys.executable, "-c", STOPPED_WRITER, url]) as stopped:
        try:
            wait_for(lambda: status_of(stopped.pid) == psutil.STATUS_STOPPED, what="it sleeps")
            with working(stub_worker(tmp_path, database)):
                assert wait_for_status(database, job_id, JobStatus.INDEXED).rescue_count == 1
            assert stopped.wait(10) == -signal.SIGKILL
        finally:
            stopped.kill()
    (rescue,) = [event for event in events_of(database, "job") if event.what == "rescue"]
    assert rescue.why.endswith("stopped within a transaction, it was ended")
    database.dispose()


# -- a dead database ---------------------------------------------------------------------------


def test_a_database_that_is_away_for_less_than_the_lease_disturbs_no_crawl(tmp_path: Path) -> None:
    with cluster() as server:
        database = Database(server.create_database("archive"))
        schema.upgrade(database)
        job_id = add_job(database, tmp_path)
        (tmp_path / str(job_id)).write_text("run")
        settings = settings_for(tmp_path, lease_seconds=60)
        with working(stub_worker(tmp_path, database, settings=settings)) as worker:
            child = wait_for_child(database, job_id)
            server.stop("immediate")
            with pytest.raises(AssertionError):
                wait_for(lambda: ended(child), what="it must go on", seconds=1.5)
            server.start()
            before = job_of(database, job_id).counts.done
            wait_for(
                lambda: job_of(database, job_id).counts.done > before, what="counts arrive again"
            )
            assert len(worker.running) == 1
        job = job_of(database, job_id)
        assert (job.status, job.attempt_count) == (JobStatus.QUEUED, 1)
        database.dispose()


def test_row_27_a_database_that_is_away_for_longer_parks_the_job_until_it_is_back(
    tmp_path: Path,
) -> None:
    with cluster() as server:
        database = Database(server.create_database("archive"))
        schema.upgrade(database)
        job_id = add_job(database, tmp_path)
        (tmp_path / str(job_id)).write_text("run")
        settings = settings_for(tmp_path, lease_seconds=1)
        with working(stub_worker(tmp_path, database, settings=settings)):
            child = wait_for_child(database, job_id)
            server.kill()
            wait_for(lambda: ended(child), what="the child is stopped when the lease is over")
            (tmp_path / str(job_id)).write_text("complete")
            server.start()
            job = wait_for_status(database, job_id, JobStatus.INDEXED)
        assert (job.retry_count, job.park_count, job.rescue_count) == (0, 1, 0)
        (park,) = [event for event in events_of(database, "job") if event.what == "park"]
        assert park.why.startswith("the lease could not be renewed: ")
        assert park.evidence["blame"] == "host"
        database.dispose()


# -- watching ------------------------------------------------------------------------------------


def wait_for_status(
    database: Database, job_id: int, status: JobStatus, *, seconds: float = 30.0
) -> Job:
    def look() -> Job | None:
        job = job_of(database, job_id)
        return job if job.status is status else None

    what = f"job {job_id} is {status}, not {job_of(database, job_id)}"
    return wait_for(look, what=what, seconds=seconds)


def wait_for_progress(database: Database, job_id: int) -> None:
    wait_for(lambda: job_of(database, job_id).counts.done > 0, what="the crawl gets on")


def wait_for_child(database: Database, job_id: int) -> psutil.Process:
    """The process of the job's attempt, as the database knows it."""
    wait_for_progress(database, job_id)
    with database.read() as connection:
        (attempt,) = list_attempts(connection, job_id)
    assert attempt.child_pid is not None
    return psutil.Process(attempt.child_pid)


def stop_between_transactions(pid: int, database_url: str) -> None:
    """Stop a worker while it does not hold SQLite's lock: one that does must be ended instead."""
    impatient = Database(database_url, busy_seconds=0.1)

    def stopped() -> bool:
        kill(pid, signal.SIGSTOP)
        try:
            with impatient.begin():
                return True
        except OperationalError:
            kill(pid, signal.SIGCONT)
            return False

    wait_for(stopped, what="it is stopped and holds no lock")
    impatient.dispose()


def status_of(pid: int) -> str:
    return str(psutil.Process(pid).status())


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def events_of(database: Database, subject: str) -> list[Event]:
    with database.read() as connection:
        return read(connection, subject=subject)
