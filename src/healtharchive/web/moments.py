"""Moments as addresses and parameters have them: 4 to 14 digits, UTC."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

DIGITS = re.compile(r"[0-9]{4,14}")
EARLIEST = "00000101000000"
LATEST = "99991231235959"
SECOND = timedelta(seconds=1)


def moment_of(timestamp: str) -> datetime | None:
    """The moment of 4 to 14 digits, the missing ones filled up with the earliest; None if none."""
    return _filled(timestamp, EARLIEST)


def end_of(timestamp: str) -> datetime | None:
    """The first moment after the year, month, day … that the digits name; None if none."""
    last = _filled(timestamp, LATEST)
    return None if last is None else last + SECOND


def _filled(timestamp: str, pattern: str) -> datetime | None:
    if not DIGITS.fullmatch(timestamp):
        return None
    filled = timestamp + pattern[len(timestamp) :]
    year, month, day = int(filled[:4]), int(filled[4:6]), int(filled[6:8])
    if not (1 <= year <= 9998 and 1 <= month <= 12):
        return None
    day = min(max(day, 1), calendar.monthrange(year, month)[1])
    hour, minute, second = (int(filled[at : at + 2]) for at in (8, 10, 12))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
