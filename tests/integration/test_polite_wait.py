"""A real crawl of a site that asks to be left alone: everybody can see until when it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.archive import Archive
from tests.lab.processes import wait_for
from tests.lab.small_site import Answer, answering

ASKED_SECONDS = 1800
PATIENCE_SECONDS = 120.0
SETTINGS = {"POLL_SECONDS": "0.2", "HEARTBEAT_SECONDS": "0.5"}


def answer(_host: str, path: str) -> Answer:
    if path == "/later":
        return Answer(b"", 429, (("Retry-After", str(ASKED_SECONDS)),))
    return Answer(b"<a href=/later>x</a>" if path == "/" else b"no", 200 if path == "/" else 404)


def source_toml(url: str) -> str:
    return (
        'code = "busy"\nname = "Busy"\nallow_private_hosts = ["127.0.0.1"]\n'
        f'[[seeds]]\nurl = "{url}/"\n[scope]\nhosts = ["127.0.0.1"]\n'
        "[politeness]\ndelay_seconds = 0.0\n"
    )


@pytest.mark.timeout(600)
def test_a_crawl_tells_until_when_and_for_whom_it_waits(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", SETTINGS)
    with answering(answer) as site:
        archive.set_up(source_toml(site.url))
        archive.run("create-job", "--source", "busy")
        with archive.working():
            began = datetime.now(UTC)

            def waits() -> dict[str, Any] | None:
                job = archive.job()
                return job if job["status"] == "running" and job["parked_reason"] else None

            job = wait_for(waits, what="the job says that it waits", seconds=PATIENCE_SECONDS)
            until = datetime.fromisoformat(job["not_before"])
            assert until >= began + timedelta(seconds=ASKED_SECONDS)
            words = "waits politely for 127.0.0.1: it asked to be left alone so long (Retry-After)"
            assert job["parked_reason"] == words
            number = str(job["id"])
            assert f"it {words}; it goes on by itself at " in archive.run("why", "job", number)
            assert f"{words}, until " in archive.run("status", codes=(0, 1, 2))
            assert words in archive.run("show-job", "--id", number)
            told = archive.ask("why", "job", number)["events"]
            assert [each for each in told if each["what"] == "note" and "politely" in each["why"]]
        job = archive.job()  # its worker was stopped: nothing is left of the wait
        assert (job["status"], job["not_before"], job["parked_reason"]) == ("queued", None, None)
