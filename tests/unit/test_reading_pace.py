"""Every copy is read within the time it has, as far as the line allows: in simulated time."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.steward.reading_pace import HEAD_START, LEAST, MOST, Load, pace

DAY = 86_400.0
WINDOW = 90 * DAY


def longest_unread(
    copies: int,
    *,
    overhead_seconds: float,
    copy_seconds: float,
    days: float,
    arrived_over: float = 0.0,
    away: tuple[float, float] = (0.0, 0.0),
) -> float:
    """The longest time a copy went unread in the simulation, in windows.

    A turn costs its overhead and the reading of its batch; that was measured when the copies were
    new. `away` is when the target is sick.
    """
    read_at = [arrived_over * n / max(1, copies) for n in range(copies)]
    heapq.heapify(read_at)
    now, worst = arrived_over, 0.0
    turn_seconds = overhead_seconds + LEAST * copy_seconds
    while now < days * DAY:
        late = sum(now - each > WINDOW for each in read_at) if now - read_at[0] > WINDOW else 0
        chosen = pace(Load(copies, late, turn_seconds), WINDOW)
        batch = 0
        sick = away[0] * DAY <= now < away[1] * DAY
        while (
            not sick and batch < chosen.batch and now - read_at[0] >= WINDOW - chosen.lead_seconds
        ):
            worst = max(worst, now - read_at[0])
            batch += 1
            heapq.heapreplace(read_at, now)
        if batch:
            turn_seconds = overhead_seconds + batch * copy_seconds
            now += turn_seconds
            continue
        idle = WINDOW - chosen.lead_seconds - (now - read_at[0])
        now += max(600.0, 0.0 if sick else idle)  # nothing was due: that time is leapt over
    return max(worst, now - read_at[0]) / WINDOW


def test_few_copies_are_read_when_their_time_has_come() -> None:
    assert pace(Load(10, 0, 5.0), WINDOW).batch == LEAST
    assert pace(Load(10, 0, 5.0), WINDOW).lead_seconds < 60.0


@pytest.mark.parametrize("arrived_over", [0.0, 20 * DAY])
def test_twenty_thousand_copies_are_each_read_in_time_though_a_turn_takes_an_hour(
    arrived_over: float,
) -> None:
    """Four a turn would be 208 days for a round."""
    worst = longest_unread(
        20_000, overhead_seconds=3000.0, copy_seconds=2.0, days=400, arrived_over=arrived_over
    )
    assert worst <= 1.02


def test_a_burst_is_begun_before_its_time_when_the_line_is_slow() -> None:
    """Thirty days of reading that all fall due at one instant, as after a rebuild."""
    worst = longest_unread(
        3000, overhead_seconds=5.0, copy_seconds=30 * DAY / 3000, days=400, arrived_over=0.0
    )
    assert worst <= 1.02


def test_what_was_missed_while_a_target_was_away_is_caught_up_with() -> None:
    worst = longest_unread(
        2000, overhead_seconds=600.0, copy_seconds=1.0, days=300, away=(80.0, 95.0)
    )
    assert worst <= 1.15


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.floats(0.0, 10**6),
    st.floats(864.0, 3.2e8),
)
def test_the_pace_keeps_its_bounds(copies: int, late: int, turn: float, window: float) -> None:
    found = pace(Load(copies, late, turn), window)
    assert LEAST <= found.batch <= MOST
    assert 0.0 <= found.lead_seconds <= HEAD_START * window
