"""A whole archive under a full disk, a failing fsync and a stopped worker: it mends itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import truth
from tests.lab.archive import CRAWL_CHILD, IMPATIENT, Archive
from tests.lab.crawling import committed_urls
from tests.lab.injection import Failure, failing, injected
from tests.lab.mounts import resize, tmpfs
from tests.lab.processes import child_running, kill, wait_for
from tests.lab.site import Site, serving

CODE = "demo"
PAGES = 40
DELAY_SECONDS = 0.05  # slow enough for a fault to come in the midst of the crawl
PATIENCE_SECONDS = 120.0


@contextmanager
def archive_with_a_job(directory: Path, **settings: str) -> Iterator[tuple[Archive, Site]]:
    """An archive that has one job, over a slow copy of the lab's site."""
    with serving(PAGES, delay=DELAY_SECONDS) as site:
        archive = Archive(directory, {**IMPATIENT, **settings})
        archive.set_up(site.source_toml(CODE))
        archive.run("create-job", "--source", CODE)
        yield archive, site


def reason_for_parking(archive: Archive) -> str:
    """Why the job was parked first, as soon as it was; its row forgets it with the next claim."""

    def look() -> str | None:
        story = archive.ask("why", "job", str(archive.job()["id"]))["events"]
        return next((event["why"] for event in story if event["what"] == "park"), None)

    return wait_for(look, what="the job is parked", seconds=PATIENCE_SECONDS)


def assert_whole(archive: Archive, site: Site) -> None:
    """The job is indexed, no retry was spent, and the captured set is right."""
    job = archive.job()
    assert (job["status"], job["retry_count"]) == ("indexed", 0)
    job_dir = archive.job_dir()
    assert truth.compare(job_dir, site.truth) == []
    assert truth.warcio_check(truth.warc_files(job_dir)) == []


def test_a_full_disk_parks_the_job_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with (
        tmpfs(spool, "1m"),
        archive_with_a_job(tmp_path / "a", JOBS_ROOT=str(spool)) as (archive, site),
        archive.working() as worker,
    ):
        assert "disk full" in reason_for_parking(archive)
        resize(spool, "300m")
        archive.wait_until_settled(seconds=PATIENCE_SECONDS, worker=worker)
        assert_whole(archive, site)


def test_a_failing_fsync_parks_the_job_and_no_unconfirmed_record_is_kept(tmp_path: Path) -> None:
    with (
        archive_with_a_job(tmp_path / "a") as (archive, site),
        archive.working() as worker,
    ):
        frontier = archive.job_dir() / "frontier.sqlite"
        wait_for(lambda: committed_urls(frontier) > 10, what="the crawl is under way")
        child = child_running(worker.pid, CRAWL_CHILD)
        assert child is not None
        with failing(child, Failure("fsync", "EIO", "1+"), tmp_path / "strace.log") as log:
            reason = reason_for_parking(archive)
            assert injected(log) > 0
        assert "input/output error" in reason
        archive.wait_until_settled(seconds=PATIENCE_SECONDS, worker=worker)
        assert_whole(archive, site)


def test_a_worker_stopped_past_its_lease_writes_nothing_after_another_finished(
    tmp_path: Path,
) -> None:
    with archive_with_a_job(tmp_path / "a") as (archive, site), archive.working() as stopped:
        frontier = archive.job_dir() / "frontier.sqlite"
        wait_for(lambda: committed_urls(frontier) > 10, what="the crawl is under way")
        child = child_running(stopped.pid, CRAWL_CHILD)
        assert child is not None
        kill(stopped.pid, signal.SIGSTOP)
        kill(child, signal.SIGSTOP)
        with archive.working() as other:
            archive.wait_until_settled(seconds=PATIENCE_SECONDS, worker=other)
            before = fingerprint(archive)
            kill(child, signal.SIGCONT)
            kill(stopped.pid, signal.SIGCONT)
            wait_for(
                lambda: child_running(stopped.pid, CRAWL_CHILD) is None,
                what="the late child is gone",
                seconds=30.0,
            )
        assert fingerprint(archive) == before
        assert_whole(archive, site)


def fingerprint(archive: Archive) -> dict[str, Any]:
    """What a late writer could spoil: the job's row, its WARC files, its frontier's counts."""
    job = archive.job()
    files = truth.warc_files(archive.job_dir())
    frontier = archive.job_dir() / "frontier.sqlite"
    return {
        "job": {name: job[name] for name in ("status", "fence", "attempt_count", "counts")},
        "files": {path.name: path.stat().st_mtime_ns for path in files},
        "captures": committed_urls(frontier),
    }
