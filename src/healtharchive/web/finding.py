"""What a search finds, as the page and the API show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.search.facets import Facet, facets
from healtharchive.search.grammar import Problem
from healtharchive.search.index import SearchIndex
from healtharchive.search.narrowing import Plan, Query, Sort
from healtharchive.search.query import Hit as Found
from healtharchive.search.query import Piece, search_in
from healtharchive.search.suggestions import Dropped, Spelling, dropped, spelling
from healtharchive.settings import Settings
from healtharchive.web.form import Form, day, page_number

PER_PAGE = 20
ORDERS: Mapping[str, Sort] = {
    "relevance": "relevance",
    "newest": "newest",
    "oldest": "oldest",
}


class IndexUnavailable(HealthArchiveError):
    """The search index cannot be read now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One page that matches: the capture that did, out of `captures` of the page."""

    capture_id: int
    url: str
    name: str
    language: str | None
    captured_at: datetime
    source: str
    source_name: str
    campaign: str | None
    type: str
    captures: int
    first_captured_at: datetime
    thumbnail: bool = False  # there is one at /thumbnail/ID
    snippet: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """One page of results, and what may be changed about the query.

    The first `exact` of `total` have all the words, the others most of them. `problems` are parts
    of the text that look like filters and are none. `dropped` has, for a query that finds nothing,
    how much there is without the filters of one name.
    """

    total: int = 0
    page: int = 1
    pages: int = 0
    per_page: int = PER_PAGE
    hits: tuple[Hit, ...] = ()
    exact: int = 0
    problems: tuple[Problem, ...] = ()
    spelling: Spelling | None = None
    dropped: tuple[Dropped, ...] = ()
    facets: tuple[Facet, ...] = ()


def find(settings: Settings, form: Form, names: Mapping[str, str]) -> Findings:
    """The page of results that a correct form asks for; `names` has each source's name.

    An archive in which nothing is indexed yet has none. IndexUnavailable when its index fails.
    """
    if not SearchIndex.exists(settings.search_dir):
        return Findings()
    query = _query(form)
    try:
        return _findings(SearchIndex(settings.search_dir), query, names)
    except (SetupError, OSError, ValueError) as error:  # tantivy's own errors are ValueErrors
        raise IndexUnavailable(f"The search index cannot be read: {error}") from error


def _findings(index: SearchIndex, query: Query, names: Mapping[str, str]) -> Findings:
    results = search_in(index, query)
    plan = Plan(index, query, loose=results.total > results.exact)
    searcher = index.searcher()
    return Findings(
        results.total,
        results.page,
        results.pages,
        results.size,
        tuple(_hit(hit, names) for hit in results.hits),
        results.exact,
        results.problems,
        spelling(index, query, results.exact),
        () if results.total else dropped(searcher, plan),
        facets(searcher, plan),
    )


def _query(form: Form) -> Query:
    return Query(
        text=form["q"],
        source=form["source"],
        campaign=form["campaign"],
        language=form["lang"],
        kind=form["type"],
        date_from=day(form, "from"),
        date_to=day(form, "to"),
        all_captures=form["which"] == "all",
        sort=ORDERS[form["sort"]],
        page=page_number(form) or 1,
        size=PER_PAGE,
    )


def _hit(hit: Found, names: Mapping[str, str]) -> Hit:
    return Hit(
        capture_id=hit.capture_id,
        url=hit.url,
        name=hit.title or hit.url,
        language=hit.language or None,
        captured_at=hit.captured_at,
        source=hit.source,
        source_name=names.get(hit.source, hit.source),
        campaign=hit.campaign or None,
        type=hit.kind,
        captures=hit.captures,
        first_captured_at=hit.first_captured_at,
        snippet=hit.snippet,
    )
