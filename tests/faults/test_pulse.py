"""The pulse of real sshfs mounts: who hangs is told from who is busy, without touching the path."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage.mountinfo import mount_at, read_mounts, waiting_requests
from healtharchive.storage.pulse import Pulse, Silence
from tests.lab import mounts
from tests.lab.processes import kill_tree, spawn, wait_for

PATIENCE_SECONDS = 1.0
WRITER = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as stream:
    while True:
        stream.seek(0)
        stream.write(bytes(8_000_000))
        os.fsync(stream.fileno())
        open(sys.argv[2], "w").close()
"""


@contextmanager
def written_to(remote: mounts.Sshfs) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes and syncs without a pause."""
    begun = remote.path.with_name("begun")
    process = spawn([sys.executable, "-c", WRITER, str(remote.path / "file"), str(begun)])
    try:
        # Requests wait also before there is a session, which would not be hung with its server.
        wait_for(begun.exists, what="it has written once")
        wait_for(lambda: waiting(remote.path) > 0, what="it writes")
        yield process
    finally:
        remote.make_stale()  # else it could not be ended where the mount hangs
        kill_tree(process)


def waiting(path: Path) -> int:
    at = mount_at(read_mounts(), path)
    return (waiting_requests(at.device) or 0) if at is not None else 0


def felt(path: Path, seconds: float) -> Silence | None:
    """The first silence of the mount within so long."""
    definition = TargetDefinition("box", TargetKind.MOUNT, str(path), filesystem="fuse.sshfs")
    pulse, until = Pulse(), time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        silence = pulse.feel(definition, read_mounts(), now, PATIENCE_SECONDS)
        if silence is not None:
            return silence
        time.sleep(0.1)
    return None


def test_a_mount_that_nobody_uses_and_one_that_is_busy_are_not_silent(tmp_path: Path) -> None:
    with mounts.sshfs(tmp_path / "remote") as remote:
        assert felt(remote.path, 2.0) is None
        with written_to(remote):
            assert felt(remote.path, 4.0) is None


@pytest.mark.parametrize(("who", "why"), [("server", "has said nothing"), ("sshfs", "is stopped")])
def test_a_mount_whose_server_or_process_hangs_is_silent(
    tmp_path: Path, who: str, why: str
) -> None:
    with mounts.sshd() as server, mounts.sshfs(tmp_path / "remote", server, 30) as remote:
        with written_to(remote):
            (server if who == "server" else remote).hang()
            silence = felt(remote.path, 20.0)
            server.resume()
        remote.mend()
    assert silence is not None
    assert silence.waiting > 0
    assert why in silence.detail


def test_a_hanging_server_that_nobody_asks_is_not_silent(tmp_path: Path) -> None:
    with mounts.sshd() as server, mounts.sshfs(tmp_path / "remote", server, 30) as remote:
        list(remote.path.iterdir())  # from here on nothing of mounting it is under way
        wait_for(lambda: waiting(remote.path) == 0, what="nobody asks")
        server.hang()
        assert felt(remote.path, 2.5) is None
        server.resume()
