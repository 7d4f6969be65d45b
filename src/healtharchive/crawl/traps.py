"""Traps: endless parts of a site, bounded by shape and by number, and always reported."""

from __future__ import annotations

import re

MAX_PATH_SEGMENTS = 40
MAX_URL_CHARACTERS = 2000
MAX_REPEATS = 3
CALENDAR_YEARS = (1990, 2040)
# How many URLs of one shape a job queues. Real archives have thousands of numbered pages;
# nobody needs more than a few months of an empty calendar.
BUDGETS = {"calendar": 500, "query": 2_000, "number": 20_000}

DATE = re.compile(r"(?<!\d)([12]\d\d\d)[-/_.]?(0?[1-9]|1[0-2])(?:[-/_.]?(\d\d?))?(?!\d)")
CALENDAR_WORDS = re.compile(
    r"calend|(?:^|[?&/])(?:month|year|week|day|date|mois|annee|semaine|jour)(?:=|/)", re.IGNORECASE
)
NUMBER = re.compile(r"\d+")
VALUE = re.compile(r"=[^&]*")


def pattern_of(url: str) -> tuple[str, str] | None:
    """The shape of a URL and its kind (calendar, query, number); None when it is one of a kind."""
    address, _, query = url.partition("?")
    if CALENDAR_WORDS.search(url) and (DATE.search(url) or query):
        return NUMBER.sub("0", address) + ("?" + VALUE.sub("=", query) if query else ""), "calendar"
    if query:
        return NUMBER.sub("0", address) + "?" + VALUE.sub("=", query), "query"
    path = address.partition("://")[2].partition("/")[2]
    if NUMBER.search(path):
        return address[: len(address) - len(path)] + NUMBER.sub("0", path), "number"
    return None


def budget_for(kind: str) -> int:
    """How many URLs of one pattern of this kind a job may queue."""
    return BUDGETS[kind]


def check_shape(url: str, depth: int, max_depth: int) -> str:
    """Why a URL looks like a trap by itself (`trap: …`), or empty."""
    if depth > max_depth:
        return f"trap: more than {max_depth} links deep"
    if len(url) > MAX_URL_CHARACTERS:
        return f"trap: longer than {MAX_URL_CHARACTERS} characters"
    path = url.partition("://")[2].partition("?")[0]
    segments = path.split("/")[1:]
    if len(segments) > MAX_PATH_SEGMENTS:
        return f"trap: more than {MAX_PATH_SEGMENTS} path segments"
    if len(segments) > MAX_REPEATS and _repeats(segments):
        return "trap: the same path segments again and again"
    return _far_date(url)


def _repeats(segments: list[str]) -> bool:
    """Whether a run of one to three segments stands more than MAX_REPEATS times in a row."""
    for period in (1, 2, 3):
        same = 0
        for at in range(period, len(segments)):
            same = same + 1 if segments[at] and segments[at] == segments[at - period] else 0
            if same >= period * MAX_REPEATS:
                return True
    return False


def _far_date(url: str) -> str:
    if not CALENDAR_WORDS.search(url):
        return ""
    first, last = CALENDAR_YEARS
    found = DATE.search(url)
    if found is None or first <= int(found[1]) <= last:
        return ""
    return "trap: a calendar far from today"
