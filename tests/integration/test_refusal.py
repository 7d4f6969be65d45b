"""Why a job cannot be run now: what a claim passes over is told, and only that."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, update

from healtharchive.model.attempts import Ending, Work
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import get_job
from healtharchive.model.leases import ClaimTerms, claim, finish
from healtharchive.model.states import JobEvent
from healtharchive.model.tables import archive_jobs, attempts, targets
from healtharchive.work.holder import this_holder
from healtharchive.work.refusal import objection_to
from tests.lab.queue import ACTOR, add_job

STARTS_PER_HOUR = 3
HOLDER = "from healtharchive.work.holder import this_holder; print(this_holder())"


@pytest.fixture
def job_id(database: Database, tmp_path: Path) -> int:
    return add_job(database, tmp_path)


def said(database: Database, job_id: int, *, until_settled: bool = False) -> str:
    """Why the job cannot be run now; empty when it can."""
    with database.read() as connection:
        job = get_job(connection, job_id)
        terms = terms_of(this_holder(), job_id)
        found = objection_to(database, connection, job, terms, until_settled=until_settled)
    assert found is None or isinstance(found, BadInput)
    return str(found or "")


def terms_of(holder: str, job_id: int) -> ClaimTerms:
    return ClaimTerms(holder, ACTOR, 60.0, STARTS_PER_HOUR, job_id)


def change(database: Database, **columns: object) -> None:
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(**columns))


def start(database: Database, job_id: int, holder: str, *, unit: str | None = None) -> None:
    """A claim by somebody."""
    with database.begin() as connection:
        held = claim(database, connection, Work.CRAWL, terms_of(holder, job_id))
        assert held is not None
        change = update(attempts).where(attempts.c.id == held.attempt_id)
        connection.execute(change.values(unit=unit))


def test_a_job_that_is_due_is_refused_to_nobody(database: Database, job_id: int) -> None:
    assert said(database, job_id) == ""
    change(database, status="completed")
    assert said(database, job_id) == ""


@pytest.mark.parametrize("status", ["paused", "failed", "cancelled", "indexed", "index_failed"])
def test_of_a_settled_job_there_is_nothing_to_run(
    database: Database, job_id: int, status: str
) -> None:
    change(database, status=status)
    for until_settled in (False, True):
        reason = said(database, job_id, until_settled=until_settled)
        assert f"Job {job_id} is {status}: there is nothing to run. " in reason


def test_a_job_that_waits_is_refused_only_to_who_would_not_wait(
    database: Database, job_id: int
) -> None:
    with database.read() as connection:
        later = database.now(connection) + timedelta(hours=1)
    change(database, status="parked", not_before=later, parked_reason="stale mount (errno 107)")
    reason = said(database, job_id)
    assert f"is parked until {later:%Y-%m-%dT%H:%M:%SZ}: stale mount (errno 107). " in reason
    assert f"`healtharchive retry-job --id {job_id}`" in reason
    assert said(database, job_id, until_settled=True) == ""


def test_a_job_that_was_started_too_often_says_when_it_may_start_again(
    database: Database, job_id: int
) -> None:
    for _ in range(STARTS_PER_HOUR):
        with database.begin() as connection:
            held = claim(database, connection, Work.CRAWL, terms_of("w1", job_id))
            assert held is not None
            released = Ending(JobEvent.RELEASE, "stopped")
            finish(database, connection, held, released, actor=ACTOR)
    assert f"Job {job_id} was started too often: not before 2" in said(database, job_id)


def test_a_job_on_a_sick_target_names_the_targets(database: Database, job_id: int) -> None:
    with database.begin() as connection:
        _add_sick_target(database, connection)
    change(database, target="box")
    reason = said(database, job_id)
    assert f"Job {job_id} is queued, and nobody may claim it now: a target it needs" in reason
    assert "`healtharchive storage status`" in reason


def _add_sick_target(database: Database, connection: Connection) -> None:
    row = {"name": "box", "kind": "sshfs", "root": "/srv/box", "state": "open", "evidence": {}}
    connection.execute(insert(targets).values(since=database.now(connection), **row))


def test_a_job_that_somebody_runs_names_them_and_their_unit(
    database: Database, job_id: int
) -> None:
    start(database, job_id, this_holder(), unit="some.service")
    reason = said(database, job_id, until_settled=True)
    assert f"is running already, at {this_holder()} (unit some.service). " in reason
    assert f"`healtharchive pause --id {job_id}`" in reason


def test_a_job_whose_holder_is_gone_can_be_run(database: Database, job_id: int) -> None:
    words = [sys.executable, "-c", HOLDER]
    gone = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    start(database, job_id, gone.stdout.strip())
    assert said(database, job_id) == ""
