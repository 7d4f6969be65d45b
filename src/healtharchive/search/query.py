"""Searching: words and filters in, the best pages with their highlighted snippets out."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tantivy

from healtharchive.search.grammar import Problem
from healtharchive.search.index import (
    IndexedPage,
    SearchIndex,
    count,
    stored_page,
    total_of,
)
from healtharchive.search.narrowing import (
    EPOCH,
    MICROSECOND,
    Plan,
    Query,
    Sort,
    lenient,
    microseconds,
)
from healtharchive.search.snippets import Piece, Snippets

__all__ = [
    "Hit",
    "Piece",
    "Query",
    "Results",
    "Sort",
    "lenient",
    "microseconds",
    "search",
    "search_in",
]

MOST_RESULTS = 10_000
# So many of the best are looked at for pages that say nearly the same.
SPREAD_RESULTS = 100
FEW_RESULTS = 10  # with fewer, pages with most of the words follow
FIELD_OF_SORT = {"newest": "captured", "oldest": "first"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One page found. `captures` is how many of its captures are indexed."""

    snapshot_id: int
    capture_id: int
    url: str
    title: str
    snippet: tuple[Piece, ...]
    captured_at: datetime
    first_captured_at: datetime
    source: str
    campaign: str
    language: str
    kind: str
    mime: str
    status: int
    captures: int

    @property
    def snippet_html(self) -> str:
        """The snippet as safe HTML, with <mark> around what matches."""
        return "".join(
            f"<mark>{html.escape(each.text)}</mark>" if each.highlighted else html.escape(each.text)
            for each in self.snippet
        )


@dataclass(frozen=True, slots=True)
class Results:
    """A page of hits, how many there are in all, and what of the text could not be used.

    `exact` of them have all the words and come first. Where these are few, pages with most of the
    words follow.
    """

    total: int
    hits: tuple[Hit, ...]
    page: int
    size: int
    exact: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def pages(self) -> int:
        """How many pages of hits can be asked for; at least 1."""
        return max(1, -(-min(self.total, MOST_RESULTS) // self.size))


def search(index_dir: Path, query: Query) -> Results:
    """The hits for a query, best first. An index that is not there yet has none.

    Never raises for what is in the query; SetupError when the index cannot be used.
    """
    if not SearchIndex.exists(index_dir):
        return Results(0, (), query.page, query.size)
    return search_in(SearchIndex(index_dir), query)


def search_in(index: SearchIndex, query: Query) -> Results:
    """`search` in an index that is open already."""
    searcher = index.searcher()
    plan = Plan(index, query)
    exact, addresses = _found(searcher, plan.whole(), plan, query)
    total = exact
    if exact < FEW_RESULTS and plan.can_be_loose:
        more, others = _nearly(searcher, index, plan, query, exact)
        total, addresses = exact + more, addresses + others
    snippets = Snippets(searcher, index, plan.words)
    pages = [stored_page(searcher.doc(address)) for address in addresses]
    hits = tuple(_hit(searcher, index, snippets, page) for page in pages)
    return Results(total, hits, query.page, query.size, exact, plan.asked.problems)


def _nearly(
    searcher: tantivy.Searcher, index: SearchIndex, plan: Plan, query: Query, exact: int
) -> tuple[int, list[tantivy.DocAddress]]:
    """Pages with most of the words, behind the `exact` ones that have all."""
    loose = Plan(index, query, loose=True)
    others = tantivy.Query.boolean_query(
        [(tantivy.Occur.Must, loose.whole()), (tantivy.Occur.MustNot, plan.whole())]
    )
    before = (max(query.page, 1) - 1) * query.size
    ahead = min(max(exact - before, 0), query.size)  # of this page's hits have all
    return _found(searcher, others, loose, query, exact if not ahead else before, ahead)


def _found(
    searcher: tantivy.Searcher,
    whole: tantivy.Query,
    plan: Plan,
    query: Query,
    skipped: int = 0,
    taken: int = 0,
) -> tuple[int, list[tantivy.DocAddress]]:
    """How many are found in all, and those of the page that is asked for."""
    offset = (max(query.page, 1) - 1) * query.size - skipped
    limit = query.size - taken
    if offset + limit > MOST_RESULTS or not limit:
        return count(searcher, whole), []
    if query.sort != "relevance" or plan.words is None:
        found = searcher.search(
            whole,
            limit=limit,
            offset=offset,
            order_by_field=FIELD_OF_SORT.get(query.sort, "captured"),
            order=tantivy.Order.Asc if query.sort == "oldest" else tantivy.Order.Desc,
        )
        return total_of(found), [address for _, address in found.hits]
    is_first = offset + limit <= SPREAD_RESULTS and not plan.all_captures
    most, start = (SPREAD_RESULTS, 0) if is_first else (limit, offset)
    found = searcher.search(whole, limit=most, offset=start, weight_by_field="standing")
    addresses = [address for _, address in found.hits]
    if is_first:
        addresses = _spread(searcher, addresses)[offset : offset + limit]
    return total_of(found), addresses


def _spread(
    searcher: tantivy.Searcher, addresses: list[tantivy.DocAddress]
) -> list[tantivy.DocAddress]:
    """The same hits, those that say nearly what a better one says behind all others."""
    seen: set[object] = set()
    ahead: list[tantivy.DocAddress] = []
    behind: list[tantivy.DocAddress] = []
    for address, likeness in zip(
        addresses, searcher.fast_field_values("likeness", addresses), strict=True
    ):
        (behind if likeness in seen else ahead).append(address)
        seen.add(likeness)
    return ahead + behind


def _hit(
    searcher: tantivy.Searcher, index: SearchIndex, snippets: Snippets, page: IndexedPage
) -> Hit:
    of_page = tantivy.Query.term_query(index.schema, "page", page.page, "basic")
    return Hit(
        snapshot_id=page.snapshot_id,
        capture_id=page.capture_id,
        url=page.url,
        title=page.title,
        snippet=snippets.cut(page),
        captured_at=EPOCH + page.captured * MICROSECOND,
        first_captured_at=EPOCH + page.first * MICROSECOND,
        source=page.source,
        campaign=page.campaign,
        language=page.language,
        kind=page.kind,
        mime=page.mime,
        status=page.status,
        captures=count(searcher, of_page),
    )
