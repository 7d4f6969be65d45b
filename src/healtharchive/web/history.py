"""A page's history: its captures of a year in a calendar, and one after the other.

/fr/history?url=https%3A%2F%2Fexample.org%2F&year=2026
/fr/history?url=https%3A%2F%2Fexample.org%2F&with=12     what is capture 12 to be compared with?
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.history import captures_by_year, captures_of_year, last_success_before
from healtharchive.model.holdings import Holding
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.warc.cdxj import stored_key
from healtharchive.web import enhanced
from healtharchive.web.absence import absent
from healtharchive.web.archived import found_holding
from healtharchive.web.compare import LIVE
from healtharchive.web.language import MONTHS
from healtharchive.web.original import is_usable
from healtharchive.web.timeline import Day, Entry, days_of, timeline
from healtharchive.web.trouble import Missing, Unusable
from healtharchive.web.visit import SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
LAST_YEAR = 9998
PLACE = re.compile(r"([0-9]{20})-([0-9]{1,19})")
MOMENT = "%Y%m%d%H%M%S%f"
WEEK = calendar.Calendar(firstweekday=6)  # Sunday, as in Canada


@dataclass(frozen=True, slots=True)
class Year:
    """How many captures of the page a year (UTC) has."""

    year: int
    captures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A page's captures of one year, the latest that has any unless another is asked for.

    `captures` are those of this page, oldest first; `days` and `years` are all. `next` goes into
    `after`, with the `year`, for the following captures; null where there are none.
    """

    url: str
    total: int
    years: tuple[Year, ...]
    year: int
    captures: tuple[Entry, ...]
    next: str | None
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """One month of the calendar: its name and its weeks, 0 where a day is another month's."""

    number: int
    name: str
    weeks: tuple[tuple[int, ...], ...]


@router.get("/{language}/history")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """A page's history: its `url`, the `year`, and `after` what the list goes on.

    `with` is the number of a capture that each of the others can be compared with.
    """
    query = visit.request.query_params
    url = query.get("url", "").strip()
    if not is_usable(url):
        raise Missing("trouble.404.history")
    key = stored_key(url)
    with site.database.read() as connection:
        years = captures_by_year(site.database, connection, key)
        if not years:
            raise absent(connection, key, url)
        year = _number(query, "year", max(years), LAST_YEAR)
        moments = captures_of_year(connection, key, year)
        before = last_success_before(connection, key, year)
        chosen = _number(query, "with", 0, BIGGEST_ID)
        beside = found_holding(connection, chosen) if chosen else None
    entries = timeline(moments, before)
    after = _place(query.get("after", ""))
    left = [each for each in entries if after is None or (each.captured_at, each.id) > after]
    page = tuple(left[:PER_PAGE])
    history = History(
        url=url,
        total=sum(years.values()),
        years=tuple(Year(*each) for each in years.items()),
        year=year,
        captures=page,
        next=_written(page[-1]) if len(left) > len(page) else None,
        days=tuple(days_of(entries)),
    )
    return _answer(visit, history, beside)


def _answer(visit: Visit, history: History, chosen: Holding | None) -> Response:
    return enhanced.answer(
        visit,
        "history.html",
        history,
        months=_months(visit, history.year),
        weekdays=visit.say("calendar.weekdays").split(),
        by_day={(each.day.month, each.day.day): each for each in history.days},
        captures_of_year=sum(each.captures for each in history.days),
        year_link=lambda year: visit.link(year=str(year), after=""),
        chosen=chosen,
        pair_link=lambda each: _pair(visit, chosen, each) if chosen else "",
        live_link=_live(visit, chosen),
        unchosen_link=visit.link(**{"with": ""}),
        # With the year: the first capture of another one must not change what follows.
        next_link=visit.link(year=str(history.year), after=history.next) if history.next else "",
        first_link=visit.link(after="") if "after" in visit.request.query_params else "",
    )


def _pair(visit: Visit, chosen: Holding, entry: Entry) -> str:
    """Where two captures are compared, the older one first."""
    pair = sorted((each.captured_at, each.id) for each in (chosen, entry))
    return f"/{visit.language}/compare?from={pair[0][1]}&to={pair[1][1]}"


def _live(visit: Visit, chosen: Holding | None) -> str:
    """Where a capture is compared with the page of today; empty where that is switched off."""
    if chosen is None or not visit.site.settings.live_every_seconds:
        return ""
    return f"/{visit.language}/compare?from={chosen.id}&to={LIVE}"


def _number(query: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    """A whole number from 1 to `most` in the query; Missing when it is another thing."""
    given = query.get(name, "")
    if not given:
        return otherwise
    usable = given.isascii() and given.isdigit() and len(given) <= len(str(most))
    if not usable or not 1 <= int(given) <= most:
        raise Missing("trouble.404.page")
    return int(given)


def _written(entry: Entry) -> str:
    return f"{entry.captured_at.astimezone(UTC).strftime(MOMENT)}-{entry.id}"


def _place(text: str) -> tuple[datetime, int] | None:
    """Where a page of the timeline ended; Unusable when nobody was given such a place."""
    if not text:
        return None
    found = PLACE.fullmatch(text)
    try:
        if found is not None and int(found[2]) <= BIGGEST_ID:
            return datetime.strptime(found[1], MOMENT).replace(tzinfo=UTC), int(found[2])
    except ValueError:  # no such day
        pass
    raise Unusable("trouble.400.place", name="after")


def _months(visit: Visit, year: int) -> list[Month]:
    names = MONTHS[visit.language].split()
    return [
        Month(number, name, tuple(map(tuple, WEEK.monthdayscalendar(year, number))))
        for number, name in enumerate(names, start=1)
    ]
