"""A child process sent for something that may hang: it has a deadline, its parent never waits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Errand:
    """How a child ended: its exit status and what it printed.

    `status` is None when it did not end in time and was killed. `stuck` is then the process if
    the kernel keeps even a killed one (a request that a FUSE server has read but not answered).
    """

    status: int | None
    output: bytes
    elapsed_seconds: float
    stuck: subprocess.Popen[bytes] | None = None

    @property
    def in_time(self) -> bool:
        """Whether it ended before its deadline."""
        return self.status is not None


def run(command: Sequence[str], deadline_seconds: float, given: bytes = b"") -> Errand:
    """The end of a child, after at most the deadline and a second. `given` is what it reads."""
    began = time.monotonic()
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    try:
        output, _ = process.communicate(given or None, timeout=deadline_seconds)
    except subprocess.TimeoutExpired:
        ended = abandon(process)
        elapsed = time.monotonic() - began
        return Errand(None, b"", elapsed, None if ended else process)
    return Errand(process.returncode, output, time.monotonic() - began)


def run_script(script: Path, order: str, deadline_seconds: float) -> Errand:
    """The same for one of our own scripts, which gets its order as its one argument.

    Without site-packages (-S) it is there in 15 ms, and nothing of the environment reaches it.
    """
    return run([sys.executable, "-I", "-S", str(script), order], deadline_seconds)


def run_reading_script(script: Path, order: str, deadline_seconds: float) -> Errand:
    """The same for one that reads its order: an argument may be no longer than 128 KiB."""
    return run([sys.executable, "-I", "-S", str(script)], deadline_seconds, order.encode())


def abandon(process: subprocess.Popen[bytes]) -> bool:
    """Kill a child and its session; False when it has not ended a second later.

    Who drops the last reference to such a process leaves it to `subprocess`, which reaps it when
    the next child is started.
    """
    _kill(process.pid)
    if process.stdout is not None:
        process.stdout.close()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # what it did not read goes nowhere
            process.stdin.close()
    try:
        process.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(pid: int) -> None:
    """Kill a session by its first process, also one that has become another user since.

    Root without CAP_KILL, as the mounter is, may not; whoever may become that user still may.
    """
    try:
        os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # the call before is content when it may kill one of many
    except ProcessLookupError:
        return
    except PermissionError:
        kill = ["sh", "-c", f"kill -s KILL -- -{pid}"]
        killer = subprocess.Popen(
            ["setpriv", f"--reuid={_user_of(pid)}", "--clear-groups", *kill],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            killer.wait(REAP_SECONDS)


def _user_of(pid: int) -> int:
    """The user of a child that nobody has waited for: it cannot be gone."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Uid:"))
