"""Containers under systemd: podman in a unit of its own, as the archive's user, without root."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from healtharchive.cli.machine.units import CONTAINERS, CONTAINERS_DIR, CONTAINERS_SOCKET
from tests.lab.archive import command
from tests.lab.container import image
from tests.lab.container import podman as lab_podman
from tests.lab.installed import DATA_DIR, UNITS, USER, Installed, install, installed
from tests.lab.processes import kill, wait_for
from tests.lab.site import Site, serving
from tests.systemd.test_hardened import assert_powerless, exposure, status_of

WORKER = UNITS[0]
PAGES = 8
# It makes namespaces and mounts of every kind, by set-uid programs: that is what a container is.
CONTAINERS_EXPOSURE = 5.1
CAPTURE_SECONDS = 90.0
IMAGE = "/var/tmp/image.tar"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES, nasty=False, delay=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def archive(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An archive with a source for containers; `install` has not been called since."""
    with installed(RETRY_BUDGET="1000") as made:
        saved = tmp_path_factory.mktemp("image") / "image.tar"
        lab_podman("save", "--format", "oci-archive", "--output", str(saved), image())
        shutil.copyfile(saved, made.seen(IMAGE))
        made.systemd.run("chmod", "0644", IMAGE)
        made.write("/run/source.toml", source_toml(site), mode="0644")
        made.run("source", "add", "/run/source.toml")
        yield made


def source_toml(site: Site) -> str:
    """The site, for the lab's crawler. The lab's control groups are only for runc."""
    return (
        f'engine = "container"\n{site.source_toml()}\n'
        f'[container]\nimage = "{image()}"\nruntime = "runc"\nnetwork = "host"\nworkers = 1\n'
        'ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nmemory = "512m"\nshm_size = "64m"\n'
        "save_state_seconds = 1\nharvest_seconds = 0.5\nstop_seconds = 5.0\n"
        "restart_wait_seconds = 0.1\n"
    )


def doctor(archive: Installed) -> list[str]:
    """What `doctor` says of containers, and what mends it."""
    said = archive.systemd.attempt(*command("doctor", "--json")).stdout
    found = [each for each in json.loads(said) if each["about"] == "container"]
    return [f"{each['level']} {each['sentence']} {each['cure']}" for each in found]


def ask(archive: Installed, *words: str) -> str:
    """What podman's service answers the archive's user."""
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--no-new-privs"]
    podman = [*become, "podman", "--url", f"unix://{CONTAINERS_SOCKET}", *words]
    return archive.systemd.run(*podman, environment={"HOME": str(DATA_DIR)})


def test_doctor_says_step_by_step_what_is_missing_until_nothing_is(archive: Installed) -> None:
    assert [each[:70] for each in doctor(archive)] == [
        "FAIL healtharchive has no users to give to a container (/etc/subuid). ",
        "FAIL healtharchive has no groups to give to a container (/etc/subgid).",
    ]
    ids = ("--add-subuids", "200000-265535", "--add-subgids", "200000-265535")
    archive.systemd.run("usermod", *ids, USER)
    (said,) = doctor(archive)
    assert said.startswith(f"FAIL {CONTAINERS} does not run podman, which demo needs")
    assert "healtharchive install" in said
    told = install(archive.systemd)
    assert f"write /etc/systemd/system/{CONTAINERS} (0644 root:root)" in told
    archive.systemctl("restart", "healtharchive.target")
    archive.wait_until_up(*UNITS, CONTAINERS)
    wait_for(archive.seen(CONTAINERS_SOCKET).is_socket, what="podman listens")
    fine, missing = doctor(archive)
    assert fine.startswith(f"OK {CONTAINERS} runs podman with runc, for the source demo.")
    assert missing.startswith(f"WARN The image {image()} of demo is not here.")
    ask(archive, "load", "--quiet", "--input", IMAGE)
    assert [each[:2] for each in doctor(archive)] == ["OK"]
    assert install(archive.systemd).startswith("Nothing is to be done")


def test_the_worker_stays_as_closed_as_it_was_and_podmans_unit_has_its_bound(
    archive: Installed,
) -> None:
    assert exposure(archive, WORKER) <= 3.0
    rating = exposure(archive, CONTAINERS)
    print(f"{CONTAINERS} is rated {rating}")
    assert rating <= CONTAINERS_EXPOSURE
    assert_powerless(status_of(archive, archive.main_pid(WORKER)), may_gain=False)
    assert archive.systemd.run("stat", "-c", "%a %U", CONTAINERS_DIR).split() == ["700", USER]


