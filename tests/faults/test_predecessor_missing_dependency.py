"""Past failure 10 of the predecessor (2026-02-20): an update without what it needs."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from healtharchive.model.errors import INSTALL_PACKAGES
from tests.lab.archive import Archive, command, tail
from tests.lab.processes import running, wait_for
from tests.lab.reader import served
from tests.lab.small_site import Answer, answering

PATIENCE_SECONDS = 150.0
SETTINGS = {"POLL_SECONDS": "0.2", "PARK_FIRST_SECONDS": "1", "PARK_MAX_SECONDS": "2"}
ENGINES = {"plain": "http", "rendered": "browser"}
# What Python reads first of all when it starts: with it, nobody finds the package.
TAKEN_AWAY = """
import sys
from importlib import abc, metadata

class Gone(abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "playwright":
            raise ModuleNotFoundError("No module named 'playwright'", name=name)

def version(name, known=metadata.version):
    if name == "playwright":
        raise metadata.PackageNotFoundError(name)
    return known(name)

sys.meta_path.insert(0, Gone())
metadata.version = version
"""


class Updated(Archive):
    """An archive whose update has left out a package or a program."""

    @property
    def environment(self) -> dict[str, str]:
        """Python finds what was taken away, or not, in this directory."""
        path = [str(self.data_dir), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**super().environment, "PYTHONPATH": os.pathsep.join(path)}


def source_toml(code: str, url: str) -> str:
    """A source of one page."""
    return (
        f'code = "{code}"\nname = "{code}"\nengine = "{ENGINES[code]}"\n'
        f'allow_private_hosts = ["127.0.0.1"]\n[[seeds]]\nurl = "{url}/{code}"\n'
        f'[scope]\nhosts = ["127.0.0.1"]\ninclude = ["^{url}/{code}$"]\n'
        "[politeness]\ndelay_seconds = 0.0\n"
    )


def page(_: str, path: str) -> Answer:
    """One page for each source."""
    return Answer(b"no", 404) if path == "/robots.txt" else Answer(b"<title>page</title><p>words")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("missing", ["package", "program"])
def test_what_is_missing_costs_only_the_jobs_that_need_it(missing: str, tmp_path: Path) -> None:
    """There: the program was updated and a new dependency was not installed; the service did not
    start, and the site was down for 13 hours and a half. Here: without playwright, or without
    Chromium, worker, steward and web pages start; a job that needs it is parked with one sentence
    that says what to install, and costs no retry; the others are captured; `doctor` names it; and
    the job goes on by itself once it is there."""
    data, browser = tmp_path / "data", tmp_path / "chromium"
    archive = Updated(data, {**SETTINGS, "BROWSER": str(browser), "STARTS_PER_HOUR": "600"})
    taken_away = data / "sitecustomize.py"
    with answering(page) as site, ExitStack() as undo:
        archive.set_up(*(source_toml(code, site.url) for code in ENGINES))
        for code in ENGINES:
            archive.run("create-job", "--source", code)
        if missing == "package":
            taken_away.write_text(TAKEN_AWAY)
            browser.symlink_to(str(shutil.which("chromium")))
            sentence = f"playwright is not installed. Run: {INSTALL_PACKAGES}"
        else:
            sentence = f"Chromium ({browser}) is not installed. Run: apt-get install chromium"
        processes = [
            undo.enter_context(
                running(command(name), environment=archive.environment, log=data / f"{name}.log")
            )
            for name in ("worker", "steward")
        ]
        undo.enter_context(served(archive))

        wait_for(
            lambda: state(archive, "plain") == "indexed",
            what="the job that needs nothing of it is indexed",
            seconds=PATIENCE_SECONDS,
            every=0.5,
        )
        story = wait_for(
            lambda: [
                each for each in archive.ask("why", "job", "2")["events"] if each["what"] == "park"
            ],
            what="the other job is parked",
            seconds=PATIENCE_SECONDS,
            every=0.5,
        )
        assert {each["why"] for each in story} == {f"no engine: {sentence}"}
        checked = archive.run("doctor", "--json", codes=(2,))
        assert ("playwright is not installed" if missing == "package" else str(browser)) in checked

        taken_away.unlink(missing_ok=True)
        if not browser.exists():
            browser.symlink_to(str(shutil.which("chromium")))
        wait_for(
            lambda: state(archive, "rendered") == "indexed",
            what="the job is captured once all is there",
            seconds=PATIENCE_SECONDS,
            every=0.5,
        )
        assert job(archive, "rendered")["retry_count"] == 0
        for process, name in zip(processes, ("worker", "steward"), strict=True):
            log = tail(data / f"{name}.log", 100_000)
            assert (process.poll(), "Traceback" in log) == (None, False), log


def job(archive: Archive, source: str) -> dict[str, Any]:
    """A source's job."""
    return next(each for each in archive.jobs() if each["source"] == source)


def state(archive: Archive, source: str) -> str:
    """The state of a source's job."""
    return str(job(archive, source)["status"])
