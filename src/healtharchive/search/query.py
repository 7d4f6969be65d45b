"""Searching: words and filters in, the best pages with their highlighted snippets out."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

import tantivy

from healtharchive.search.index import (
    ALWAYS,
    LANGUAGES,
    STEMMED,
    IndexedPage,
    SearchIndex,
    stored_page,
)

Sort = Literal["relevance", "newest", "oldest"]

SNIPPET_CHARS = 240
SNIPPED_CHARS = 200_000  # of a text; looking for the best place in more takes too long
MOST_RESULTS = 10_000
LONGEST_TEXT = 500
TITLE_BOOST = 3.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# The query language for people is words, "phrases", -without, OR. Everything else tantivy would
# read as an operator is a blank.
OPERATORS = re.compile(r"[\\:^~*\[\]{}()<>=!&|`/+]")
# l'influenza, qu'une; patient's: the index has the two parts as words of their own.
ELISION = re.compile(r"\b(?:[ldcjmntsy]|qu|jusqu|lorsqu|puisqu|quoiqu)['’](?=\w)", re.IGNORECASE)
POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
APOSTROPHE = re.compile(r"['’]")
LONE_DASH = re.compile(r"(?<!\S)-+(?!\w|\")")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for. Empty fields do not narrow; both dates count as whole days, UTC.

    Of each page only the latest capture is found, as of `date_to` and within `campaign` if those
    are given; with `all_captures` every one. `kind` is html, pdf or text.
    """

    text: str = ""
    source: str = ""
    campaign: str = ""
    language: str = ""
    kind: str = ""
    date_from: date | None = None
    date_to: date | None = None
    all_captures: bool = False
    sort: Sort = "relevance"
    page: int = 1
    size: int = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a snippet, highlighted or not; plain text, not HTML."""

    text: str
    highlighted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One page found. `captures` is how many of its captures are indexed."""

    snapshot_id: int
    capture_id: int
    url: str
    title: str
    snippet: tuple[Piece, ...]
    captured_at: datetime
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
    """A page of hits, and how many there are in all."""

    total: int
    hits: tuple[Hit, ...]
    page: int
    size: int

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
    words = _words(index, query.text)
    whole = _narrowed(index, query, words)
    offset = (max(query.page, 1) - 1) * query.size
    if offset + query.size > MOST_RESULTS:
        found = searcher.search(whole, limit=1)
        return Results(_count(found), (), query.page, query.size)
    sort = query.sort if words is not None or query.sort != "relevance" else "newest"
    found = searcher.search(
        whole,
        limit=query.size,
        offset=offset,
        order_by_field=None if sort == "relevance" else "captured",
        order=tantivy.Order.Asc if sort == "oldest" else tantivy.Order.Desc,
    )
    snippets = _Snippets(searcher, index, words)
    pages = [stored_page(searcher.doc(address)) for _, address in found.hits]
    hits = tuple(_hit(searcher, index, snippets, page) for page in pages)
    return Results(_count(found), hits, query.page, query.size)


def lenient(text: str) -> str:
    """What a person typed, with only the operators left that they can have meant."""
    text = text[:LONGEST_TEXT]
    text = ELISION.sub("", text)
    text = APOSTROPHE.sub(" ", POSSESSIVE.sub("", text))
    text = "".join(" " if ord(each) < 32 else each for each in text)
    text = text.replace("“", '"').replace("”", '"').replace("«", '"').replace("»", '"')
    if text.count('"') % 2:
        text = text.replace('"', " ")
    text = LONE_DASH.sub(" ", OPERATORS.sub(" ", text))
    return " ".join(text.split())


def _words(index: SearchIndex, text: str) -> tantivy.Query | None:
    """The query for the words, or None without any."""
    asked = lenient(text)
    if not any(each.isalnum() for each in asked):
        return None
    names = [f"{part}_{language}" for part in ("title", "text") for language in LANGUAGES]
    boosts = {f"title_{language}": TITLE_BOOST for language in LANGUAGES}
    return index.parse(asked, [*names, "words_of_url"], boosts)


