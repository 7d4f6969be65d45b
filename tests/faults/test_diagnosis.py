"""Real faults diagnosed: evidence is collected before anything is touched, and kept in files."""

from __future__ import annotations

import shutil
from pathlib import Path

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import evidence, mounting
from healtharchive.storage.diagnosis import CauseKind, diagnose
from healtharchive.storage.mount_process import mount_process
from healtharchive.storage.mountinfo import read_mounts
from tests.lab import mounts
from tests.lab.processes import kill, wait_for
from tests.lab.targets import box, cause_of, look, mounted_pid

MOUNT_SECONDS = 15.0
LOOK_SECONDS = 10.0
HANG_SECONDS = 0.7


def test_a_killed_process_is_diagnosed_and_the_bundles_are_compared(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        kill(mounted_pid(base))
        wait_for(lambda: mount_process(read_mounts(), base) is None, what="sshfs ended")
        cause, before = cause_of(base, exit_status=-9)
        mounting.unmount_all(base.root)
        mounting.mount(base, MOUNT_SECONDS)
        _, after = cause_of(base)
    assert cause.kind is CauseKind.MOUNT_PROCESS_GONE
    assert "SIGKILL" in cause.sentence
    assert any("sshfs process: none" in line for line in cause.because)
    first = evidence.write(tmp_path / "evidence", before, "before")
    second = evidence.write(tmp_path / "evidence", after, "after")
    assert first.name.startswith("box-20")
    assert first.name.endswith("Z-before.json")
    assert evidence.read(first) == before
    assert diagnose(evidence.read(first)) == cause
    changes = evidence.diff(evidence.read(first), evidence.read(second))
    assert "verdict: stale -> healthy" in changes
    assert any(line.startswith("process.pid: nothing ->") for line in changes)
    assert evidence.diff(before, before) == []


def test_a_hung_server_is_diagnosed_by_the_requests_that_wait(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box", alive_seconds=60) as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        assert look(base).healthy
        server.hang()
        cause, taken = cause_of(base, deadline_seconds=HANG_SECONDS)
        server.resume()
    assert cause.kind is CauseKind.KEEPALIVE_TIMEOUT
    assert taken.server == {"result": "accepts", "said": ""}
    assert taken.waiting
    assert any("requests waiting" in line for line in cause.because)


def test_a_server_that_refuses_is_diagnosed(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        server.end()
        cause, taken = cause_of(base, deadline_seconds=LOOK_SECONDS)
    assert taken.verdict in ("io_error", "hung", "stale")
    assert cause.kind is CauseKind.SERVER_REFUSED


def test_a_directory_gone_from_the_server_is_diagnosed(tmp_path: Path) -> None:
    with mounts.sshd() as server, box(server, tmp_path / "box") as base:
        assert mounting.mount(base, MOUNT_SECONDS).ok
        shutil.rmtree(server.files)
        cause, taken = cause_of(base)
    assert cause.kind is CauseKind.SERVER_DIRECTORY_GONE
    assert taken.server is not None
    assert taken.server["result"] == "answers"
    assert taken.server["said"].startswith("SSH-2.0")


def test_a_read_only_disk_is_diagnosed_as_local(tmp_path: Path) -> None:
    with mounts.tmpfs(tmp_path / "box") as path:
        mounts.set_read_only(path)
        cause, _ = cause_of(TargetDefinition("box", TargetKind.MOUNT, str(path)))
    assert cause.kind is CauseKind.LOCAL_RESOURCE
