"""The day of the annual edition: once a year, made up for within a month, and a typo is told."""

from __future__ import annotations

from datetime import date

import pytest

from healtharchive.model.errors import BadInput
from healtharchive.settings.edition_day import EditionDay, edition_day
from healtharchive.steward.editions import due_year


@pytest.mark.parametrize(
    ("day", "today", "known", "year"),
    [
        ("01-15", date(2026, 1, 14), (), None),
        ("01-15", date(2026, 1, 15), (), 2026),
        ("01-15", date(2026, 1, 15), ("annual-2026",), None),
        ("01-15", date(2026, 2, 14), ("annual-2025",), 2026),
        ("01-15", date(2026, 2, 15), (), None),
        ("12-20", date(2027, 1, 5), (), 2026),
        ("12-20", date(2027, 1, 5), ("annual-2026",), None),
        ("02-29", date(2027, 2, 28), (), 2027),
        ("02-29", date(2028, 2, 28), (), None),
    ],
)
def test_which_year_is_due(day: str, today: date, known: tuple[str, ...], year: int | None) -> None:
    meant = edition_day(day)
    assert meant is not None
    assert due_year(meant, today, known) == year


@pytest.mark.parametrize("text", ["13-01", "02-30", "1-1", "January", "2026-01-01", "00-00"])
def test_what_is_no_day_is_one_sentence(text: str) -> None:
    with pytest.raises(BadInput) as error:
        edition_day(text)
    assert text in str(error.value)
    assert "01-15" in str(error.value)


def test_nothing_set_is_no_day() -> None:
    assert edition_day("") is None
    assert edition_day("01-15") == EditionDay(1, 15)
