"""What services can still do under their units: render in Chromium, mount, and start at all."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.lab.front_site import front_site
from tests.lab.installed import DATA_DIR, UNITS, USER, Installed, install
from tests.lab.mounts import Server, sshd
from tests.lab.processes import kill, wait_for
from tests.lab.site import Site

WORKER, STEWARD, _ = UNITS
BOX = "/srv/healtharchive/box"
KEY = "/etc/healtharchive/id_ed25519"
CAPTURE_SECONDS = 240.0
# It mounts for all to see: no view of the file system of its own, which is most of a rating.
MOUNTER_EXPOSURE = 4.5


def indexed(archive: Installed) -> bool:
    return bool(archive.job()["status"] == "indexed")


def test_pages_are_rendered_in_a_chromium_that_has_its_own_sandbox(archive: Installed) -> None:
    with front_site() as site:
        archive.add_job(site.source_toml(engine="browser"), "front")
        sandboxes = wait_for(
            lambda: _renderer_namespaces(archive), what="a page is rendered", seconds=60.0
        )
        wait_for(lambda: indexed(archive), what="it is captured", seconds=CAPTURE_SECONDS, every=1)
    assert archive.job()["counts"]["failed"] == 0
    assert "rendered in a browser" in archive.run("show-job", "--id", "1")
    # Not the worker's own: Chromium could make them.
    assert all(each != _namespace(archive, archive.systemd.pid) for each in sandboxes)


def _renderer_namespaces(archive: Installed) -> set[str]:
    """The user namespaces of Chromium's renderers in there."""
    found = set()
    for process in psutil.Process(archive.systemd.pid).children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                assert "--no-sandbox" not in process.cmdline()
                found.add(_namespace(archive, process.pid))
        except (psutil.Error, OSError):
            continue
    return found


