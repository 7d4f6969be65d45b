"""Past failure 3 of the predecessor (2026-01-09): an output directory nobody could write to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.lab import truth
from tests.lab.archive import Archive, command, tail
from tests.lab.processes import running, wait_for
from tests.lab.site import serving

SOMEBODY = 65534
# Root without its power over files: a directory of another user is closed to it as to anybody.
POWERLESS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner")
PATIENCE_SECONDS = 150.0
CAPTURED = ("completed", "indexing", "indexed")
SETTINGS = {
    "POLL_SECONDS": "0.2",
    "PARK_FIRST_SECONDS": "0.5",
    "PARK_MAX_SECONDS": "1",
    "STARTS_PER_HOUR": "600",
    "RETRY_BUDGET": "1",
}


@pytest.mark.timeout(600)
def test_an_output_directory_that_is_not_writable_costs_no_retry(tmp_path: Path) -> None:
    """There: a job's directory belonged to another user; each start failed, the failures used up
    the retry budget, and a person had to reset it in the database. Here: the crawler's user is
    asked before anything is started; the job is parked with one sentence that names the directory
    and the errno; its retry budget stays whole however often that is; other jobs run; and it goes
    on by itself when the directory is writable."""
    archive = Archive(tmp_path / "data", SETTINGS)
    with serving(4, nasty=False) as site:
        archive.set_up(site.source_toml("sick"), site.source_toml("well"))
        for code in ("sick", "well"):
            archive.run("create-job", "--source", code)
        sick = Path(archive.jobs()[0]["output_dir"])
        sick.mkdir(parents=True)
        os.chown(sick, SOMEBODY, SOMEBODY)
        worker = [*POWERLESS, *command("worker")]
        log = archive.data_dir / "worker.log"
        with running(worker, environment=archive.environment, log=log) as process:
            wait_for(
                lambda: job(archive, 2)["status"] in CAPTURED,
                what="the other job is captured",
                seconds=PATIENCE_SECONDS,
                every=0.5,
            )
            parked = wait_for(
                lambda: many(why_parked(archive)),
                what="it is parked more often than it may fail",
                seconds=PATIENCE_SECONDS,
                every=0.5,
            )
            assert set(parked) == {f"not writable (errno 13): write {sick}"}
            assert (job(archive, 1)["retry_count"], os.listdir(sick)) == (0, [])

            os.chown(sick, os.getuid(), os.getgid())
            wait_for(
                lambda: job(archive, 1)["status"] in CAPTURED,
                what="it goes on by itself",
                seconds=PATIENCE_SECONDS,
                every=0.5,
            )
            assert process.poll() is None, tail(log)
        assert job(archive, 1)["retry_count"] == 0
        wrong = [str(each) for each in truth.compare(sick, site.truth)]
        assert [each for each in wrong if "/robots.txt in " not in each] == []


def job(archive: Archive, number: int) -> dict[str, Any]:
    """A job by its number."""
    return next(each for each in archive.jobs() if each["id"] == number)


def why_parked(archive: Archive) -> list[str]:
    """The reasons for which the first job was parked, one for each time."""
    return [str(e["why"]) for e in archive.ask("why", "job", "1")["events"] if e["what"] == "park"]


def many(reasons: list[str]) -> list[str]:
    """The reasons, once there are more of them than retries."""
    return reasons if len(reasons) > int(SETTINGS["RETRY_BUDGET"]) + 1 else []
