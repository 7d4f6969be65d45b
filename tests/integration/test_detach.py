"""Detached runs: in a real systemd they outlive their shell; without one, another way is said."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import example, given
from hypothesis import strategies as st

from healtharchive.cli.detach import environment_text
from healtharchive.settings import envfile
from tests.lab.archive import Archive, command
from tests.lab.crawling import committed_urls
from tests.lab.processes import (
    ROOT,
    child_running,
    is_alive,
    kill,
    kill_tree,
    running,
    spawn,
    wait_for,
    without_settings,
)
from tests.lab.site import Site, serving
from tests.lab.small_site import Answer, answering
from tests.lab.systemd import Systemd, booted
from tests.lab.truth import compare, warc_files

PAGES = 40
ODD = 'The lab\'s "archive" $HOME `id` %n \\ é <lab@example.org>'
RUN = ("run-db-job", "--id", "1", "--detach")
RUNTIME = "/run/user/65534"
DONE = ("completed", "indexing", "indexed")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES, nasty=False, delay=0.3) as running_site:
        yield running_site


@pytest.fixture
def archive(site: Site, tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "data", {"OPERATOR": ODD, "STOP_SECONDS": "5"})
    made.set_up(site.source_toml().replace("timeout_seconds = 20.0", "timeout_seconds = 120.0"))
    made.run("create-job", "--source", "demo")
    return made


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with booted(ROOT, Path(sys.prefix), tmp_path) as machine:
        yield machine


@contextmanager
def paused(site: Site) -> Iterator[None]:
    """The site answers nobody while the block runs: a crawl goes on for as long as that."""
    kill(site.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(site.pid, signal.SIGCONT)


def refusal(archive: Archive, code: int, *words: str, prefix: tuple[str, ...] = ()) -> str:
    """What a command says on stderr that ends with this exit code."""
    done = subprocess.run(
        [*prefix, *command(*words)],
        env={**without_settings(), **archive.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def within(systemd: Systemd, archive: Archive, *words: str, **environment: str) -> str:
    """What a command of the archive prints in there."""
    given = {**archive.environment, **environment}
    if words[0] != "status":
        return systemd.run(*command(*words), environment=given)
    done = systemd.attempt(*command(*words), environment=given)
    assert done.returncode in (0, 1, 2), done.stderr  # its verdict
    return done.stdout


def ask(systemd: Systemd, archive: Archive, *words: str) -> Any:
    return json.loads(within(systemd, archive, *words, "--json"))


def differences(archive: Archive, site: Site) -> list[str]:
    """How the captured set differs from what the site serves; a tidy site has no robots.txt."""
    found = compare(archive.job_dir(), site.truth)
    return [str(each) for each in found if not each.url.endswith("/robots.txt")]


# -- in a real systemd -----------------------------------------------------------------------


def test_a_detached_job_is_captured_to_its_end_though_its_shell_is_gone(
    systemd: Systemd, archive: Archive, site: Site
) -> None:
    with paused(site):
        unit = _detached_by_a_shell_that_is_killed(systemd, archive)
        assert systemd.active(unit)
    wait_for(lambda: not systemd.active(unit), what="the unit has ended", seconds=60.0)
    assert archive.job()["status"] in DONE
    assert archive.job()["attempt_count"] == 1
    assert differences(archive, site) == []
    assert ODD in _operator(archive)
    assert "attempt 1: complete" in systemd.run("journalctl", "--no-pager", "-u", unit)


def _detached_by_a_shell_that_is_killed(systemd: Systemd, archive: Archive) -> str:
    """The unit. While the shell is there, all is asked that can be asked of a running one."""
    told = archive.data_dir / "told"
    line = f"export LAB_LOGIN=only-here; {shlex.join(command(*RUN))} > {told}; sleep 600"
    shell = spawn(systemd.command("setsid", "sh", "-c", line), environment=archive.environment)
    try:
        unit = wait_for(lambda: _unit_in(told), what="the unit's name is told")
        (job,) = wait_for(
            lambda: ask(systemd, archive, "status")["running"], what="status shows the job"
        )
        assert job["unit"] == unit
        assert f" in {unit}" in within(systemd, archive, "status")
        assert unit in within(systemd, archive, "show-job", "--id", "1")
        _nothing_leaks(systemd, archive, unit)
        already = systemd.attempt(*command(*RUN), environment=archive.environment)
        assert already.returncode == 2
        assert f"has a detached unit already: {unit}" in already.stderr
    finally:
        kill_tree(shell)
    return unit


def test_systemctl_stop_lets_a_detached_job_commit_and_says_who_stopped_it(
    systemd: Systemd, archive: Archive, site: Site
) -> None:
    unit = ask(systemd, archive, *RUN)["unit"]
    frontier = archive.job_dir() / "frontier.sqlite"
    wait_for(lambda: committed_urls(frontier) >= 5, what="some URLs are done", every=0.02)
    with paused(site):
        crawl = child_running(systemd.pid, "healtharchive.crawl")
        assert crawl is not None
        systemd.run("systemctl", "stop", unit)
        assert not is_alive(crawl)
    job = archive.job()
    assert (job["status"], job["retry_count"], job["park_count"]) == ("queued", 0, 0)
    assert job["counts"]["done"] >= 5
    assert job["counts"]["queued"] > 0
    events = [json.loads(line) for line in archive.run("events", "--json").splitlines()]
    (received,) = [each for each in events if each["what"] == "stop_signal"]
    assert received["actor"]["unit"] == unit
    assert received["evidence"]["signal"] == "SIGTERM"
    assert received["evidence"]["sender_command"] == f"systemctl stop {unit}"
    (released,) = [each for each in events if each["what"] == "release"]
    assert f"systemctl stop {unit}" in released["why"]
    again = ask(systemd, archive, *RUN)["unit"]
    assert again == unit
    wait_for(lambda: not systemd.active(unit), what="the unit has ended", seconds=60.0)
    assert differences(archive, site) == []
    assert archive.job()["retry_count"] == 0


def test_a_run_until_settled_waits_in_its_unit_for_a_parked_job(
    systemd: Systemd, archive: Archive
) -> None:
    _park(archive)
    waits = systemd.attempt(*command(*RUN), environment=archive.environment)
    assert waits.returncode == 2
    assert "is parked until" in waits.stderr
    unit = ask(systemd, archive, *RUN, "--until-settled")["unit"]
    (waiting,) = wait_for(lambda: ask(systemd, archive, "status")["workers"], what="it waits")
    assert waiting["unit"] == unit
    assert f" in {unit}, since " in within(systemd, archive, "status")
    refused = systemd.attempt(
        *command(*RUN, "--until-settled"), environment=archive.environment
    ).stderr
    assert f"has a detached unit already: {unit}" in refused
    systemd.run("systemctl", "stop", unit)
    assert archive.jobs()[0]["status"] == "parked"


def test_the_systemd_of_a_user_is_asked_once_it_stays_after_the_last_login(
    systemd: Systemd, archive: Archive, site: Site
) -> None:
    _let_nobody_in(systemd, archive)
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    environment = {**archive.environment, "XDG_RUNTIME_DIR": RUNTIME}
    detach = (*as_nobody, *command(*RUN))
    alone = systemd.attempt(*detach, environment=environment)
    assert alone.returncode == 3, alone.stderr
    assert "user nobody has no systemd of their own here" in alone.stderr
    _start_user_manager(systemd)
    leaving = systemd.attempt(*detach, environment=environment)
    assert leaving.returncode == 3, leaving.stderr
    assert "`loginctl enable-linger nobody`" in leaving.stderr
    systemd.run("mkdir", "-p", "/var/lib/systemd/linger")
    systemd.run("touch", "/var/lib/systemd/linger/nobody")
    with paused(site):
        told = json.loads(systemd.run(*detach, "--json", environment=environment))
        assert told["scope"] == "user"
        (job,) = wait_for(
            lambda: ask(systemd, archive, "status")["running"], what="status shows the job"
        )
        assert job["unit"] == told["unit"]
        look = (*as_nobody, *shlex.split(told["status_command"]))
        assert "Active: active" in systemd.run(*look, environment=environment)
    wait_for(lambda: archive.job()["status"] in DONE, what="it is captured", seconds=60.0)
    assert differences(archive, site) == []


def _let_nobody_in(systemd: Systemd, archive: Archive) -> None:
    """The archive is theirs, and Python can be reached: in there alone, for `/` is a copy."""
    for path in (archive.data_dir, *archive.data_dir.rglob("*")):
        os.chown(path, 65534, 65534)
    python = Path(sys.executable).resolve()
    for each in {*python.parents, *ROOT.parents, *archive.data_dir.parent.parents}:
        systemd.run("chmod", "o+x", each)
    archive.data_dir.parent.chmod(0o755)


def _start_user_manager(systemd: Systemd) -> None:
    """What logind and PAM would do for a user who logs in."""
    systemd.run("install", "-d", "-o", "65534", "-g", "65534", "-m", "700", RUNTIME)
    options = ["--uid=65534", "--gid=65534", "--service-type=notify", "--property=Delegate=yes"]
    options += ["--unit=lab-user-manager.service", f"--setenv=XDG_RUNTIME_DIR={RUNTIME}"]
    systemd.run("systemd-run", *options, "/lib/systemd/systemd", "--user")


def _unit_in(told: Path) -> str | None:
    found = re.search(r"runs in (\S+\.service)", told.read_text() if told.exists() else "")
    return found[1] if found else None


def _nothing_leaks(systemd: Systemd, archive: Archive, unit: str) -> None:
    """The settings are with the process, and nowhere that others can read."""
    shown = systemd.run("systemctl", "show", unit)
    assert "HEALTHARCHIVE_" not in shown
    assert not list((archive.data_dir / "state").glob("*.env"))
    pid = systemd.run("systemctl", "show", "--property=MainPID", "--value", unit).strip()
    environment = systemd.run("cat", f"/proc/{pid}/environ").split("\0")
    assert f"HEALTHARCHIVE_OPERATOR={ODD}" in environment
    assert not [each for each in environment if each.startswith("LAB_LOGIN")]
    assert systemd.run("readlink", f"/proc/{pid}/cwd").strip() == "/"
    assert ODD not in systemd.run("cat", f"/proc/{pid}/cmdline")


def _operator(archive: Archive) -> str:
    (first, *_) = warc_files(archive.job_dir())
    with first.open("rb") as stream:
        info = next(ArchiveIterator(stream, record_types=WarcRecordType.warcinfo))
        return str(info.reader.read().decode())


# -- without systemd -------------------------------------------------------------------------

# A machine that systemd runs has this directory; ours may be one.
WITHOUT = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run; exec "$@"', "sh")


def test_without_systemd_another_way_is_offered_and_it_works(archive: Archive) -> None:
    said = refusal(archive, 3, *RUN, prefix=WITHOUT)
    assert "this machine is not run by systemd" in said
    assert "`healtharchive worker`" in said
    (line,) = re.findall(r"`(setsid [^`]*)`", said)
    log = archive.data_dir / "job-1.log"
    assert str(log) in line
    shell = spawn(["sh", "-c", line], environment=archive.environment)
    assert shell.wait(10) == 0
    try:
        wait_for(lambda: archive.job()["status"] in DONE, what="the job is captured", seconds=60.0)
    finally:
        for pid in _holders(archive):
            kill(pid)
    assert "attempt 1: complete" in log.read_text()


def _holders(archive: Archive) -> list[int]:
    """The processes that hold a job still."""
    held = (each["lease_owner"] for each in archive.jobs())
    return [int(each.rsplit(":", 3)[1]) for each in held if each]


# -- what cannot be run now ------------------------------------------------------------------


def test_jobs_that_cannot_run_are_refused_with_the_reason(archive: Archive, site: Site) -> None:
    assert "There is no job 99" in refusal(archive, 4, "run-db-job", "--id", "99", "--detach")
    archive.run("pause", "--id", "1")
    assert "Job 1 is paused: there is nothing to run" in refusal(archive, 2, *RUN)
    archive.run("resume", "--id", "1")
    run = command("run-db-job", "--id", "1")
    with paused(site), running(run, environment=archive.environment) as other:
        wait_for(lambda: archive.job()["lease_owner"], what="somebody runs it")
        said = refusal(archive, 2, *RUN)
        assert "Job 1 is running already, at " in said
        assert f":{other.pid}:" in said


def test_a_parked_job_is_refused_until_its_time(archive: Archive) -> None:
    _park(archive)
    job = archive.jobs()[0]
    said = refusal(archive, 2, *RUN)
    assert f"Job 1 is parked until {job['not_before'][:19]}" in said
    assert "robots.txt cannot be had" in said
    assert "--until-settled" in said


def _park(archive: Archive) -> None:
    """The job of a site that is not there: parked by a real attempt."""
    with answering(lambda _host, _path: Answer(b"")) as gone:
        url = gone.url
    source = archive.data_dir / "gone.toml"
    text = (archive.data_dir / "added-0.toml").read_text()
    source.write_text(re.sub(r"http://127\.0\.0\.1:[0-9]+", url, text))
    archive.run("source", "add", str(source))
    archive.run("run-db-job", "--id", "1")
    assert archive.jobs()[0]["status"] == "parked"


# -- the settings' file ----------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Z][A-Z_]{0,10}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"))


@given(st.dictionaries(NAMES, VALUES))
@example({"A": "\\\n"})  # an escaped backslash at a line's end joins nothing
def test_settings_are_read_back_as_they_were(environment: dict[str, str]) -> None:
    parsed = envfile.parse(environment_text(environment), Path("settings.env"))
    assert {each.name: each.value for each in parsed} == environment
