"""When the disk will be full, if it goes on filling as in the last days. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

MOST_POINTS = 60  # of them all pairs are looked at
LEAST_POINTS = 3
LEAST_SPAN = timedelta(hours=1)
DAY_SECONDS = 86_400.0
SLOWEST = 1e-6  # percent a day: below it nothing grows
LONGEST_DAYS = 3650.0

Point = tuple[datetime, float]


def full_in_days(points: Sequence[Point], used_percent: float, full_percent: float) -> float | None:
    """How many days until `full_percent` is used; None when it does not grow, or nobody knows.

    `points` are the percents used at moments, oldest first. The slope is the median of all pairs'
    slopes (Theil-Sen): a day on which much was written or removed at once does not turn it round.
    """
    if used_percent >= full_percent:
        return 0.0
    if len(points) < LEAST_POINTS or points[-1][0] - points[0][0] < LEAST_SPAN:
        return None
    slope = median(_slope(*pair) for pair in combinations(thin(points, MOST_POINTS), 2))
    if slope <= SLOWEST:
        return None
    days = (full_percent - used_percent) / slope
    return round(days, 2) if days <= LONGEST_DAYS else None


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """So many of the points, spread evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def _slope(first: Point, last: Point) -> float:
    days = (last[0] - first[0]).total_seconds() / DAY_SECONDS
    return (last[1] - first[1]) / days if days else 0.0