def _namespace(archive: Installed, pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/user")


# -- mounts --------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    with sshd() as running:
        yield running


@pytest.fixture
def far(archive: Installed, server: Server) -> Installed:
    """The archive with a target on sshfs, which the steward mounts."""
    command = [word for word in server.mount_command(BOX) if word]  # type: ignore[arg-type]
    words = [re.sub(r"^IdentityFile=.*", f"IdentityFile={KEY}", word) for word in command]
    words = [word.replace("reconnect,allow_other", "reconnect") for word in words]
    text = (
        f'[[target]]\nname = "box"\nkind = "mount"\nroot = "{BOX}"\nfilesystem = "fuse.sshfs"\n'
        f'source = "{server.source}"\nserver = "127.0.0.1:{server.port}"\nship = true\n'
        f"mount_command = {words!r}\n"
    )
    run = archive.systemd.run
    run("mknod", "-m", "666", "/dev/fuse", "c", "10", "229")  # this systemd's /dev has only a few
    archive.write(KEY, server.key.read_text(), mode="0600")
    run("chown", USER, KEY)
    archive.write(str(DATA_DIR / "targets.toml"), text, mode="0644")
    run("chown", USER, str(DATA_DIR / "targets.toml"))
    return archive


def is_mounted(archive: Installed) -> bool:
    return f" {BOX} fuse.sshfs " in archive.read("/proc/mounts")


def test_a_steward_without_power_mends_a_killed_mount_and_its_hot_path_through_the_mounter(
    far: Installed, server: Server, site: Site
) -> None:
    install(far.systemd)
    far.systemctl("restart", STEWARD)
    wait_for(lambda: is_mounted(far), what="the target is mounted", seconds=60.0, every=0.5)
    far.add_job(site.source_toml())
    wait_for(lambda: indexed(far), what="it is captured", seconds=CAPTURE_SECONDS, every=1.0)
    wait_for(
        lambda: list(server.files.rglob("*.warc.gz")),
        what="it is shipped",
        seconds=180.0,
        every=0.5,
    )
    assert_powerless(status_of(far, far.main_pid(STEWARD)), may_gain=False)
    first = _sshfs(far)
    assert first is not None
    user = first.username()
    assert user != "root"
    assert_powerless(Path(f"/proc/{first.pid}/status").read_text(), may_gain=True)

    hot = _hot_path(far)
    far.systemctl("restart", STEWARD, "healtharchive-mounter.socket")
    assert first.is_running(), "sshfs outlives whoever had it started"
    mended = len(far.events("recovery_done"))
    assert kill(first.pid)  # from now on: errno 107
    wait_for(
        lambda: len(far.events("recovery_done")) > mended,
        what="it is mounted again",
        seconds=90.0,
        every=0.5,
    )
    again = _sshfs(far)
    assert again is not None
    assert (again.username(), again.pid != first.pid) == (user, True)
    for unit in UNITS:  # each service has a view of its own: what was mended is live in it
        within = ("nsenter", "-t", str(far.main_pid(unit)), "-m")
        for place in (BOX, hot):
            as_user(far, "touch", f"{place}/{unit}", within=within)
    assert len(list(server.files.rglob("*.service"))) == 2 * len(UNITS)
    assert not far.systemctl("list-units", "--failed", "--no-legend", "healtharchive*").strip()


def _hot_path(archive: Installed) -> str:
    """The directory of a second job, which `tier` has bound to the target as the archive's user."""
    archive.run("worker", "pause", "--reason", "a hot path is made")
    archive.run("create-job", "--source", "demo")
    (job,) = (each for each in archive.ask("list-jobs") if each["id"] == 2)
    archive.run("tier", "apply", "--target", "box", "--job", "2")
    return str(job["output_dir"])


def as_user(archive: Installed, *words: str, within: tuple[str, ...] = ()) -> str:
    become = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    return archive.systemd.run(*within, *become, *words)


def _sshfs(archive: Installed) -> psutil.Process | None:
    for process in psutil.Process(archive.systemd.pid).children(recursive=True):
        try:
            if process.name() == "sshfs" and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            continue
    return None


def status_of(archive: Installed, pid: int) -> str:
    return archive.read(f"/proc/{pid}/status")


def assert_powerless(status: str, *, may_gain: bool) -> None:
    """No capability, and with `may_gain` a set-uid program such as fusermount3 may have some."""
    found = dict(re.findall(r"^(\w+):\s*(\w+)$", status, re.MULTILINE))
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == int(found["CapAmb"], 16) == 0
    assert (found["NoNewPrivs"] == "0") is may_gain
    assert may_gain or int(found["CapBnd"], 16) == 0


def test_services_that_use_a_mount_are_rated_at_most_3_and_the_mounter_stays_at_its_bound(
    far: Installed,
) -> None:
    install(far.systemd)
    for unit in UNITS:
        assert exposure(far, unit) <= 3.0, unit
    rating = exposure(far, "healtharchive-mounter@.service")
    print(f"the mounter is rated {rating}")
    assert rating <= MOUNTER_EXPOSURE


def exposure(archive: Installed, unit: str) -> float:
    """How systemd rates the unit as it is installed, of 10."""
    said = archive.systemd.run("systemd-analyze", "security", "--no-pager", unit)
    return float(re.findall(r"exposure level for \S+ ([0-9.]+)", said)[0])


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as mounter:
    mounter.connect("/run/healtharchive/mounter")
    mounter.sendall(sys.argv[1].encode() + b"\\n")
    print(mounter.recv(9999).decode())
"""
ORDER = '{"verb": "mount", "target": "box", "job": ""}'


def test_the_mounter_does_what_is_declared_for_whom_it_is_declared_and_nothing_else(
    far: Installed,
) -> None:
    install(far.systemd)
    far.systemctl("stop", STEWARD)
    far.systemctl("start", "healtharchive-mounter.socket")
    assert "knows no target 'attic'" in ask(far, ORDER.replace("box", "attic"))
    assert "cannot 'chown'" in ask(far, ORDER.replace("mount", "chown"))
    assert "is no directory of a job" in ask(far, ORDER.replace('""', '"../../etc"'))
    assert "is longer than 1024 bytes" in ask(far, "x" * 2000)
    assert "is no JSON" in ask(far, "mount box")
    # One who has come to be in the archive's group, and one who has not.
    in_group = ask(far, ORDER, user="nobody", group=USER)
    assert "may not ask the mounter: only healtharchive and root may" in in_group
    assert "PermissionError" in ask(far, ORDER, user="nobody", group="nogroup")
    assert not is_mounted(far)
    # What the archive's user writes to the targets file is not declared before root says so.
    as_user(far, "sed", "-i", "s/sshfs/touch/", str(DATA_DIR / "targets.toml"))
    assert '"ok": true' in ask(far, ORDER)
    assert is_mounted(far)


def ask(archive: Installed, order: str, *, user: str = USER, group: str = USER) -> str:
    """What the mounter answers a process of that user, or why it cannot be asked."""
    become = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups")
    done = archive.systemd.attempt(*become, sys.executable, "-c", ASK, order)
    return done.stdout + done.stderr


def test_all_start_and_capture_while_a_mount_is_missing_and_cannot_be_had(
    far: Installed, server: Server, site: Site
) -> None:
    server.end()
    far.systemctl("stop", "healtharchive.target")
    far.systemctl("start", "healtharchive.target")
    far.wait_until_up(*UNITS)
    assert not is_mounted(far)
    far.add_job(site.source_toml())
    wait_for(lambda: indexed(far), what="it is captured", seconds=CAPTURE_SECONDS, every=1.0)


def test_all_start_and_capture_while_a_mount_hangs(
    far: Installed, server: Server, site: Site
) -> None:
    far.systemctl("stop", STEWARD)
    mount = [word.replace(str(server.key), KEY) for word in server.mount_command(BOX)]  # type: ignore[arg-type]
    far.systemd.run("mkdir", "-p", BOX)
    far.systemd.run(*mount)
    server.hang()
    try:
        far.systemctl("restart", *UNITS)
        far.wait_until_up(*UNITS)
        far.add_job(site.source_toml())
        wait_for(lambda: indexed(far), what="it is captured", seconds=CAPTURE_SECONDS, every=1.0)
    finally:
        server.resume()
