"""System calls that fail for real: strace makes one of a running process return an error."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import kill, spawn, stop, wait_for


class StraceMissing(Exception):
    """strace is not on this machine; `make setup` installs it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Which call fails how: `when` as strace takes it, e.g. "1", "3+" or "2+5"."""

    call: str = "fsync"
    error: str = "EIO"
    when: str = "1+"

    @property
    def options(self) -> list[str]:
        """strace's options for it; fdatasync fails with fsync, which callers may use instead."""
        calls = "fsync,fdatasync" if self.call == "fsync" else self.call
        return ["-e", f"trace={calls}", "-e", f"inject={calls}:error={self.error}:when={self.when}"]


def command(failure: Failure, words: Sequence[str], log: Path) -> list[str]:
    """A command line that runs `words` (and what it starts) under this failure."""
    return [_strace(), "-f", "-qq", "-o", str(log), *failure.options, *words]


@contextmanager
def failing(pid: int, failure: Failure, log: Path) -> Iterator[Path]:
    """The process (all its threads) has this failure as long as the block lasts.

    The log lists each call that was made to fail, with "(INJECTED)" at its end.
    """
    log.touch()
    errors = log.with_suffix(".errors")
    attach = [_strace(), "-f", "-p", str(pid), "-o", str(log), *failure.options]
    process = spawn(attach, log=errors)
    try:
        wait_for(lambda: "attached" in errors.read_text(), what=f"strace attached to {pid}")
        yield log
    finally:
        kill(process.pid, signal.SIGINT)  # strace detaches and lets the process live
        stop(process)


def injected(log: Path) -> int:
    """How many calls were made to fail so far."""
    return log.read_text(errors="replace").count("(INJECTED)")


def _strace() -> str:
    found = shutil.which("strace")
    if found is None:
        raise StraceMissing("strace is not installed. Run: make setup")
    return found
