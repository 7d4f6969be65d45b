"""Riding out a database that cannot be reached for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from healtharchive.model.errors import DatabaseUnavailable
from healtharchive.work.parking import BackOff, Roll

logger = logging.getLogger(__name__)

# What a dead, restarting or locked database raises, before or within a transaction.
OUTAGES = (DatabaseUnavailable, OperationalError, InterfaceError)
PACE = BackOff(first_seconds=0.5, longest_seconds=10.0)
T = TypeVar("T")


def describe(error: BaseException) -> str:
    """The outage in one line, for an event's reason."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__


def ride_out(
    action: Callable[[], T],
    *,
    give_up: Callable[[], bool],
    wait: Callable[[float], object],
    roll: Roll,
) -> T:
    """What `action` returns, tried again through outages; the outage itself after `give_up`."""
    streak = 0
    while True:
        try:
            return action()
        except OUTAGES as error:
            if give_up():
                raise
            streak += 1
            if streak == 1:
                logger.warning("the database cannot be used: %s", describe(error))
            wait(PACE.wait_seconds(streak, roll))
