"""Dates in headers: every form that HTTP has, and whatever else a site may send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.dates import moment_of

NOON = datetime(1994, 11, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 12:00:00 GMT",
        "Sunday, 06-Nov-94 12:00:00 GMT",
        "Sun Nov  6 12:00:00 1994",
        "Sun, 06 Nov 1994 13:00:00 +0100",
    ],
)
def test_every_form_of_an_http_date_is_read(text: str) -> None:
    assert moment_of(text) == NOON


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "Thu, 01 Jan 2026 00:00:00 +99999999999999999", "1 Jan 99999999999999999999"],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert moment_of(text) is None


WORDS = ("Thu,", "Thu", "01", "Jan", "2026", "00:00:00", "0.0", "GMT", "+0100", "-", "9" * 20, ",")


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)))
def test_nothing_raises_and_every_moment_has_a_zone(text: str) -> None:
    moment = moment_of(text)
    assert moment is None or moment.tzinfo is not None
