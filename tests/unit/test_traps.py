"""Traps are told from real pages by their shape and their number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.traps import budget_for, check_shape, pattern_of

SITE = "https://a.example"


@pytest.mark.parametrize(
    "path",
    [
        "/a/b/a/b/a/b/a/b/a/b/",
        "/x/x/x/x/x/x",
        "/" + "/".join(f"s{n}" for n in range(60)),
        "/calendar/2199/07/",
        "/events?month=1650-01",
        "/" + "x" * 3000,
    ],
)
def test_the_shape_of_a_trap_is_named(path: str) -> None:
    assert check_shape(SITE + path, 3, 50).startswith("trap: ")


@pytest.mark.parametrize(
    "path",
    ["/", "/en/health-canada/services/drugs.html", "/news/2026/01/24/item.html", "/a/b/a/c/a/d"],
)
def test_real_pages_pass(path: str) -> None:
    assert check_shape(SITE + path, 3, 50) == ""


def test_too_deep_is_a_trap() -> None:
    assert "deep" in check_shape(f"{SITE}/x", 51, 50)


@given(st.integers(1990, 2040), st.integers(1, 12))
def test_every_month_of_a_calendar_has_one_pattern(year: int, month: int) -> None:
    first = pattern_of(f"{SITE}/calendar?month={year}-{month:02d}")
    assert first == pattern_of(f"{SITE}/calendar?month=2026-01")
    assert first is not None
    assert budget_for(first[1]) <= 1000


def test_numbered_pages_have_more_room_than_calendars_and_words_have_no_bound() -> None:
    numbered = pattern_of(f"{SITE}/recalls/71234.html")
    assert numbered is not None
    assert budget_for(numbered[1]) > budget_for("calendar")
    assert pattern_of(f"{SITE}/en/health-canada.html") is None
