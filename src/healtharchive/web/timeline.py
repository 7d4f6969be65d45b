"""What happened to a page from capture to capture: which changed it, which found no page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import groupby

from healtharchive.model.history import Moment


class Found(StrEnum):
    """What a capture found at the address."""

    PAGE = "page"
    REDIRECT = "redirect"
    ERROR = "error"
    OTHER = "other"  # no status, or one below 200


class Change(StrEnum):
    """How a capture differs from the one before that found a page."""

    FIRST = "first"  # there is none before
    SAME = "same"
    CODE = "code"  # other bytes that say the same
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One capture in a page's history.

    `change` is null where no page was found. `before` is the capture it is compared with.
    """

    id: int
    captured_at: datetime
    status_code: int | None
    found: Found
    change: Change | None
    before: int | None
    before_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day (UTC) with captures. `capture_id` is its first that found a page, or its first."""

    day: date
    captures: int
    changed: bool
    page_found: bool
    capture_id: int


def found_by(status: int | None) -> Found:
    """What an HTTP status says was found."""
    if status is None or status < 200:
        return Found.OTHER
    if status < 300:
        return Found.PAGE
    return Found.REDIRECT if status < 400 else Found.ERROR


def change_between(before: Moment | None, after: Moment) -> Change:
    """How the later of two captures differs: by what it says, or else by its bytes."""
    if before is None:
        return Change.FIRST
    known = None not in (before.payload_digest, after.payload_digest)
    same_bytes = known and before.payload_digest == after.payload_digest
    if before.text_digest and after.text_digest:
        if before.text_digest != after.text_digest:
            return Change.CHANGED
        return Change.SAME if same_bytes else Change.CODE
    return Change.SAME if same_bytes else Change.CHANGED


def timeline(moments: Iterable[Moment], before: Moment | None) -> list[Entry]:
    """A page's captures, oldest first; `before` is the last one before them that found a page."""
    entries: list[Entry] = []
    for moment in moments:
        found = found_by(moment.status_code)
        compared = before if found is Found.PAGE else None
        entries.append(
            Entry(
                id=moment.id,
                captured_at=moment.captured_at,
                status_code=moment.status_code,
                found=found,
                change=change_between(before, moment) if found is Found.PAGE else None,
                before=compared.id if compared else None,
                before_at=compared.captured_at if compared else None,
            )
        )
        if found is Found.PAGE:
            before = moment
    return entries


def days_of(entries: Iterable[Entry]) -> list[Day]:
    """The days of a timeline, oldest first."""
    return [
        _day(day, list(of_day))
        for day, of_day in groupby(entries, lambda each: each.captured_at.astimezone(UTC).date())
    ]


def _day(day: date, entries: list[Entry]) -> Day:
    pages = [each for each in entries if each.found is Found.PAGE]
    return Day(
        day=day,
        captures=len(entries),
        changed=any(each.change is Change.CHANGED for each in pages),
        page_found=bool(pages),
        capture_id=(pages or entries)[0].id,
    )
