"""Past failure 3 of the predecessor (2026-01-09): an output directory nobody could write to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import truth
from tests.lab.archive import Archive, command, tail
from tests.lab.processes import ROOT, running, wait_for, without_settings
from tests.lab.site import serving

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PATIENCE_SECONDS = 60.0
SETTINGS = {
    "POLL_SECONDS": "0.2",
    "PARK_FIRST_SECONDS": "0.5",
    "PARK_MAX_SECONDS": "1",
    "STARTS_PER_HOUR": "600",
    "RETRY_BUDGET": "1",
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can get to; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="lab-user-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.timeout(200)
def test_an_output_directory_that_is_not_writable_costs_no_retry(place: Path) -> None:
    """There: a job's directory belonged to another user; each start failed, the failures used up
    the retry budget, and a person had to reset it in the database. Here: the crawler's user is
    asked before anything is started; the job is parked with one sentence that names the directory
    and the errno; its retry budget stays whole however often that is; other jobs run; and it goes
    on by itself when the directory is writable."""
    archive = Archive(place / "data", SETTINGS)
    with serving(4, nasty=False) as site:
        archive.set_up(site.source_toml("sick"), site.source_toml("well"))
        for code in ("sick", "well"):
            archive.run("create-job", "--source", code)
        sick = Path(archive.jobs()[0]["output_dir"])
        sick.mkdir(parents=True)
        for path in (archive.data_dir, *archive.data_dir.rglob("*")):
            shutil.chown(path, NOBODY, NOBODY)
        os.chown(sick, 0, 0)
        sick.chmod(0o755)
        worker = [*AS_NOBODY, *command("worker")]
        log = archive.data_dir / "worker.log"
        with running(worker, environment=archive.environment, log=log) as process:
            wait_for(
                lambda: job(archive, 2)["status"] == "indexed",
                what="the other job is indexed",
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

            os.chown(sick, NOBODY, NOBODY)
            wait_for(
                lambda: job(archive, 1)["status"] == "indexed",
                what="it goes on by itself",
                seconds=PATIENCE_SECONDS,
                every=0.5,
            )
            assert process.poll() is None, tail(log)
        assert job(archive, 1)["retry_count"] == 0
        wrong = [str(each) for each in truth.compare(sick, site.truth)]
        assert [each for each in wrong if "/robots.txt in " not in each] == []


def ask(archive: Archive, *words: str) -> list[dict[str, Any]]:
    """What a command prints to the crawler's user: root's files beside SQLite's would be in the
    way of everybody else."""
    asked = subprocess.run(
        [*AS_NOBODY, *command(*words), "--json"],
        env={**without_settings(), **archive.environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    found: list[dict[str, Any]] = json.loads(asked.stdout)
    return found


def job(archive: Archive, number: int) -> dict[str, Any]:
    """A job by its number."""
    return next(each for each in ask(archive, "list-jobs") if each["id"] == number)


def why_parked(archive: Archive) -> list[str]:
    """The reasons for which the first job was parked, one for each time."""
    return [str(e["why"]) for e in ask(archive, "why", "job", "1") if e["what"] == "park"]


def many(reasons: list[str]) -> list[str]:
    """The reasons, once there are more of them than retries."""
    return reasons if len(reasons) > int(SETTINGS["RETRY_BUDGET"]) + 1 else []
