"""Moments and lengths of time in words, with how far they are from now. Pure."""

from __future__ import annotations

from datetime import datetime

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """A length of time in at most two units: `40 min`, `6 h 14 min`."""
    left = round(abs(seconds))
    parts = []
    for length, unit in _SPANS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    if not parts or (len(parts) < 2 and left):
        parts.append(f"{left} s")
    return " ".join(parts[:2])


def moment(at: datetime, now: datetime) -> str:
    """A moment in UTC and beside it how far from now: `2026-01-24 06:28:01Z (6 h 14 min ago)`."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z ({distance(at, now)})"


def distance(at: datetime, now: datetime) -> str:
    """How far a moment is from now: `in 3 min`, `40 s ago`, `now`."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(seconds)} ago"
