"""Taking turns at something of which there is little: a few at a time, a few who wait, no more.

Whoever waits here holds one of the server's threads, and all pages share those.
"""

from __future__ import annotations

import threading

from healtharchive.model.errors import HealthArchiveError

QUEUE_SECONDS = 5.0
WAITING_FOR_EACH = 2


class Busy(HealthArchiveError):
    """Too many want the same at once; it can be asked for again soon."""


class Turns:
    """`limit` at a time; twice as many may wait a few seconds, and all others are sent away."""

    def __init__(self, limit: int, what: str, queue_seconds: float = QUEUE_SECONDS) -> None:
        self._what = what
        self._queue_seconds = queue_seconds
        self._slots = threading.BoundedSemaphore(limit)
        self._waiting = threading.BoundedSemaphore(limit * WAITING_FOR_EACH)

    def take(self) -> None:
        """Take a turn, to be given back. Busy when there is none, at the latest after a while."""
        if self._slots.acquire(blocking=False):
            return
        if not self._waiting.acquire(blocking=False):
            raise Busy(f"{self._what} is busy, and enough requests wait already.")
        try:
            if not self._slots.acquire(timeout=self._queue_seconds):
                raise Busy(f"{self._what} is busy.")
        finally:
            self._waiting.release()

    def give_back(self) -> None:
        """Let the next one have its turn."""
        self._slots.release()
