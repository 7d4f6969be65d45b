"""How long a parked job waits: doubling, jittered, forgotten after good minutes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.attempts import next_start

Roll = Callable[[], float]  # a number in [0, 1), as random.random gives it


@dataclass(frozen=True, slots=True)
class BackOff:
    """A wait that doubles from `first_seconds` to `longest_seconds`, varied by ±`jitter`.

    After `forget_seconds` without trouble it begins at the first again. `starts_per_hour` bounds
    the starts of one job in any hour, however short the waits.
    """

    first_seconds: float = 30.0
    longest_seconds: float = 600.0
    jitter: float = 0.2
    forget_seconds: float = 600.0
    starts_per_hour: int = 6

    def wait_seconds(self, streak: int, roll: Roll) -> float:
        """The wait after the `streak`-th trouble in a row, counted from 1."""
        doublings = min(max(streak, 1) - 1, 60)  # 2**60 is beyond every longest wait
        wait = min(self.first_seconds * 2.0**doublings, self.longest_seconds)
        return wait * (1.0 + self.jitter * (2.0 * roll() - 1.0))

    def streak_after(self, streak: int, good_seconds: float) -> int:
        """How many troubles in a row it is now, after `good_seconds` without one."""
        return 1 if good_seconds >= self.forget_seconds else streak + 1

    def not_before(
        self, streak: int, starts: Sequence[datetime], now: datetime, roll: Roll
    ) -> datetime:
        """When a job may start again, given when it was started in the last hour."""
        waited = now + timedelta(seconds=self.wait_seconds(streak, roll))
        allowed = next_start(tuple(starts), self.starts_per_hour, now)
        return waited if allowed is None else max(waited, allowed)