def test_a_container_outlives_its_killed_worker_and_the_next_attempt_adopts_it(
    archive: Installed,
) -> None:
    job = add_job(archive)
    crawler = wait_for_captures(archive, job)
    assert crawler.username() != "root"
    assert os.readlink(f"/proc/{crawler.pid}/ns/user") != os.readlink(
        f"/proc/{archive.systemd.pid}/ns/user"
    )
    before = archive.pids()
    archive.signal(WORKER, 9)
    archive.wait_until_up(WORKER, other_than=before)
    told(archive, job, "adopted the container")
    assert crawler.is_running(), "it was killed with its worker"
    assert_captured(archive, job)


@pytest.mark.long
def test_podman_that_is_killed_leaves_its_containers_alive(archive: Installed) -> None:
    job = add_job(archive)
    crawler = wait_for_captures(archive, job)
    before = {CONTAINERS: archive.main_pid(CONTAINERS)}
    archive.systemctl("kill", "--kill-whom=main", "--signal=KILL", CONTAINERS)
    archive.wait_until_up(CONTAINERS, other_than=before)
    assert crawler.is_running()
    assert_captured(archive, job)


def test_after_every_process_of_containers_was_killed_podman_comes_back_and_the_job_goes_on(
    archive: Installed,
) -> None:
    job = add_job(archive)
    wait_for_captures(archive, job)
    before = {CONTAINERS: archive.main_pid(CONTAINERS)}
    for process in in_containers(archive):
        kill(process.pid)
    archive.wait_until_up(CONTAINERS, other_than=before)
    assert_captured(archive, job)


def test_a_removal_leaves_neither_unit_nor_container(archive: Installed) -> None:
    job = add_job(archive)
    wait_for_captures(archive, job)
    archive.systemctl("kill", "--signal=KILL", WORKER)  # so that nobody stops the crawler
    assert f"remove /etc/systemd/system/{CONTAINERS}" in install(archive.systemd, "--remove")
    wait_for(lambda: not in_containers(archive), what="no process is left")
    said = archive.systemctl("list-unit-files", "--no-legend", CONTAINERS, codes=(0, 1))
    assert said == ""


def add_job(archive: Installed) -> int:
    """A job that crawls the site anew; the earlier ones have ended."""
    archive.run("create-job", "--source", "demo")
    return max(int(each["id"]) for each in archive.ask("list-jobs"))


def status(archive: Installed, job: int) -> str:
    return next(str(each["status"]) for each in archive.ask("list-jobs") if each["id"] == job)


def wait_for_captures(archive: Installed, job: int) -> psutil.Process:
    """Until the job's container has captured something; its crawler."""
    told(archive, job, "started the container")

    def crawling() -> psutil.Process | None:
        (found,) = (each for each in archive.ask("list-jobs") if each["id"] == job)
        return _crawler(archive) if found["counts"]["done"] else None

    return wait_for(crawling, what="something is captured", seconds=60.0, every=0.3)


def _crawler(archive: Installed) -> psutil.Process | None:
    return next((p for p in in_containers(archive) if "tests.lab.zimit" in p.cmdline()), None)


def in_containers(archive: Installed) -> list[psutil.Process]:
    """The living processes of podman's unit, as this side sees them."""
    found = []
    for process in psutil.Process(archive.systemd.pid).children(recursive=True):
        try:
            group = Path(f"/proc/{process.pid}/cgroup").read_text()
            if CONTAINERS in group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def told(archive: Installed, job: int, words: str) -> None:
    """Wait until the job's events have these words."""

    def seen() -> bool:
        noted = [each for each in archive.events("note") if each["subject_id"] == str(job)]
        return any(words in each["why"] for each in noted)

    wait_for(seen, what=f"job {job}: {words}", seconds=60.0, every=0.3)


def assert_captured(archive: Installed, job: int) -> None:
    wait_for(
        lambda: status(archive, job) == "indexed",
        what=f"job {job} is captured",
        seconds=CAPTURE_SECONDS,
        every=0.5,
    )
    assert ask(archive, "ps", "--all", "--quiet") == ""
