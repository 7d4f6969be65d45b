"""A bandwidth limit: a bucket that fills with bytes as time goes by."""

from __future__ import annotations

import time
from collections.abc import Callable


class Throttle:
    """Waits so that no more than `bytes_per_second` go through on average (0: no limit).

    A second's worth may go at once after a pause. Call it with the size of each piece.
    """

    def __init__(
        self,
        bytes_per_second: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._allowed = 0.0
        self._filled_at = monotonic()

    def __call__(self, size_bytes: int) -> None:
        """Return when this many bytes may go."""
        if not self._rate:
            return
        now = self._monotonic()
        earned = (now - self._filled_at) * self._rate
        self._allowed = min(self._allowed + earned, float(self._rate)) - size_bytes
        self._filled_at = now
        if self._allowed < 0:
            self._sleep(-self._allowed / self._rate)
