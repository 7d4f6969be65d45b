"""Leases under a clock that jumps and a database that is locked: nobody loses what he holds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from healtharchive.model import schema
from healtharchive.model.attempts import list_attempts
from healtharchive.model.database import Database
from healtharchive.model.states import JobStatus
from healtharchive.work.rescue import Rescuer
from tests.lab.processes import wait_for
from tests.lab.queue import SetClock, SetDatabase, add_job
from tests.lab.workers import job_of, settings_for, stub_worker, working


@pytest.mark.parametrize("hours", [1, -1])
def test_row_30_a_clock_that_jumps_an_hour_lets_nobody_be_rescued(
    database: Database, database_url: str, tmp_path: Path, hours: int
) -> None:
    clock = SetClock()
    jumping = SetDatabase(database_url, clock)
    job_id = add_job(jumping, tmp_path)
    (tmp_path / str(job_id)).write_text("run")
    # A heartbeat far longer than any pause of a busy machine: only the jump makes a lease run out.
    patient = settings_for(tmp_path, heartbeat_seconds=20.0, lease_seconds=60.0)
    other = stub_worker(tmp_path, jumping, settings=patient, holder="somewhere:1:2:3")
    rescuer = Rescuer(other.means)
    with working(stub_worker(tmp_path, jumping, settings=settings_for(tmp_path, lease_seconds=30))):
        wait_for(lambda: job_of(jumping, job_id).counts.done > 3, what="the crawl gets on")
        clock.advance(hours * 3600.0)
        assert rescuer.look(()) == []
        before = job_of(jumping, job_id).counts.done
        wait_for(lambda: job_of(jumping, job_id).counts.done > before + 10, what="it goes on")
        assert rescuer.look(()) == []
        job = job_of(jumping, job_id)
    assert (job.status, job.rescue_count) == (JobStatus.RUNNING, 0)
    with jumping.read() as connection:
        assert len(list_attempts(connection, job_id)) == 1
    jumping.dispose()


def test_row_28_a_locked_database_is_waited_for_and_no_step_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'archive.sqlite'}"
    database, other = Database(url, busy_seconds=0.2), Database(url)
    schema.upgrade(database)
    job_id = add_job(database, tmp_path)
    worker = stub_worker(tmp_path, database)
    with other.begin():
        assert worker.turn() > 0.0
        assert worker.running == []
    with working(worker):
        wait_for(lambda: job_of(database, job_id).counts.done == 3, what="it is captured")
        with other.begin():  # longer than a statement waits, while ends are being written
            time.sleep(0.6)
        wait_for(lambda: job_of(database, job_id).status is JobStatus.INDEXED, what="it is indexed")
    database.dispose()
    other.dispose()
