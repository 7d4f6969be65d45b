"""What a page's history says of each capture: pages are compared with pages, by what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from healtharchive.model.history import Moment
from healtharchive.web.timeline import Change, Entry, Found, days_of, found_by, timeline

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
A, B = "sha256:a", "sha256:b"


def moments(*seen: tuple[int | None, str | None, str | None]) -> list[Moment]:
    """Captures half a day apart: status, payload digest, text digest."""
    return [
        Moment(number, BEGIN + timedelta(hours=12) * number, *each)
        for number, each in enumerate(seen)
    ]


def changes(entries: list[Entry]) -> list[Change | None]:
    return [each.change for each in entries]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ((A, "x"), (A, "x"), Change.SAME),
        ((A, "x"), (B, "x"), Change.CODE),
        ((A, "x"), (B, "y"), Change.CHANGED),
        ((A, "x"), (A, "y"), Change.CHANGED),  # a script shell that was filled with another text
        ((A, None), (A, None), Change.SAME),
        ((A, None), (B, None), Change.CHANGED),
        ((A, "x"), (B, None), Change.CHANGED),
        ((None, None), (None, None), Change.CHANGED),  # not known to be the same
    ],
)
def test_two_captures_differ_by_what_they_say_or_else_by_their_bytes(
    before: tuple[str | None, str | None], after: tuple[str | None, str | None], change: Change
) -> None:
    assert changes(timeline(moments((200, *before), (200, *after)), None)) == [
        Change.FIRST,
        change,
    ]


def test_an_error_between_two_captures_is_no_change_of_the_page() -> None:
    seen = moments((200, A, "x"), (503, B, None), (301, B, None), (200, A, "x"), (200, B, "y"))
    entries = timeline(seen, None)
    assert [each.found for each in entries] == [
        Found.PAGE,
        Found.ERROR,
        Found.REDIRECT,
        Found.PAGE,
        Found.PAGE,
    ]
    assert changes(entries) == [Change.FIRST, None, None, Change.SAME, Change.CHANGED]
    assert [each.before for each in entries] == [None, None, None, 0, 3]


def test_a_year_begins_where_the_one_before_ended() -> None:
    earlier, now = moments((200, A, "x"), (200, A, "x"))
    (entry,) = timeline([now], earlier)
    assert (entry.change, entry.before) == (Change.SAME, earlier.id)


def test_a_day_leads_to_its_first_page_and_says_whether_any_changed() -> None:
    seen = moments((200, A, "x"), (404, B, None), (200, B, "y"), (404, B, None), (404, B, None))
    days = days_of(timeline(seen, None))
    assert [(each.day.day, each.captures, each.capture_id) for each in days] == [
        (1, 1, 0),
        (2, 2, 2),
        (3, 2, 3),
    ]
    assert [(each.changed, each.page_found) for each in days] == [
        (False, True),
        (True, True),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (None, Found.OTHER),
        (101, Found.OTHER),
        (200, Found.PAGE),
        (299, Found.PAGE),
        (301, Found.REDIRECT),
        (400, Found.ERROR),
        (503, Found.ERROR),
    ],
)
def test_what_a_status_says_was_found(status: int | None, found: Found) -> None:
    assert found_by(status) is found
