"""One child process: an order in, reports out, and an end that never has to be waited for long."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Generic, TypeVar

from healtharchive.model import wire
from healtharchive.model.orders import Command

logger = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("launch.py")
LINE_BYTES = 16_000_000  # longer than any report; a child gone mad must not fill our memory
REAP_SECONDS = 2.0  # after a kill, which takes milliseconds unless the kernel waits too


Line = TypeVar("Line")  # what the child reports: a record of `model`


def acting_user() -> tuple[int | None, int | None]:
    """The user and group that a child must become so as to have no way back to root.

    None where there is nothing to drop: we are wholly who we act as.
    """
    if os.getuid() == os.geteuid():
        return None, None
    return os.geteuid(), os.getegid()


class Child(Generic[Line]):
    """A running child. Reports come through `next_report`; None there means that none will follow.

    `line` is the type of its reports.
    The child dies with the thread that made it, and it sees end-of-file on its stdin when the
    worker is gone. Use it as a context manager: at the end it is killed if it still runs.
    """

    def __init__(
        self, command: Sequence[str], order: object, env: Mapping[str, str], line: type[Line]
    ) -> None:
        self._line = line
        self._killed = False
        user, group = acting_user()
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
        self._process = subprocess.Popen(
            [*launcher, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,  # Ctrl-C at a terminal goes to the worker only
            user=user,
            group=group,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._writing = threading.Lock()
        self._reports: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._write(wire.to_line(order))
        # From here on a child that reads nothing must not block us.
        os.set_blocking(self._stdin.fileno(), False)
        reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name="child-reader", daemon=True
        )
        reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status (negative: a signal's number), or None while it runs."""
        return self._process.poll()

    def next_report(self, timeout_seconds: float) -> Line | None:
        """The next report; None when its output has ended; queue.Empty after the time-out."""
        return self._reports.get(timeout=max(timeout_seconds, 0.001))

    def renew(self, lease_seconds: float) -> None:
        """Tell the child that its lease lasts this long from now."""
        self._write(wire.to_line(Command("renew", lease_seconds=lease_seconds)))

    def stop(self, reason: str, deadline_seconds: float) -> None:
        """Ask the child to finish what is in flight and end."""
        command = Command("stop", reason=reason, deadline_seconds=deadline_seconds)
        self._write(wire.to_line(command))

    def kill(self) -> None:
        """End the child and all it has started, at once."""
        if self._process.poll() is not None or self._killed:
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def reap(self, timeout_seconds: float = REAP_SECONDS) -> int | None:
        """The exit status, waited for this long; None when it still runs.

        Even a killed process may not end, on a hung mount: it is left behind.
        """
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Child[Line]:
        return self

    def __exit__(self, *_: object) -> None:
        left_behind = self._killed  # somebody waited for its end already
        self.kill()
        self.reap(0.0 if left_behind else REAP_SECONDS)
        with contextlib.suppress(OSError):
            self._stdin.close()

    def _write(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(OSError, ValueError):
            # A child that ended, or reads nothing, shows by its end or by its deadline instead.
            self._stdin.write(line)
            self._stdin.flush()

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            while line := stdout.readline(LINE_BYTES):
                try:
                    self._reports.put(wire.from_line(self._line, line))
                except ValueError:
                    logger.warning("child %d wrote what is no report: %.200r", self.pid, line)
        self._reports.put(None)
