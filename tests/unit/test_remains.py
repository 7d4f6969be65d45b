"""A killed child that has not ended: held by the kernel, or only waiting for its turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from healtharchive.work.remains import LONGEST_DEATH_SECONDS, Remains, remains, waits_in_kernel
from tests.lab.processes import wait_for

# A parent waits for its new child uninterruptibly until that has begun its program: here for ever.
SPAWNER = """
import os, sys
opened = (os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[opened])
"""


@pytest.mark.parametrize(
    ("killed", "in_kernel", "expected"),
    [
        (0.7, 0.0, Remains.ENDING),
        (10.0, 0.0, Remains.ENDING),
        (10.0, 2.9, Remains.ENDING),
        (3.0, 3.0, Remains.HANGS),
        (LONGEST_DEATH_SECONDS, 0.0, Remains.STAYS),
        (LONGEST_DEATH_SECONDS, 5.0, Remains.HANGS),
        (0.0, 0.0, Remains.ENDING),
    ],
    ids=[
        "it has had no turn yet",
        "it has had no turn for long",
        "it waits for a disk now and then",
        "a mount does not answer",
        "for ever, and nobody knows why",
        "a mount that stopped answering late",
        "it was killed just now",
    ],
)
def test_only_a_lasting_wait_in_the_kernel_is_a_hang(
    killed: float, in_kernel: float, expected: Remains
) -> None:
    assert remains(killed, in_kernel, patience_seconds=3.0) is expected


def test_a_process_in_an_uninterruptible_wait_is_told_from_a_busy_and_from_a_sleeping_one(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = subprocess.Popen([sys.executable, "-S", "-c", SPAWNER, str(pipe)])
    busy = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
    asleep = subprocess.Popen(["/bin/sleep", "600"])
    try:
        wait_for(lambda: waits_in_kernel(waiting.pid), what="it waits for its child")
        assert not waits_in_kernel(busy.pid)
        assert not waits_in_kernel(asleep.pid)
    finally:
        writer = os.open(pipe, os.O_RDWR)  # lets its child begin, and so itself end
        for each in (waiting, busy, asleep):
            each.kill()
            each.wait()
        os.close(writer)
    assert not waits_in_kernel(busy.pid)
