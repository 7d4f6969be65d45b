"""The charts of the operations pages: what is drawn is what the numbers say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.courses import Moment
from healtharchive.model.journal import Actor, Event
from healtharchive.web.operations_charts import (
    HEIGHT,
    WIDTH,
    band,
    ceiling,
    chart,
    charts_of,
    rates,
)

BEGIN = datetime(2026, 1, 24, 6, tzinfo=UTC)
ACTOR = Actor("lab", 1, "lab")


def after(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def event(minutes: float, before: str, state: str, why: str = "") -> Event:
    return Event(1, after(minutes), ACTOR, "target", "cold", "trip", before, state, why)


def test_a_line_goes_from_zero_up_over_the_whole_width() -> None:
    drawn = chart("pages", [(after(0), 0.0), (after(5), 40.0), (after(10), 80.0)])
    assert drawn.top == 100.0
    assert drawn.points == f"0,{HEIGHT} {WIDTH // 2},96 {WIDTH},32"
    assert drawn.fall.startswith(f"0,{HEIGHT} 0,{HEIGHT} ")
    assert drawn.fall.endswith(f" {WIDTH},{HEIGHT}")


def test_a_rate_is_by_the_minute_and_never_below_zero() -> None:
    values = [(after(0), 10.0), (after(2), 50.0), (after(3), 20.0), (after(3.5), 30.0)]
    assert [value for _, value in rates(values)] == [20.0, 0.0, 20.0]


def test_one_moment_is_no_chart() -> None:
    assert charts_of([Moment(BEGIN, 1, 1, 1, 1)]) == []
    drawn = charts_of([Moment(BEGIN, 0, 0, 9, 0), Moment(after(1), 6, 1, 2, 900)])
    assert [each.key for each in drawn] == [
        "pages",
        "bytes",
        "errors",
        "pages_per_minute",
        "errors_per_minute",
    ]
    assert drawn[3].last == 6.0


@given(st.floats(min_value=0, max_value=1e18))
def test_the_upper_edge_is_round_and_not_far_above(value: float) -> None:
    top = ceiling(value)
    assert top >= value
    assert top <= max(1.0, value * 2.5 * 1.000001)
    assert f"{top:e}"[0] in "125"


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=60))
def test_whatever_is_drawn_stays_within_the_drawing(values: list[int]) -> None:
    drawn = chart("bytes", [(after(n), float(value)) for n, value in enumerate(values)])
    for point in drawn.points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_band_shows_each_state_for_as_long_as_it_lasted() -> None:
    events = [event(2, "closed", "open", "errno 107"), event(6, "open", "half_open")]
    drawn = band(events, "half_open", after(0), after(10))
    assert [(each.state, each.x, each.width) for each in drawn] == [
        ("closed", 0.0, 200.0),
        ("open", 200.0, 400.0),
        ("half_open", 600.0, 400.0),
    ]
    assert drawn[1].why == "errno 107"
    assert drawn[1].until == after(6)


@pytest.mark.parametrize("state", ["closed", "open"])
def test_a_band_without_events_is_one_state(state: str) -> None:
    (whole,) = band([], state, after(0), after(10))
    assert (whole.state, whole.x, whole.width) == (state, 0.0, 1000.0)


def test_events_of_another_time_and_without_a_state_do_not_count() -> None:
    noted = Event(1, after(3), ACTOR, "target", "cold", "look", None, None, "")
    drawn = band([event(-5, "closed", "open"), noted], "open", after(0), after(10))
    assert [each.state for each in drawn] == ["open"]
