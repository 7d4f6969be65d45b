"""The waits of parked jobs: doubling, bounded, jittered, forgotten, and never more than the cap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.attempts import HOUR
from healtharchive.work.parking import BackOff

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)
MIDDLE = 0.5  # a roll that leaves a wait as it is
rolls = st.floats(0.0, 1.0, exclude_max=True)


def test_waits_double_from_thirty_seconds_to_ten_minutes() -> None:
    waits = [BackOff().wait_seconds(streak, lambda: MIDDLE) for streak in range(1, 8)]
    assert waits == [30, 60, 120, 240, 480, 600, 600]


@given(streak=st.integers(0, 10_000), roll=rolls)
def test_jitter_stays_within_a_fifth(streak: int, roll: float) -> None:
    plain = BackOff(jitter=0.0).wait_seconds(streak, lambda: roll)
    varied = BackOff().wait_seconds(streak, lambda: roll)
    assert 0.8 * plain <= varied <= 1.2 * plain


@given(streak=st.integers(0, 100), good_seconds=st.floats(0, 10_000))
def test_streak_grows_until_ten_good_minutes_end_it(streak: int, good_seconds: float) -> None:
    after = BackOff().streak_after(streak, good_seconds)
    assert after == (1 if good_seconds >= 600 else streak + 1)


@given(
    first=st.floats(0.001, 60),
    longest=st.floats(60, 600),
    ran=st.lists(st.floats(0, 900), min_size=1, max_size=60),
    roll=rolls,
    most=st.integers(1, 12),
)
def test_no_hour_has_more_starts_than_allowed_however_fast_a_job_fails(
    first: float, longest: float, ran: list[float], roll: float, most: int
) -> None:
    back_off = BackOff(first_seconds=first, longest_seconds=longest, starts_per_hour=most)
    now, streak, starts = NOON, 0, []
    for seconds in ran:
        starts.append(now)
        now += timedelta(seconds=seconds)
        streak = back_off.streak_after(streak, seconds)
        now = back_off.not_before(streak, starts, now, lambda: roll)
    for start in starts:
        assert sum(start <= other < start + HOUR for other in starts) <= most
