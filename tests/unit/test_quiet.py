"""Quiet hours, by the clocks on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.model.errors import SetupError
from healtharchive.settings.quiet import quiet_hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_night_goes_over_midnight() -> None:
    night = quiet_hours("22:00-07:00", "UTC")
    assert night is not None
    told = {hour: night.holds(at(f"2026-01-24T{hour}:00")) for hour in ("21", "22", "23", "00")}
    assert told == {"21": False, "22": True, "23": True, "00": True}
    assert night.holds(at("2026-01-24T06:59:59"))
    assert not night.holds(at("2026-01-24T07:00"))


def test_hours_within_a_day_end_on_that_day() -> None:
    noon = quiet_hours("9:30 - 14:00", "UTC")
    assert noon is not None
    assert noon.holds(at("2026-01-24T09:30"))
    assert not noon.holds(at("2026-01-24T14:00"))
    assert not noon.holds(at("2026-01-24T00:30"))


def test_the_hours_follow_the_clocks_when_they_are_changed() -> None:
    """Berlin: UTC+1 until 2026-03-29T01:00Z, then UTC+2; back at 2026-10-25T01:00Z."""
    night = quiet_hours("22:00-07:00", "Europe/Berlin")
    assert night is not None
    ends = {"2026-03-28": "06:00", "2026-03-29": "05:00", "2026-10-24": "05:00"}
    ends["2026-10-25"] = "06:00"
    for day, hour in ends.items():
        end = at(f"{day}T{hour}")
        assert not night.holds(end), day
        assert night.holds(end - timedelta(seconds=1)), day


@given(st.integers(0, 366 * 24 * 60))
@settings(deadline=None)
def test_the_hours_and_their_opposite_share_the_day(minutes: int) -> None:
    now = at("2026-01-01T00:00") + timedelta(minutes=minutes)
    night, day = (quiet_hours(each, "America/Toronto") for each in ("22:00-07:00", "07:00-22:00"))
    assert night is not None
    assert day is not None
    assert night.holds(now) != day.holds(now)


@pytest.mark.parametrize("hours", ["22", "22:00", "25:00-07:00", "22:60-7:00", "07:00-07:00", "x"])
def test_nonsense_is_one_sentence_with_its_cure(hours: str) -> None:
    with pytest.raises(SetupError, match="HEALTHARCHIVE_QUIET_HOURS") as caught:
        quiet_hours(hours, "UTC")
    assert caught.value.cure


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_is_none_is_one_sentence(zone: str) -> None:
    with pytest.raises(SetupError, match="HEALTHARCHIVE_QUIET_ZONE"):
        quiet_hours("22:00-07:00", zone)


def test_no_hours_are_none() -> None:
    assert quiet_hours("  ", "nowhere") is None
