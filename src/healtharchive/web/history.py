"""A page's history: its captures of a year in a calendar, and one after the other.

/fr/history?url=https%3A%2F%2Fexample.org%2F&year=2026
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.history import captures_by_year, captures_of_year, last_success_before
from healtharchive.warc.cdxj import stored_key
from healtharchive.web import enhanced
from healtharchive.web.absence import absent
from healtharchive.web.language import MONTHS
from healtharchive.web.original import is_usable
from healtharchive.web.timeline import Day, Entry, days_of, timeline
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
LAST_YEAR = 9998
WEEK = calendar.Calendar(firstweekday=6)  # Sunday, as in Canada


@dataclass(frozen=True, slots=True)
class Year:
    """How many captures of the page a year (UTC) has."""

    year: int
    captures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A page's captures of one year, the latest that has any unless another is asked for.

    `captures` are those of this page of `pages`, oldest first; `days` and `years` are all.
    """

    url: str
    total: int
    years: tuple[Year, ...]
    year: int
    page: int
    pages: int
    per_page: int
    captures: tuple[Entry, ...]
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """One month of the calendar: its name and its weeks, 0 where a day is another month's."""

    number: int
    name: str
    weeks: tuple[tuple[int, ...], ...]


@router.get("/{language}/history")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """A page's history: the query names its `url`, the `year` and the `page` of the timeline."""
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
    entries = timeline(moments, before)
    pages = max(1, -(-len(entries) // PER_PAGE))
    page = _number(query, "page", 1, pages)
    history = History(
        url=url,
        total=sum(years.values()),
        years=tuple(Year(*each) for each in years.items()),
        year=year,
        page=page,
        pages=pages,
        per_page=PER_PAGE,
        captures=tuple(entries[(page - 1) * PER_PAGE : page * PER_PAGE]),
        days=tuple(days_of(entries)),
    )
    return _answer(visit, history)


def _answer(visit: Visit, history: History) -> Response:
    return enhanced.answer(
        visit,
        "history.html",
        history,
        months=_months(visit, history.year),
        weekdays=visit.say("calendar.weekdays").split(),
        by_day={(each.day.month, each.day.day): each for each in history.days},
        captures_of_year=sum(each.captures for each in history.days),
        year_link=lambda year: visit.link(year=str(year), page=""),
        page_link=lambda number: visit.link(page=str(number)),
    )


def _number(query: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    """A whole number from 1 to `most` in the query; Missing when it is another thing."""
    given = query.get(name, "")
    if not given:
        return otherwise
    usable = given.isascii() and given.isdigit() and len(given) <= len(str(most))
    if not usable or not 1 <= int(given) <= most:
        raise Missing("trouble.404.page")
    return int(given)


def _months(visit: Visit, year: int) -> list[Month]:
    names = MONTHS[visit.language].split()
    return [
        Month(number, name, tuple(map(tuple, WEEK.monthdayscalendar(year, number))))
        for number, name in enumerate(names, start=1)
    ]
