"""The queue: claims, tokens, steps with their events, and rescue, on both databases."""

from __future__ import annotations

import collections
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from healtharchive.model.attempts import Ending, list_attempts
from healtharchive.model.campaigns import create_campaign, list_campaigns, readiness
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, IllegalTransition, LeaseLost, NotFound
from healtharchive.model.jobs import count_jobs, get_job, transition
from healtharchive.model.journal import read
from healtharchive.model.leases import finish, heartbeat
from healtharchive.model.operator import cancel_job, pause_job, resume_job, retry_job
from healtharchive.model.rescues import list_leases, rescue
from healtharchive.model.sources import list_sources, upsert_source
from healtharchive.model.states import JOB_TRANSITIONS, JobEvent, JobStatus
from healtharchive.model.tables import archive_jobs, attempts, targets
from tests.lab.queue import ACTOR, add_job, add_many_jobs, claim_now, source_named

CLAIMER = """
import sys
from healtharchive.model.database import Database
from tests.lab.queue import claim_now
database = Database(sys.argv[1], "the test")
print("ready", flush=True)
sys.stdin.readline()
while (held := claim_now(database, sys.argv[2])) is not None:
    print(held.job.id, held.fence)
"""
JOBS = 1000


def test_row_26_many_workers_claim_each_job_exactly_once(
    database: Database, database_url: str
) -> None:
    expected = add_many_jobs(database, JOBS)
    workers = 4 if database.is_sqlite else 20
    claimers = [_claimer(database_url, f"worker-{number}") for number in range(workers)]
    for each in claimers:  # all are connected before any begins
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    outputs = [each.communicate("go\n") for each in claimers]
    assert [each.returncode for each in claimers] == [0] * workers
    claimed = [line.split() for output, _ in outputs for line in output.splitlines()]
    assert collections.Counter(int(job) for job, _ in claimed) == dict.fromkeys(expected, 1)
    assert {fence for _, fence in claimed} == {"1"}
    with database.read() as connection:
        assert count_jobs(connection) == {JobStatus.RUNNING: JOBS}
        assert connection.execute(select(func.count()).select_from(attempts)).scalar() == JOBS
        events = read(connection, subject="job", limit=2 * JOBS)
    assert sum(event.what == JobEvent.CLAIM for event in events) == JOBS


