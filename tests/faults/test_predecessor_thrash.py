"""Past failure 5 of the predecessor (2026-01-24): thrash, and a worker that stopped."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from healtharchive.model import schema
from healtharchive.model.attempts import HOUR, Work, list_attempts
from healtharchive.model.database import Database
from healtharchive.model.operator import retry_job
from healtharchive.model.states import JobStatus
from healtharchive.storage.probe import ProbeResult
from tests.lab.processes import kill_tree, wait_for
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.stewards import events_about
from tests.lab.workers import job_of, settings_for, spawn_worker, stub_worker

STARTS_PER_HOUR = 6
TURNS = 180
# What a job does as soon as it is started: each way in which one may fail at once.
AT_ONCE = ("errno 107", "errno 5", "errno 28", "errno 13", "failed", "die", "die-late", "fenced")
DEAD_PATH = "its path answers 107"
WAITS = (JobStatus.FAILED, JobStatus.PARKED, JobStatus.RETRYABLE)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a new database."""
    address = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    made = Database(address, "the test")
    schema.upgrade(made)
    made.dispose()
    return address


def failing_jobs(database: Database, directory: Path, *manners: str) -> dict[str, int]:
    """A job for each way to fail at once."""
    jobs = {}
    for number, manner in enumerate(manners):
        jobs[manner] = add_job(database, directory, f"sick-{number}")
        (directory / str(jobs[manner])).write_text(manner)
    return jobs


def crawls(database: Database, job_id: int) -> int:
    """How often a job's crawl was started."""
    with database.read() as connection:
        return sum(each.work is Work.CRAWL for each in list_attempts(connection, job_id))


@pytest.mark.timeout(600)
def test_whatever_fails_at_once_is_started_six_times_an_hour_and_the_others_run(
    url: str, tmp_path: Path
) -> None:
    """There: a job failed within milliseconds with errno 107 and was picked again in the same
    second, on and on, while nothing else ran. Here: an hour of a worker whose jobs fail at once, in
    every way there is, starts none of them more often than six times, though somebody impatient
    says `retry-job` after each failure; and the healthy jobs are captured."""
    clock = SetClock()
    database = SetDatabase(url, clock)
    jobs = failing_jobs(database, tmp_path, *AT_ONCE, DEAD_PATH)
    well = [add_job(database, tmp_path, code) for code in ("a", "b", "c")]
    dead = job_of(database, jobs[DEAD_PATH]).output_dir
    worker = stub_worker(
        tmp_path,
        database,
        clock,
        settings=settings_for(
            tmp_path,
            worker_jobs=16,
            park_first_seconds=30,
            starts_per_hour=STARTS_PER_HOUR,
            lease_seconds=60,
        ),
        probe=lambda path: (
            ProbeResult(path, False, errno.ENOTCONN, "stat")
            if path == dead
            else ProbeResult(path, ok=True)
        ),
    )
    for _ in range(TURNS):
        worker.turn()
        wait_for(lambda: not worker.running, what="this turn's attempts have ended", every=0.002)
        for job_id in jobs.values():
            if job_of(database, job_id).status in WAITS:
                with database.begin() as connection:
                    retry_job(database, connection, job_id, actor=ACTOR)
        clock.advance(HOUR.total_seconds() / TURNS)
    starts = {manner: crawls(database, job_id) for manner, job_id in jobs.items()}
    assert starts == dict.fromkeys(starts, STARTS_PER_HOUR)
    assert {job_of(database, each).status for each in well} == {JobStatus.INDEXED}
    database.dispose()


@pytest.mark.timeout(600)
def test_the_worker_lives_however_fast_its_jobs_fail(url: str, tmp_path: Path) -> None:
    """There: the worker was stopped in the midst of the thrash, and for six hours nothing ran.
    Here: a worker all of whose jobs fail at once as fast as they can goes on, says in its journal
    that it began and nothing else, and captures the job that comes afterwards."""
    database = Database(url, "the test")
    jobs = failing_jobs(database, tmp_path, *AT_ONCE)
    process = spawn_worker(tmp_path, url, starts_per_hour=STARTS_PER_HOUR, worker_jobs=16)
    try:
        wait_for(
            lambda: crawls(database, jobs["errno 107"]) == STARTS_PER_HOUR,
            what="the job was started six times",
            seconds=150.0,
        )
        late = add_job(database, tmp_path, "late")
        wait_for(
            lambda: job_of(database, late).status is JobStatus.INDEXED,
            what="a job that came later is captured",
            seconds=150.0,
        )
        assert process.poll() is None
        assert max(crawls(database, each) for each in jobs.values()) == STARTS_PER_HOUR
        assert [each.what for each in events_about(database, "worker")] == ["started"]
    finally:
        kill_tree(process)
        database.dispose()
