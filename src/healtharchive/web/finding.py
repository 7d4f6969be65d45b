"""What a search finds, as the page and the API show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.search.query import Hit as Found
from healtharchive.search.query import Piece, Query, Sort, search
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
    snippet: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """One page of results."""

    total: int = 0
    page: int = 1
    pages: int = 0
    per_page: int = PER_PAGE
    hits: tuple[Hit, ...] = ()


def find(settings: Settings, form: Form, names: Mapping[str, str]) -> Findings:
    """The page of results that a correct form asks for; `names` has each source's name.

    An archive in which nothing is indexed yet has none. IndexUnavailable when its index fails.
    """
    query = _query(form)
    try:
        results = search(settings.search_dir, query)
    except (SetupError, OSError, ValueError) as error:  # tantivy's own errors are ValueErrors
        raise IndexUnavailable(f"The search index cannot be read: {error}") from error
    hits = tuple(_hit(hit, names) for hit in results.hits)
    return Findings(results.total, results.page, results.pages, results.size, hits)


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
        snippet=hit.snippet,
    )
