"""What services can still do under their units: render in Chromium, mount, and start at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

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
    return archive


def is_mounted(archive: Installed) -> bool:
    return f" {BOX} fuse.sshfs " in archive.read("/proc/mounts")


def test_the_steward_mounts_and_mends_for_all_to_see_without_being_root(
    far: Installed, server: Server, site: Site
) -> None:
    install(far.systemd)
    far.systemctl("restart", STEWARD)
    wait_for(lambda: is_mounted(far), what="the target is mounted", seconds=60.0, every=0.5)
    far.add_job(site.source_toml())
    wait_for(lambda: indexed(far), what="it is captured", seconds=CAPTURE_SECONDS, every=1.0)
    wait_for(
        lambda: list(server.files.rglob("*.warc.gz")), what="it is shipped", seconds=60.0, every=0.5
    )
    mounter = _sshfs(far)
    assert mounter is not None
    user = mounter.username()
    assert user != "root"
    mended = len(far.events("recovery_done"))
    assert kill(mounter.pid)  # from now on: errno 107
    wait_for(
        lambda: len(far.events("recovery_done")) > mended,
        what="it is mounted again",
        seconds=90.0,
        every=0.5,
    )
    assert is_mounted(far)
    again = _sshfs(far)
    assert again is not None
    assert again.pid != mounter.pid
    assert again.username() == user


def _sshfs(archive: Installed) -> psutil.Process | None:
    for process in psutil.Process(archive.systemd.pid).children(recursive=True):
        try:
            if process.name() == "sshfs" and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            continue
    return None


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
