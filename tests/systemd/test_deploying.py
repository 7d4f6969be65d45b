"""A new version goes live on an installed archive, in the middle of a crawl."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.lab.archive import command
from tests.lab.installed import DATA_DIR, UNITS, USER, Installed
from tests.lab.processes import kill_tree, running, wait_for, without_settings
from tests.lab.site import Site
from tests.lab.truth import compare


def as_root(archive: Installed, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """What a command of root's prints."""
    done = subprocess.run(
        archive.systemd.command(*command(*words)),
        env=without_settings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )
    assert done.returncode in codes, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def test_every_service_is_restarted_and_nothing_is_lost(archive: Installed, site: Site) -> None:
    slow = site.source_toml().replace("timeout_seconds = 20.0", "timeout_seconds = 120.0")
    archive.add_job(slow)
    wait_for(lambda: archive.job()["status"] == "running", what="the crawl runs", every=0.2)
    before = archive.pids()
    said = as_root(archive, "deploy", "run", "--reason", "a test")
    assert said.splitlines()[-1] == "The new version is live."
    archive.wait_until_up(*UNITS, other_than=before)
    wait_for(
        lambda: archive.job()["status"] == "indexed",
        what="the job is captured and indexed",
        seconds=180.0,
        every=0.5,
    )
    job = archive.job()
    assert (job["retry_count"], job["rescue_count"]) == (0, 0)
    found = compare(archive.seen(job["output_dir"]), site.truth)
    assert [str(each) for each in found if not each.url.endswith("/robots.txt")] == []
    assert len(archive.events("restart_owed")) == len(archive.events("restart_repaid")) == 3
    assert [each["why"] for each in archive.events("began")][-1] == "a test"
    owners = archive.systemd.run("find", str(DATA_DIR), "-printf", "%u\n").split()
    assert set(owners) == {USER}
    assert not archive.seen(DATA_DIR / "deploy.lock").exists()


def test_a_service_that_cannot_start_is_told_with_the_way_back(archive: Installed) -> None:
    worker = "healtharchive-worker.service"
    archive.drop_in(worker, "[Service]\nExecStart=\nExecStart=/bin/false\nTimeoutStartSec=5\n")
    said = as_root(archive, "deploy", "run", codes=(1,))
    assert "It failed: restart the worker" in said
    assert f"systemctl restart {' '.join(UNITS)}" in said
    assert archive.is_up("healtharchive-serve.service")
    assert not archive.seen(DATA_DIR / "deploy.lock").exists()
    drop_in = f"/etc/systemd/system/{worker}.d/lab.conf"
    archive.systemd.run("rm", drop_in)
    archive.systemctl("daemon-reload")
    archive.wait_until_up(worker)  # systemd tries again by itself


def test_doctor_finds_the_installed_machine_in_order_and_then_what_was_changed(
    archive: Installed,
) -> None:
    def units() -> set[str]:
        found = json.loads(as_root(archive, "doctor", "--json", codes=(0, 1, 2)))
        lines = [each for each in found if each["about"] in ("units", *names)]
        return {f"{each['about']} {each['level']}" for each in lines}

    names = ("worker", "steward", "data_dir", "jobs_root", "settings")
    assert units() == {f"{each} OK" for each in ("units", *names)}
    path = Path("/etc/systemd/system/healtharchive-worker.service")
    text = archive.read(str(path))
    archive.write(str(path), text.replace("Restart=always", "Restart=no"), mode="0644")
    assert {"units WARN"} <= units()


def test_a_killed_deployment_leaves_no_service_down(archive: Installed) -> None:
    unit = "healtharchive-steward.service"
    stopping = (
        "import time; from healtharchive.cli.machine.systemctl import Systemctl;"
        "ours = Systemctl(60.0); ours.start_when_we_end('steward'); ours.stop('steward');"
        "time.sleep(300)"
    )
    with running(archive.systemd.command(sys.executable, "-c", stopping)) as process:
        wait_for(lambda: archive.show(unit, "ActiveState") == "inactive", what="it is stopped")
        kill_tree(process)
        archive.wait_until_up(unit)
