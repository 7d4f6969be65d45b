"""When the disk will be full: the slope of the last days, whatever happened on one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from healtharchive.steward.projection import MOST_POINTS, Point, full_in_days, thin

BEGUN = datetime(2026, 1, 17, tzinfo=UTC)
HOUR = timedelta(hours=1)


def line(hours: int, first: float, each_day: float) -> list[Point]:
    return [(BEGUN + HOUR * n, first + each_day * n / 24) for n in range(hours)]


def test_a_disk_that_fills_evenly_is_full_when_it_says() -> None:
    points = line(7 * 24, 40.0, 2.0)
    used = points[-1][1]
    assert full_in_days(points, used, 92.0) == pytest.approx((92.0 - used) / 2.0, abs=0.01)


def test_a_big_removal_does_not_turn_the_slope_round() -> None:
    points = [
        (at, used - (15.0 if number > 100 else 0.0))
        for number, (at, used) in enumerate(line(7 * 24, 40.0, 5.0))
    ]
    found = full_in_days(points, points[-1][1], 92.0)
    assert found is not None
    assert found == pytest.approx((92.0 - points[-1][1]) / 5.0, rel=0.5)


def test_one_day_of_much_writing_is_no_trend() -> None:
    points = [
        (at, used + (15.0 if number > 100 else 0.0))
        for number, (at, used) in enumerate(line(7 * 24, 40.0, 2.0))
    ]
    found = full_in_days(points, points[-1][1], 92.0)
    assert found is not None
    assert found == pytest.approx((92.0 - points[-1][1]) / 2.0, rel=0.6)


@pytest.mark.parametrize(
    "points",
    [[], line(2, 40.0, 2.0), line(168, 40.0, 0.0), line(168, 80.0, -3.0), line(168, 1.0, 0.001)],
    ids=["unknown", "too short", "constant", "shrinks", "in a hundred years"],
)
def test_what_does_not_grow_or_is_not_known_has_no_end(points: list[Point]) -> None:
    assert full_in_days(points, 40.0, 92.0) is None


def test_a_disk_that_is_full_is_full_now() -> None:
    assert full_in_days([], 92.0, 92.0) == 0.0


@given(some.lists(some.floats(0.0, 100.0), max_size=300), some.floats(0.0, 100.0))
def test_whatever_was_measured_the_answer_is_a_time_to_come(
    values: list[float], used: float
) -> None:
    points = [(BEGUN + HOUR * number, value) for number, value in enumerate(values)]
    found = full_in_days(points, used, 92.0)
    assert found is None or found >= 0.0


def test_thinned_points_keep_both_ends() -> None:
    points = line(500, 1.0, 1.0)
    kept = thin(points, MOST_POINTS)
    assert (len(kept), kept[0], kept[-1]) == (MOST_POINTS, points[0], points[-1])
