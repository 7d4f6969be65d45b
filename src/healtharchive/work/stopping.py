"""A request to stop: asked once, seen by everyone who waits on it."""

from __future__ import annotations

import threading

from healtharchive.model.clock import Clock


class Stop:
    """Set by `ask`, never unset. Its waits end at once when it is asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked = threading.Event()
        self._reason = ""
        self._asked_at = 0.0

    def ask(self, reason: str) -> bool:
        """Ask to stop; False when somebody had asked already, whose reason stays."""
        if self._asked.is_set():
            return False
        self._reason = reason
        self._asked_at = self._clock.monotonic()
        self._asked.set()
        return True

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def reason(self) -> str:
        """Why, or empty while nobody has asked."""
        return self._reason if self._asked.is_set() else ""

    @property
    def since_seconds(self) -> float:
        """How long ago it was asked for; 0 while nobody has."""
        return self._clock.monotonic() - self._asked_at if self._asked.is_set() else 0.0

    def wait(self, seconds: float) -> bool:
        """Wait for the request, at most this long; whether it has come."""
        return self._asked.wait(seconds)
