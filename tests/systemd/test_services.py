"""The services of an installed archive: they capture, and whatever is done to them, come back."""

from __future__ import annotations

import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.installed import DATA_DIR, ENV_FILE, UNITS, USER, Installed
from tests.lab.processes import child_running, kill, wait_for
from tests.lab.site import Site
from tests.lab.truth import compare

WORKER = "healtharchive-worker.service"
CAPTURE_SECONDS = 120.0
FAILURES = 100
DONE = "indexed"


@contextmanager
def paused(site: Site) -> Iterator[None]:
    """The site answers nobody while the block runs: a crawl goes on for as long as that."""
    kill(site.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(site.pid, signal.SIGCONT)


def begin(archive: Installed, site: Site) -> None:
    """Have a crawl that runs."""
    archive.add_job(site.source_toml().replace("timeout_seconds = 20.0", "timeout_seconds = 120.0"))
    wait_for(lambda: archive.job()["status"] == "running", what="the crawl runs", every=0.2)


def finish(archive: Installed, site: Site) -> None:
    """The crawl ends, and what it captured is what the site serves."""
    wait_for(
        lambda: archive.job()["status"] == DONE,
        what="the job is captured and indexed",
        seconds=CAPTURE_SECONDS,
        every=1.0,
    )
    found = compare(archive.seen(archive.job()["output_dir"]), site.truth)
    assert [str(each) for each in found if not each.url.endswith("/robots.txt")] == []
    assert archive.job()["retry_count"] == 0


def test_an_installed_archive_captures_a_site_and_shows_it(archive: Installed, site: Site) -> None:
    archive.add_job(site.source_toml())
    finish(archive, site)
    with urllib.request.urlopen(f"http://127.0.0.1:{archive.port}/en/", timeout=10) as page:
        assert page.status == 200
    assert archive.show(WORKER, "StatusText") == "waits for work"
    owners = archive.systemd.run("find", str(DATA_DIR), "-printf", "%u\n").split()
    assert set(owners) == {USER}
    worker, steward = archive.ask("status")["workers"], archive.pids()
    assert worker[0]["unit"] == WORKER
    assert all(steward.values())


def test_services_that_are_killed_one_by_one_and_all_at_once_come_back(
    archive: Installed, site: Site
) -> None:
    begin(archive, site)
    with paused(site):
        for unit in UNITS:
            before = archive.pids()
            archive.signal(unit, signal.SIGKILL)
            archive.wait_until_up(unit, other_than=before)
        before = archive.pids()
        for unit in UNITS:
            archive.signal(unit, signal.SIGKILL)
        archive.wait_until_up(*UNITS, other_than=before)
    finish(archive, site)
    assert {unit: archive.show(unit, "NRestarts") for unit in UNITS} == dict.fromkeys(UNITS, "2")


def test_a_service_that_hangs_is_killed_by_its_watchdog_and_comes_back(
    archive: Installed, site: Site
) -> None:
    for unit in UNITS:
        archive.drop_in(unit, "[Service]\nWatchdogSec=6\nTimeoutAbortSec=1\n")
        archive.systemctl("restart", unit)
    archive.wait_until_up(*UNITS)
    begin(archive, site)
    with paused(site):
        before = archive.pids()
        for unit in UNITS:
            archive.signal(unit, signal.SIGSTOP)
        archive.wait_until_up(*UNITS, other_than=before)
        assert child_running(archive.systemd.pid, "healtharchive.crawl") is None or (
            archive.job()["fence"] > 1
        )
    finish(archive, site)


def test_a_hundred_fast_failures_leave_no_unit_that_stays_dead(
    archive: Installed, site: Site
) -> None:
    """First as fast as systemd can start anything, then the worker itself for a broken setting."""
    settings = archive.read(ENV_FILE)
    archive.write(ENV_FILE, "This is no setting.\n", mode="0640")
    fails_at_once = "ExecStart=\nExecStart=/bin/false\n"
    archive.drop_in(WORKER, f"[Service]\nRestartSec=10ms\n{fails_at_once}")
    archive.signal(WORKER, signal.SIGKILL)
    failed_more_than(archive, FAILURES)
    archive.drop_in(WORKER, "[Service]\nRestartSec=10ms\n")
    failed_more_than(archive, int(archive.show(WORKER, "NRestarts")) + 3)
    assert "Line 1 of the environment file" in archive.log(WORKER)
    archive.write(ENV_FILE, settings, mode="0640")
    archive.wait_until_up(WORKER)
    archive.add_job(site.source_toml())
    finish(archive, site)


def failed_more_than(archive: Installed, failures: int) -> None:
    wait_for(
        lambda: int(archive.show(WORKER, "NRestarts")) > failures,
        what=f"more than {failures} failures",
        seconds=100.0,
        every=0.5,
    )


def test_who_stops_the_worker_while_it_crawls_is_named_and_the_crawl_is_kept(
    archive: Installed, site: Site
) -> None:
    begin(archive, site)
    script = f"cd /; systemctl stop {WORKER}; exit 0"  # somebody's automation
    with paused(site):
        archive.systemd.run("sh", "-c", script)
    (received,) = archive.events("stop_signal")
    assert received["actor"]["unit"] == WORKER
    evidence = received["evidence"]
    assert (evidence["signal"], evidence["sender_user"]) == ("SIGTERM", "root")
    assert evidence["sender_command"] == f"systemctl stop {WORKER}"
    assert evidence["sender_caller"] == f"sh -c {script}"
    assert "systemd" in evidence["through"] or "init" in evidence["through"]
    assert f"systemctl stop {WORKER} (pid {evidence['sender_pid']}, root" in archive.run(
        "why", "worker"
    )
    job = archive.job()
    assert (job["status"], job["retry_count"]) == ("queued", 0)


def test_a_restart_loses_nothing(archive: Installed, site: Site) -> None:
    begin(archive, site)
    archive.systemctl("restart", *UNITS)
    archive.wait_until_up(*UNITS)
    finish(archive, site)
    assert archive.show(WORKER, "NRestarts") == "0"


# -- what the steward may have started -----------------------------------------------------------


def test_root_starts_what_the_archives_user_wants_and_nothing_else(archive: Installed) -> None:
    archive.systemctl("stop", "healtharchive-steward.service", WORKER)
    as_user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    archive.systemd.run(*as_user, "touch", "/run/healtharchive/wanted/other")
    archive.systemd.run(*as_user, "touch", "/run/healtharchive/wanted/worker")
    archive.wait_until_up(WORKER)
    assert archive.systemd.run("ls", "/run/healtharchive/wanted").split() == ["other"]
    archive.systemctl("stop", WORKER)
    # A directory in the file's place must not let it start again and again.
    archive.systemd.run(*as_user, "mkdir", "-p", "/run/healtharchive/wanted/worker/sub")
    archive.wait_until_up(WORKER)
    assert archive.systemd.run("ls", "/run/healtharchive/wanted").split() == ["other"]
    assert not archive.is_up("healtharchive-steward.service")


@pytest.mark.parametrize("how", ["stopped", pytest.param("died", marks=pytest.mark.long)])
def test_the_steward_starts_a_worker_that_is_down_while_work_waits(
    archive: Installed, site: Site, how: str
) -> None:
    archive.set(REPAY_SECONDS="2")
    archive.systemctl("restart", "healtharchive-steward.service")
    if how == "stopped":
        archive.systemctl("stop", WORKER)
    else:
        archive.drop_in(WORKER, "[Service]\nRestart=no\n")
        archive.signal(WORKER, signal.SIGKILL)
    archive.add_job(site.source_toml())
    archive.wait_until_up(WORKER)
    finish(archive, site)
    (started,) = archive.events("start")
    assert started["actor"]["unit"] == "healtharchive-steward.service"
    assert "it is down, and 1 job waits" in started["evidence"]["because"]


def test_a_declared_pause_is_respected_until_it_is_taken_back(
    archive: Installed, site: Site
) -> None:
    archive.set(REPAY_SECONDS="1")
    archive.systemctl("restart", "healtharchive-steward.service")
    archive.run("worker", "pause", "--reason", "the disk is being changed")
    archive.systemctl("stop", WORKER)
    archive.add_job(site.source_toml())
    rounds = archive.systemd.run("date", "+%s")
    wait_for(
        lambda: int(archive.systemd.run("date", "+%s")) > int(rounds) + 20,
        what="the steward has had several rounds",
        every=1.0,
    )
    assert not archive.is_up(WORKER)
    assert archive.events("start") == []
    archive.run("worker", "resume")
    archive.wait_until_up(WORKER)
    finish(archive, site)
