"""Children of a test: started, watched, killed with all their descendants, always by pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")
ROOT = Path(__file__).resolve().parents[2]


class TooLate(AssertionError):
    """What was waited for did not happen before its deadline."""


def wait_for(
    question: Callable[[], Found | None],
    *,
    what: str,
    seconds: float = 30.0,
    every: float = 0.05,
) -> Found:
    """The first true answer to a question asked again and again; TooLate after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := question():
            return answer
        if time.monotonic() >= deadline:
            raise TooLate(f"After {seconds:g} s still not: {what}")
        time.sleep(every)


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdout: int | None = None,
    stdin: int | None = subprocess.DEVNULL,
    cwd: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """A child in a session of its own; its output goes to the log, or nowhere."""
    variables = {**without_settings(), "PYTHONUNBUFFERED": "1", **(environment or {})}
    with open(log or os.devnull, "ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            env=variables,
            cwd=cwd,
            stdin=stdin,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
        )


def without_settings() -> dict[str, str]:
    """Our environment without settings: one's own archive must not be touched by a test."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HEALTHARCHIVE_")}


def descendants(pid: int) -> list[psutil.Process]:
    """All living processes below this one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def child_running(pid: int, *words: str) -> int | None:
    """The pid of the first descendant that has all these words in its command line."""
    for process in descendants(pid):
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and all(word in line for word in words):
                return process.pid
    return None


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal; False when the process is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def kill_tree(process: subprocess.Popen[bytes], *, seconds: float = 10.0) -> None:
    """End a child and everything below it with SIGKILL, and wait for the child."""
    below = descendants(process.pid)
    if process.poll() is None:
        kill(process.pid)
    _kill_all(below)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for each in processes:  # psutil compares the start time: a pid that was reused is spared
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def is_alive(pid: int) -> bool:
    """Whether the process is there and not a zombie that nobody has waited for."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop(process: subprocess.Popen[bytes], *, seconds: float = 15.0) -> int:
    """Ask a child to end with SIGTERM, kill it after the deadline; its exit status.

    What it leaves behind below itself is killed.
    """
    below = descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_tree(process)
    _kill_all(below)
    return process.returncode if process.returncode is not None else -signal.SIGKILL


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that lives as long as the block, and nothing of it longer."""
    process = spawn(command, environment=environment, log=log)
    try:
        yield process
    finally:
        stop(process)