def _narrowed(index: SearchIndex, query: Query, words: tantivy.Query | None) -> tantivy.Query:
    """The words and every filter; filters do not change the ranking."""
    filters = [
        _exactly(index, name, value)
        for name, value in (
            ("source", query.source),
            ("campaign", query.campaign),
            ("language", query.language),
            ("kind", query.kind),
        )
        if value
    ]
    end = microseconds(query.date_to + timedelta(days=1)) if query.date_to else None
    if query.date_from:
        filters.append(_between(index, "captured", microseconds(query.date_from), None))
    if end is not None:
        filters.append(_between(index, "captured", None, end - 1))
    if not query.all_captures:
        until = "until_in_edition" if query.campaign else "until"
        filters.append(_between(index, until, ALWAYS if end is None else end, None))
    must = [(tantivy.Occur.Must, tantivy.Query.const_score_query(each, 0.0)) for each in filters]
    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Must, words or tantivy.Query.all_query()), *must]
    )


def microseconds(moment: date) -> int:
    """A moment, or the beginning of a day in UTC, as the index counts them."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND


def _count(found: tantivy.SearchResult) -> int:
    count: int = found.count  # type: ignore[attr-defined]  # its stub leaves it out
    return count


def _exactly(index: SearchIndex, name: str, value: str) -> tantivy.Query:
    return tantivy.Query.term_query(index.schema, name, value, "basic")


def _between(index: SearchIndex, name: str, least: int | None, most: int | None) -> tantivy.Query:
    return tantivy.Query.range_query(index.schema, name, tantivy.FieldType.Integer, least, most)


class _Snippets:
    """Cuts the best stretch out of a page's text, for one query."""

    def __init__(
        self, searcher: tantivy.Searcher, index: SearchIndex, words: tantivy.Query | None
    ) -> None:
        self._generators: dict[str, tantivy.SnippetGenerator] = {}
        if words is None:
            return
        for language in LANGUAGES:
            name = f"text_{language}"
            maker = tantivy.SnippetGenerator.create(searcher, words, index.schema, name)
            maker.set_max_num_chars(SNIPPET_CHARS)
            self._generators[name] = maker

    def cut(self, page: IndexedPage) -> tuple[Piece, ...]:
        name = f"text_{page.language if page.language in STEMMED else 'xx'}"
        text = page.text[:SNIPPED_CHARS]
        if name in self._generators:
            snippet = self._generators[name].snippet_from_doc(tantivy.Document(**{name: text}))
            if snippet.highlighted():
                ranges = [(each.start, each.end) for each in snippet.highlighted()]
                return _pieces(snippet.fragment(), ranges)
        return _beginning(text)


def _pieces(fragment: str, ranges: list[tuple[int, int]]) -> tuple[Piece, ...]:
    """A fragment in pieces; tantivy counts in bytes of UTF-8."""
    data = fragment.encode()
    found: list[Piece] = []
    at = 0
    for start, end in sorted(ranges):
        if start < at:
            continue
        found.append(Piece(_plain(data[at:start]), highlighted=False))
        found.append(Piece(_plain(data[start:end]), highlighted=True))
        at = end
    found.append(Piece(_plain(data[at:]), highlighted=False))
    return tuple(each for each in found if each.text)


def _plain(data: bytes) -> str:
    return re.sub(r"\s+", " ", data.decode(errors="replace"))


def _beginning(text: str) -> tuple[Piece, ...]:
    words = " ".join(text[: SNIPPET_CHARS * 2].split())
    if len(words) > SNIPPET_CHARS:
        words = words[:SNIPPET_CHARS].rpartition(" ")[0] + " …"
    return (Piece(words, highlighted=False),) if words else ()


def _hit(
    searcher: tantivy.Searcher, index: SearchIndex, snippets: _Snippets, page: IndexedPage
) -> Hit:
    of_page = searcher.search(_exactly(index, "page", page.page), limit=1)
    return Hit(
        snapshot_id=page.snapshot_id,
        capture_id=page.capture_id,
        url=page.url,
        title=page.title,
        snippet=snippets.cut(page),
        captured_at=EPOCH + page.captured * MICROSECOND,
        source=page.source,
        campaign=page.campaign,
        language=page.language,
        kind=page.kind,
        mime=page.mime,
        status=page.status,
        captures=_count(of_page),
    )
