"""Starts of a container that are still under way, though whoever began them may be dead.

A child that is killed leaves its `podman run` to finish: the container comes to life when nobody
looks for it any more. So the next attempt looks for the start first.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from healtharchive.model.clock import Clock
from healtharchive.model.errors import SetupError

PROGRAMS = ("docker", "podman")
POLL_SECONDS = 0.2


def starting(label: str) -> list[int]:
    """The pids of the calls of docker or podman that are to start a container with this label."""
    return [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and _is_program(name) and label.encode() in _words(name)
    ]


async def wait_for_starts(label: str, clock: Clock, seconds: float) -> None:
    """Let them come to their end. SetupError when one does not in so many seconds."""
    deadline = clock.monotonic() + seconds
    while left := await asyncio.to_thread(starting, label):
        if clock.monotonic() >= deadline:
            raise SetupError(
                f"An earlier start of this job's container does not end (pid {left[0]}).",
                f"See what it waits for, or end it: kill {left[0]}",
            )
        await asyncio.sleep(POLL_SECONDS)


def _is_program(pid: str) -> bool:
    """By its name, which can be read also of one that hangs in the kernel."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip() in PROGRAMS
    except OSError:
        return False


def _words(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
