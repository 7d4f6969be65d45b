"""Past failure 9 of the predecessor (2026-02-06): a crawl that had stopped, unseen for 20 hours."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from healtharchive.model.attempts import Attempt, Work, list_attempts
from healtharchive.model.database import Database
from healtharchive.steward.progress import Progress
from healtharchive.steward.rounds import take_round
from healtharchive.steward.stalls import Stalls
from tests.lab.archive import CRAWL_CHILD, Archive
from tests.lab.processes import child_running, kill, running, wait_for
from tests.lab.site import Site, serving
from tests.lab.stewards import means_for
from tests.lab.workers import job_of

SOMEBODY = 65534
LOCKS = ("job.lock", ".lock", "frontier.lock", "archive_tool.lock")
OLD_LOG = "archive_initial_crawl.combined.log"
HOLDER = """
import fcntl, sys, time
held = [open(path) for path in sys.argv[1:]]
for each in held:
    fcntl.flock(each, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
CAPTURED = ("completed", "indexing", "indexed")
PATIENCE_SECONDS = 150.0
# No lease runs out while the test lasts: whatever is noticed is not noticed by that.
SETTINGS = {
    "LEASE_SECONDS": "600",
    "HEARTBEAT_SECONDS": "0.5",
    "POLL_SECONDS": "0.2",
    "STOP_SECONDS": "2",
    "PARK_FIRST_SECONDS": "1",
}
STALL = "[stall]\nseconds = 10.0\n"


@contextmanager
def crawling(directory: Path) -> Iterator[tuple[Archive, Database, Path, int]]:
    """An archive whose only job is being captured, its database, the job's directory, the worker.

    In the directory lie lock files of another user, which a living process has locked, and the log
    of an older run.
    """
    archive = Archive(directory / "data", SETTINGS)
    with serving(8, nasty=False) as site:
        archive.set_up(_source(site))
        archive.run("create-job", "--source", "lab")
        job_dir = archive.job_dir()
        job_dir.mkdir(parents=True)
        (job_dir / OLD_LOG).write_text("an older run\n")
        os.utime(job_dir / OLD_LOG, (0, 0))
        locks = [job_dir / name for name in LOCKS]
        for each in locks:
            each.touch(0o600)
            os.chown(each, SOMEBODY, SOMEBODY)
        database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
        holder = [sys.executable, "-c", HOLDER, *map(str, locks)]
        said = directory / "holder.log"
        with running(holder, log=said), archive.working() as worker:
            wait_for(
                lambda: said.exists() and "held" in said.read_text(), what="the locks are held"
            )
            wait_for(
                lambda: job_of(database, 1).counts.done > 3,
                what="the crawl is under way",
                seconds=PATIENCE_SECONDS,
            )
            yield archive, database, job_dir, worker.pid
            assert worker.poll() is None
        assert all(each.exists() for each in locks)
        database.dispose()


def _source(site: Site) -> str:
    source = site.source_toml("lab", delay_seconds=0.3).replace("= 20.0", "= 2.0")
    return source.replace("[politeness]\n", "[politeness]\nmax_delay_seconds = 0.4\n") + STALL


def crawl_child(worker: int) -> int:
    """The pid of the process that crawls."""
    child = child_running(worker, CRAWL_CHILD)
    assert child is not None
    return child


def attempt(database: Database, fence: int) -> Attempt:
    """An attempt of the only job."""
    with database.read() as connection:
        return next(each for each in list_attempts(connection, 1) if each.fence == fence)


def wait_until_started_anew(database: Database) -> None:
    """Until the job's second attempt has begun."""
    wait_for(
        lambda: job_of(database, 1).fence == 2,
        what="it is started anew",
        seconds=PATIENCE_SECONDS,
    )


def assert_captured(database: Database) -> None:
    """The job is captured by its second attempt, without a retry."""
    wait_for(
        lambda: job_of(database, 1).status in CAPTURED,
        what="the job is captured",
        seconds=PATIENCE_SECONDS,
    )
    job = job_of(database, 1)
    assert (job.retry_count, job.rescue_count) == (0, 0)
    with database.read() as connection:
        crawls = [each for each in list_attempts(connection, 1) if each.work is Work.CRAWL]
    assert len(crawls) == 2


@pytest.mark.timeout(600)
def test_a_dead_child_under_a_living_worker_is_noticed_whoever_holds_a_lock(tmp_path: Path) -> None:
    """There: the crawl was dead, but its lock was held on, so it counted as running; and where the
    lock file was another user's, nobody could even ask. Here: liveness is the worker's lease and
    its own child: the death is seen at once, long before any lease runs out, and the job goes on
    from its frontier. A lock file in its directory, whoever owns or holds it, hinders nobody."""
    with crawling(tmp_path) as (_, database, _, worker):
        kill(crawl_child(worker))
        wait_until_started_anew(database)
        first = attempt(database, 1)
        assert (first.exit, first.reason) == ("killed", "its process was ended by SIGKILL")
        assert_captured(database)


@pytest.mark.timeout(600)
def test_a_child_that_stands_still_is_noticed_by_its_counts_whatever_a_log_says(
    tmp_path: Path,
) -> None:
    """There: progress was read from the newest log file, and the path was that of an older run.
    Here: no log counts. A crawl that stands still is seen by the counts in the database while a log
    in its directory is written to all the time, and is started anew.

    The steward's rounds are taken by the test, more often than every 30 s; all else is real."""
    with crawling(tmp_path) as (_, database, job_dir, worker):
        means = means_for(tmp_path, database)
        progress, stalls = Progress(means), Stalls(means)
        kill(crawl_child(worker), signal.SIGSTOP)

        def told() -> list[str]:
            with (job_dir / OLD_LOG).open("a") as log:
                log.write("all is well\n")
            take_round(progress, means)
            return [each.step.what for each in take_round(stalls, means)]

        seen = wait_for(told, what="it is seen", seconds=PATIENCE_SECONDS, every=0.5)
        assert seen == ["restart_stalled"]
        wait_until_started_anew(database)
        # It had to be killed. Where that takes long, the machine being busy, it counts as hanging.
        assert attempt(database, 1).exit in ("stopped", "infra")
        assert_captured(database)
