"""What a crawl did last, read from its own directory by a child that is killed when it is late."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healtharchive.model.clock import Clock
from healtharchive.model.jobs import Job
from healtharchive.model.layout import CRAWL_LOG_NAME, CRAWLER_LOG_NAME, FRONTIER_NAME
from healtharchive.model.masking import masked
from healtharchive.settings import Settings
from healtharchive.storage import errand
from healtharchive.work.order import state_dir

CHILD = Path(__file__).with_name("operations_log_child.py")
LINES = 40
LONGEST_LINE = 2_000
DEADLINE_SECONDS = 3.0
FRESH_SECONDS = 1.5  # several people may look at one job
MOST_KEPT = 64
MOST_STUCK = 3  # children that the kernel keeps although they were killed


@dataclass(frozen=True, slots=True)
class Captured:
    """A URL that was captured; `at` is as the crawl wrote it."""

    at: str
    status: int | None
    mime: str
    url: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A URL that could not be captured, and why."""

    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a crawl's log, newest first. `readable` is False when its place is silent.

    `crawler` is what the program in a container said, where an engine runs one.
    """

    captured: tuple[Captured, ...] = ()
    failed: tuple[Failure, ...] = ()
    log: tuple[str, ...] = ()
    crawler: tuple[str, ...] = ()
    readable: bool = True


UNREADABLE = Tail(readable=False)


@dataclass
class Logs:
    """The tails of a few jobs, each asked for once in a while however many people look."""

    settings: Settings
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: dict[int, tuple[float, Tail]] = field(default_factory=dict)
    _stuck: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def tail(self, job: Job) -> Tail:
        """What a job's crawl did last; UNREADABLE when its directory does not answer in time."""
        now = self.clock.monotonic()
        with self._lock:
            kept = self._kept.get(job.id)
            if kept is not None and now - kept[0] < FRESH_SECONDS:
                return kept[1]
            self._stuck = [each for each in self._stuck if each.poll() is None]
            if len(self._stuck) >= MOST_STUCK:
                return UNREADABLE
        found = self._read(job)
        with self._lock:
            self._kept[job.id] = (self.clock.monotonic(), found)
            while len(self._kept) > MOST_KEPT:
                del self._kept[min(self._kept, key=lambda each: self._kept[each][0])]
        return found

    def _read(self, job: Job) -> Tail:
        directory = state_dir(self.settings, job)  # joined as text: nothing here may touch it
        order = {
            "frontier": f"{directory}/{FRONTIER_NAME}",
            "log": f"{directory}/{CRAWL_LOG_NAME}",
            "crawler": f"{directory}/{CRAWLER_LOG_NAME}",
            "lines": LINES,
        }
        done = errand.run_script(CHILD, json.dumps(order), DEADLINE_SECONDS)
        if done.stuck is not None:
            with self._lock:
                self._stuck.append(done.stuck)
        if done.status != 0:
            return UNREADABLE
        return tail_of(json.loads(done.output))


def tail_of(said: dict[str, Any]) -> Tail:
    """What the child said, as a record."""
    return Tail(
        tuple(
            Captured(at or "", status, mime or "", masked(url))
            for at, status, mime, url in said["captured"]
        ),
        tuple(Failure(masked(url), masked(reason or "")) for url, reason in said["failed"]),
        _lines(said["log"]),
        _lines(said["crawler"]),
    )


def _lines(said: list[str]) -> tuple[str, ...]:
    """Newest first; the crawler's own lines have seen no mask yet."""
    return tuple(masked(line[:LONGEST_LINE]) for line in reversed(said))