def _claimer(url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLAIMER, url, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_each_step_writes_its_event(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    for (before, event), after in JOB_TRANSITIONS.items():
        _put(database, job_id, before)
        with database.begin() as connection:
            transition(database, connection, job_id, event, actor=ACTOR, why="the test")
        with database.read() as connection:
            told = read(connection, subject="job", subject_id=job_id)[-1]
            assert get_job(connection, job_id).status is after
        assert (told.what, told.from_state, told.to_state) == (event, before, after)
        assert (told.actor, told.why) == (ACTOR, "the test")


def test_a_step_that_is_rolled_back_leaves_no_event(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    with pytest.raises(ZeroDivisionError), database.begin() as connection:  # noqa: PT012 - the second line is the point
        transition(database, connection, job_id, JobEvent.CLAIM, actor=ACTOR)
        raise ZeroDivisionError
    with database.read() as connection:
        assert get_job(connection, job_id).status is JobStatus.QUEUED
        assert [event.what for event in read(connection, subject="job")] == ["created"]


def test_every_step_that_the_table_lacks_is_refused(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    for status in JobStatus:
        _put(database, job_id, status)
        for event in [each for each in JobEvent if (status, each) not in JOB_TRANSITIONS]:
            with pytest.raises(IllegalTransition), database.begin() as connection:
                transition(database, connection, job_id, event, actor=ACTOR)
    with database.read() as connection:
        assert [event.what for event in read(connection, subject="job")] == ["created"]


def test_a_rescued_holder_can_write_nothing_more(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        (lease,) = list_leases(connection)
        assert rescue(database, connection, lease, actor=ACTOR, why="the test")
    again = claim_now(database, "w2")
    assert again is not None
    assert again.fence > held.fence
    with pytest.raises(LeaseLost), database.begin() as connection:
        heartbeat(database, connection, job_id, held.fence, 60.0)
    done = Ending(JobEvent.COMPLETE, exit="complete")
    with pytest.raises(LeaseLost), database.begin() as connection:
        finish(database, connection, held, done, actor=ACTOR)
    with database.begin() as connection:
        assert finish(database, connection, again, done, actor=ACTOR) is JobStatus.COMPLETED
    with database.read() as connection:
        assert [each.exit for each in list_attempts(connection, job_id)] == ["complete", "rescued"]
        job = get_job(connection, job_id)
    assert (job.rescue_count, job.retry_count, job.attempt_count) == (1, 0, 2)


def test_a_holder_that_sent_a_heartbeat_meanwhile_keeps_its_job(
    database: Database, tmp_path: Path
) -> None:
    job_id = add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        (lease,) = list_leases(connection)
    with database.begin() as connection:
        heartbeat(database, connection, job_id, held.fence, 60.0)
    with database.begin() as connection:
        assert not rescue(database, connection, lease, actor=ACTOR, why="the test")


def test_finishing_twice_changes_nothing(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    for _ in range(2):
        with database.begin() as connection:
            finish(database, connection, held, Ending(JobEvent.PARK, "infra"), actor=ACTOR)
    with database.read() as connection:
        told = [event.what for event in read(connection, subject="job", subject_id=job_id)]
    assert told == ["created", "claim", "park"]


def test_jobs_of_an_open_target_wait_and_one_tries_when_it_is_half_open(
    database: Database, tmp_path: Path
) -> None:
    first, second = add_job(database, tmp_path / "cold"), add_job(database, tmp_path / "cold")
    elsewhere = add_job(database, tmp_path / "hot")
    _add_target(database, "cold", tmp_path / "cold")
    for job_id in (first, second):
        _put(database, job_id, JobStatus.PARKED, target="cold")
    held = claim_now(database)
    assert held is not None
    assert held.job.id == elsewhere
    assert claim_now(database) is None
    _set_target(database, "half_open")
    trial = claim_now(database)
    assert trial is not None
    assert trial.job.id == first
    assert claim_now(database) is None
    _set_target(database, "closed")
    assert claim_now(database) is not None


def test_a_pause_of_a_running_job_waits_for_its_worker(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        assert pause_job(database, connection, job_id, actor=ACTOR).status is JobStatus.RUNNING
    with database.begin() as connection:
        assert heartbeat(database, connection, job_id, held.fence, 60.0) == JobEvent.PAUSE
    with database.begin() as connection:
        released = Ending(JobEvent.RELEASE, exit="stopped")
        assert finish(database, connection, held, released, actor=ACTOR) is JobStatus.PAUSED
    with database.begin() as connection:
        assert resume_job(database, connection, job_id, actor=ACTOR).status is JobStatus.QUEUED
        assert cancel_job(database, connection, job_id, actor=ACTOR).status is JobStatus.CANCELLED
        assert retry_job(database, connection, job_id, actor=ACTOR).status is JobStatus.QUEUED
        with pytest.raises(BadInput, match="is queued: it cannot take 'resume'"):
            resume_job(database, connection, job_id, actor=ACTOR)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.INDEX_FAILED])
def test_a_job_that_failed_is_given_up_by_a_person_and_can_be_taken_up_again(
    database: Database, tmp_path: Path, status: JobStatus
) -> None:
    job_id = add_job(database, tmp_path)
    _put(database, job_id, status, last_error="no seed leads anywhere")
    with database.begin() as connection:
        given_up = cancel_job(database, connection, job_id, actor=ACTOR, why="the site is gone")
        assert given_up.status is JobStatus.CANCELLED
        assert given_up.last_error == "no seed leads anywhere"
        told = read(connection, subject="job", subject_id=job_id)[-1]
        assert (told.from_state, told.to_state, told.why) == (
            status,
            "cancelled",
            "the site is gone",
        )
    assert claim_now(database) is None
    with database.begin() as connection:
        assert retry_job(database, connection, job_id, actor=ACTOR).status is JobStatus.QUEUED


def test_a_campaign_has_one_job_a_source_however_often_it_is_created(database: Database) -> None:
    with database.begin() as connection:
        for code, order in (("late", 30), ("first", 10), ("second", 20)):
            upsert_source(database, connection, source_named(code, order), actor=ACTOR)
        campaign, added = _annual(database, connection)
        assert campaign.name == "annual-2026"
        assert [job.source for job in added] == ["first", "second", "late"]
        assert _annual(database, connection)[1] == []
        assert [each.name for each in list_campaigns(connection)] == ["annual-2026"]
        with pytest.raises(NotFound):
            readiness(connection, "annual-1066")


def test_a_campaign_is_ready_when_every_job_is_indexed(database: Database) -> None:
    with database.begin() as connection:
        upsert_source(database, connection, source_named("a"), actor=ACTOR)
        upsert_source(database, connection, source_named("b"), actor=ACTOR)
        _, (one, other) = _annual(database, connection)
    _put(database, one.id, JobStatus.INDEXED)
    _put(database, other.id, JobStatus.PARKED, parked_reason="stale mount (errno 107)")
    with database.read() as connection:
        found = readiness(connection, "annual-2026")
    assert found.verdict == "NO"
    assert [each.reason for each in found.obstacles] == ["is parked: stale mount (errno 107)"]
    _put(database, other.id, JobStatus.INDEXED)
    with database.read() as connection:
        assert readiness(connection, "annual-2026").verdict == "YES"


def _annual(database: Database, connection):
    every = [source.code for source in list_sources(connection)]
    return create_campaign(
        database, connection, "annual", 2026, jobs_root="/jobs", actor=ACTOR, sources=every
    )


def _put(database: Database, job_id: int, status: JobStatus, **columns: object) -> None:
    with database.begin() as connection:
        changed = update(archive_jobs).where(archive_jobs.c.id == job_id)
        connection.execute(changed.values(status=status, **columns))


def _add_target(database: Database, name: str, root: Path) -> None:
    with database.begin() as connection:
        connection.execute(
            targets.insert().values(
                name=name,
                kind="sshfs",
                root=str(root),
                state="open",
                since=database.now(connection),
                evidence={},
            )
        )


def _set_target(database: Database, state: str) -> None:
    with database.begin() as connection:
        connection.execute(update(targets).values(state=state))
