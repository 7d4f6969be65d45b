"""What the mounter mends under its own unit: a mount that hangs, and one that root's unit makes."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from tests.lab.installed import DATA_DIR, UNITS, USER, Installed, install
from tests.lab.mounts import Server, sshd
from tests.lab.processes import kill, wait_for

STEWARD = UNITS[1]
BOX, NAS = "/srv/healtharchive/box", "/srv/healtharchive/nas"
UNIT = "srv-healtharchive-nas.mount"
KEY = "/etc/healtharchive/id_ed25519"
MENDED_SECONDS = 90.0


@dataclass(frozen=True)
class Far:
    """An archive with two targets on one server: its own command mounts one, a unit the other."""

    archive: Installed

    def sshfs(self, root: str) -> psutil.Process:
        """The process that serves a mount in there."""
        (found,) = (each for each in self._sshfs() if root in each.cmdline())
        return found

    def _sshfs(self) -> Iterator[psutil.Process]:
        for process in psutil.Process(self.archive.systemd.pid).children(recursive=True):
            named = process.name() in ("sshfs", "mount.fuse.sshfs")
            if named and process.status() != psutil.STATUS_ZOMBIE:
                yield process

    def mended(self, target: str) -> list[str]:
        """The steps of each repair of a target that went well."""
        events = self.archive.events("recovery_done")
        return [str(e["evidence"]["steps"]) for e in events if e["subject_id"] == target]


@pytest.fixture
def server() -> Iterator[Server]:
    with sshd() as running:
        yield running


@pytest.fixture
def far(archive: Installed, server: Server) -> Far:
    words = [
        re.sub("^IdentityFile=.*", f"IdentityFile={KEY}", w) for w in server.mount_command(BOX)
    ]  # type: ignore[arg-type]
    options = [word for word in words if "=" in word]
    words = [word.replace("reconnect,allow_other", "reconnect") for word in words]
    both = f'kind = "mount"\nfilesystem = "fuse.sshfs"\nsource = "{server.source}"\n'
    box = f'[[target]]\nname = "box"\nroot = "{BOX}"\n{both}mount_command = {words!r}\n'
    nas = f'[[target]]\nname = "nas"\nroot = "{NAS}"\n{both}unit = "{UNIT}"\n'
    unit = (
        f"[Mount]\nWhat={server.source}\nWhere={NAS}\nType=fuse.sshfs\n"
        f"Options=port={server.port},allow_other,{','.join(options)}\n"
    )
    archive.systemd.run("mknod", "-m", "666", "/dev/fuse", "c", "10", "229")
    archive.write(KEY, server.key.read_text(), mode="0600")
    archive.systemd.run("chown", USER, KEY)
    archive.write(f"/etc/systemd/system/{UNIT}", unit, mode="0644")
    archive.write(str(DATA_DIR / "targets.toml"), box + nas, mode="0644")
    archive.set(PROBE_EVERY_SECONDS="1")
    install(archive.systemd)
    archive.systemctl("restart", STEWARD)
    return Far(archive)


def test_a_mount_that_hangs_and_one_that_a_unit_makes_are_mended_through_the_mounter(
    far: Far,
) -> None:
    wait_for(
        lambda: far.mended("box") and far.mended("nas"),
        what="both are mounted",
        seconds=MENDED_SECONDS,
        every=0.5,
    )
    box, nas = far.sshfs(BOX), far.sshfs(NAS)
    assert (box.username() != "root", nas.username()) == (True, "root")
    before = {name: len(far.mended(name)) for name in ("box", "nas")}
    for each in (box, nas):
        assert kill(each.pid, signal.SIGSTOP)
    for name in ("box", "nas"):
        wait_for(
            lambda name=name: len(far.mended(name)) > before[name],  # type: ignore[misc]
            what=f"{name} is mounted again",
            seconds=MENDED_SECONDS,
            every=0.5,
        )
        steps = far.mended(name)[-1]
        assert re.search("abort connection .*: aborted", steps), steps
        assert re.search(r"end process .*: process \d+ killed", steps), steps
    assert far.sshfs(BOX).pid != box.pid
    assert (far.sshfs(NAS).username(), far.sshfs(NAS).pid != nas.pid) == ("root", True)
    assert far.archive.is_up(UNIT)
    log = far.archive.log("healtharchive-mounter@*")
    assert "A bug" not in log
    assert "Traceback" not in log
