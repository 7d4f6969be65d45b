"""When little is found: a likelier spelling from the archive's own words, a filter to drop.

A word is only replaced when the archive hardly has it and has a word very near to it. What the
archive has, however rare it is elsewhere, stays as it was typed: names of drugs are like that.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import tantivy

from healtharchive.search.fields import LANGUAGES
from healtharchive.search.grammar import Asked, parse
from healtharchive.search.index import SearchIndex, count
from healtharchive.search.narrowing import Plan, Query

RARE_DOCUMENTS = 2  # a word in more than so many is right
TIMES_AS_FREQUENT = 10
LARGE_DOCUMENTS = 1000  # in an index of so many, a word that stands once may itself be wrong
FEW_RESULTS = 5  # with more nothing is suggested
SHORTEST_WORD = 4
LONG_WORD = 7  # from here on two letters may be wrong
LONGEST_WORD = 40
MOST_WORDS = 8  # of a query are looked up
MOST_RARE_WORDS = 2  # of these are compared with the index's words
MOST_CANDIDATES = 5_000  # a letter, the most frequent ones: Python compares them one by one
LETTERS = string.ascii_lowercase
ACCENTED = {"a": "àâä", "c": "ç", "e": "éèêë", "i": "îï", "o": "ôö", "u": "ùûü"}
WORD = re.compile(r"(?<![\w-])-(?:\"[^\"]*\"|\S+)|\w+:\S+|[^\W_]+")
FIELDS = [f"{part}_{language}" for part in ("title", "text") for language in LANGUAGES]


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text to search instead, filters and all, and how much it finds."""

    text: str
    total: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much is found without the filters of this name; `date` for before and after."""

    name: str
    total: int


def spelling(index: SearchIndex, query: Query, total: int) -> Spelling | None:
    """A likelier spelling of the query that finds more than `total`, or None."""
    if total > FEW_RESULTS:
        return None
    asked = parse(query.text)
    words = _Dictionary(index).corrected(asked.words)
    if words == asked.words:
        return None
    text = str(Asked(words, asked.filters))
    found = count(index.searcher(), Plan(index, replace(query, text=text)).whole())
    return Spelling(text, found) if found > total else None


def spelling_in(index_dir: Path, query: Query, total: int) -> Spelling | None:
    """`spelling` in the index of a directory; None when there is none yet."""
    if not SearchIndex.exists(index_dir):
        return None
    return spelling(SearchIndex(index_dir), query, total)


def dropped(searcher: tantivy.Searcher, plan: Plan) -> tuple[Dropped, ...]:
    """For a query that finds nothing: which of its filters, left out alone, lets something in."""
    found = (Dropped(name, count(searcher, plan.whole(name))) for name in plan.active)
    return tuple(each for each in found if each.total)


def distance(one: str, other: str, most: int) -> int:
    """Letters to add, drop, replace or swap with their neighbour; `most` + 1 when it is more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    letters, others = set(one), set(other)
    if len(letters - others) > most or len(others - letters) > most:
        return most + 1  # each slip brings one letter at most, and takes one
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, their in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != their))
            swapped = i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == their
            row.append(min(cost, before[j - 2] + 1) if swapped else cost)
        if min(row) > most:
            return most + 1
        before, above = above, row
    return min(above[-1], most + 1)


def plain(word: str) -> str:
    """A word in lower case and without accents, as searches compare it."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.lower().replace("œ", "oe").replace("æ", "ae"))
    return "".join(each for each in parts if not unicodedata.combining(each))


class _Dictionary:
    """The words of an index, whole and with their accents, and how many documents have each."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self._searcher = index.searcher()
        self._rare_left = MOST_RARE_WORDS

    def corrected(self, words: str) -> str:
        """The words with each unknown one replaced; operators and words left out stay."""
        left = MOST_WORDS

        def replacement(found: re.Match[str]) -> str:
            nonlocal left
            word = found.group()
            if not (word.isalpha() and word != "OR" and left):
                return word
            left -= 1
            return self._nearest(word) or word

        return WORD.sub(replacement, words)

    @cached_property
    def _fewest(self) -> int:
        return 2 if self._searcher.num_docs >= LARGE_DOCUMENTS else 1

    def _nearest(self, word: str) -> str:
        """A frequent word very near to a rare one, or empty."""
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            return ""
        known = count(self._searcher, self._index.parse(word, FIELDS, {}))
        if known > RARE_DOCUMENTS or not self._rare_left:
            return ""
        self._rare_left -= 1
        typed = plain(word)
        most = 2 if len(typed) >= LONG_WORD else 1
        least = max(self._fewest, TIMES_AS_FREQUENT * known)
        near = [
            (apart, -documents, candidate)
            for candidate, documents in self._candidates(typed)
            if documents >= least
            and candidate.isalpha()
            and 0 < (apart := distance(typed, plain(candidate), most)) <= most
        ]
        return min(near)[2] if near else ""

    def _candidates(self, typed: str) -> Iterator[tuple[str, int]]:
        """Words with the same first letter, and those one slip of the first letter away."""
        for first in (typed[0], *ACCENTED.get(typed[0], "")):
            yield from self._searcher.terms_with_prefix("spelling", first, limit=MOST_CANDIDATES)
        starts = {letter + rest for letter in LETTERS for rest in (typed, typed[1:])}
        starts |= {typed[1:], typed[1] + typed[0] + typed[2:]}
        for word in starts:
            if word[0] != typed[0] and (documents := self._searcher.doc_freq("spelling", word)):
                yield word, documents
