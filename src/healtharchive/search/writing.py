"""The right to write the index: one process at a time, and nobody waits for ever for a lost one.

The lock is the kernel's, gone with the process that holds it. A stopped process holds it on; who
it is stands in the file, so that the next one can end it when its job is no longer its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from healtharchive.crawl.takeover import end, identify, is_stopped
from healtharchive.model.errors import SetupError

POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0  # how often it is asked who holds it
PATIENCE_SECONDS = 600.0  # a big merge takes minutes
STOPPED_PATIENCE_SECONDS = 15.0  # a person may have meant to let it go on at once
MOST_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """An attempt that wants to write: its job and token.

    `is_over` says whether a job's token is no longer the newest; `check` is called while it waits
    and raises to give up; `tell` hears which process was ended.
    """

    job_id: int
    fence: int
    is_over: Callable[[int, int], bool]
    check: Callable[[], None] = lambda: None
    tell: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock: a process, since when, and for which attempt (0: for none)."""

    owner: str
    since: float
    job_id: int
    fence: int

    @property
    def pid(self) -> int:
        return int(self.owner.split()[1])

    @property
    def lives_here(self) -> bool:
        """Whether it is a process of this machine that still runs."""
        return identify(self.pid) == self.owner


@contextmanager
def sole_writer(path: Path, turn: Turn | None = None) -> Iterator[None]:
    """The lock, held while the block runs.

    A process that holds it for an attempt that is over is ended. SetupError when any other one
    does not let go of it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, path, turn)
        _sign(descriptor, turn)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, turn: Turn | None) -> None:
    holder: Holder | None = None
    seen_at = look_at = time.monotonic()
    while not _locked(descriptor):
        if turn is not None:
            turn.check()
        now = time.monotonic()
        if now >= look_at:
            look_at = now + LOOK_SECONDS
            current = _read(descriptor)
            if current != holder:
                holder, seen_at = current, now
            _deal_with(holder, now - seen_at, path, turn)
        time.sleep(POLL_SECONDS)


def _deal_with(holder: Holder | None, waited: float, path: Path, turn: Turn | None) -> None:
    """End the holder when its attempt is over; SetupError when it was waited for long enough."""
    lives_here = holder is not None and holder.lives_here
    if holder and lives_here and waited >= LOOK_SECONDS and _is_over(holder, turn):
        if end(holder.owner) is not None and turn is not None:
            turn.tell(holder.pid)
        return
    stopped = holder is not None and lives_here and is_stopped(holder.pid)
    if waited < (STOPPED_PATIENCE_SECONDS if stopped else PATIENCE_SECONDS):
        return
    who = f"process {holder.pid}" if holder else "another process"
    about = f" for job {holder.job_id}" if holder and holder.job_id else ""
    does = "is stopped" if stopped else f"does not let go of it for {waited:.0f} s"
    raise SetupError(
        f"The search index in {path.parent} is being written by {who}{about}, which {does}.",
        f"Continue it (kill -CONT) or end it: {who} is in the way of all indexing.",
    )


def _is_over(holder: Holder, turn: Turn | None) -> bool:
    return turn is not None and holder.job_id > 0 and turn.is_over(holder.job_id, holder.fence)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int, turn: Turn | None) -> None:
    facts = {
        "owner": identify(os.getpid()),
        "since": time.time(),
        "job_id": turn.job_id if turn else 0,
        "fence": turn.fence if turn else 0,
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(facts).encode(), 0)


def _read(descriptor: int) -> Holder | None:
    """Who signed; None while nobody has, or one is just doing so."""
    try:
        facts = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        holder = Holder(
            str(facts["owner"]), float(facts["since"]), int(facts["job_id"]), int(facts["fence"])
        )
        return holder if holder.pid > 0 else None
    except (ValueError, KeyError, TypeError, IndexError):
        return None
