"""Snippets: the stretch of a page's text that shows why it was found."""

from __future__ import annotations

import re
from dataclasses import dataclass

import tantivy

from healtharchive.search.fields import LANGUAGES
from healtharchive.search.index import IndexedPage, SearchIndex

SNIPPET_CHARS = 240
SNIPPED_CHARS = 200_000  # of a text; looking for the best place in more takes too long


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a snippet, highlighted or not; plain text, not HTML."""

    text: str
    highlighted: bool


class Snippets:
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
        """The stretch in which most of the words stand, or else the text's beginning."""
        name = f"text_{page.written_in}"
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
