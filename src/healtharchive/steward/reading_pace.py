"""How fast copies must be read back so that each byte is read within the time it has. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

LEAST = 4  # copies in one order
MOST = 64  # a stop, and whatever must be brought back, waits for the end of an order
SPARE = 2.0  # so many times as fast as would just do
CATCH_UP = 0.02  # what is late is read within this part of the time a copy has
HEAD_START = 0.5  # reading begins at the earliest after this part of it
UNKNOWN_SECONDS = 600.0  # what a turn is taken to cost before one was measured: a slow line
UNKNOWN_PART = 0.001  # of the window, where that is shorter
COUNT_SECONDS = 300.0  # between two counts of what a place holds


@dataclass(frozen=True, slots=True)
class Load:
    """What a target holds: its copies, those that are late, and how long a turn takes that reads.

    None: none of them was measured yet.
    """

    copies: int
    late: int
    turn_seconds: float | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many copies are read in a turn, and how long before their time they are due."""

    batch: int
    lead_seconds: float


def pace(load: Load, window_seconds: float) -> Pace:
    """So many copies a turn that all are read within the window, and what is late soon.

    A burst that came within a day is late within a day: so copies are due as long before their
    time as reading all of them takes. Where the line itself is too slow nothing of this helps; then
    copies are late, and that is told.
    """
    turn = load.turn_seconds
    if turn is None:
        turn = min(UNKNOWN_SECONDS, UNKNOWN_PART * window_seconds)
    needed = SPARE * load.copies * turn / window_seconds
    behind = load.late * turn / (CATCH_UP * window_seconds)
    batch = min(MOST, max(LEAST, math.ceil(needed + behind)))
    whole_round = load.copies / batch * turn
    return Pace(batch, min(HEAD_START * window_seconds, SPARE * whole_round))


@dataclass(slots=True)
class Meter:
    """What one place holds, counted now and then, and how long a turn takes there that reads."""

    load: Load = field(default_factory=lambda: Load(0, 0, None))
    counted_at: float = float("-inf")  # of the monotonic clock

    def is_old(self, monotonic: float) -> bool:
        """Whether it is time to count again."""
        return monotonic - self.counted_at >= COUNT_SECONDS

    def count(self, copies: int, late: int, monotonic: float) -> None:
        """So many there are, and so many of them are late."""
        self.load = replace(self.load, copies=copies, late=late)
        self.counted_at = monotonic

    def took(self, seconds: float, number: int, pause_seconds: float) -> None:
        """A turn read so many; fewer than usual would have taken less than usual."""
        turn = seconds * max(1.0, LEAST / number) + pause_seconds
        self.load = replace(self.load, turn_seconds=turn)
