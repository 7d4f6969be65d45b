"""From what is asked to what the index is asked: the words, and each filter by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Literal

import tantivy

from healtharchive.search.fields import LANGUAGES
from healtharchive.search.grammar import (
    LAST_YEAR,
    LONGEST_TEXT,
    Asked,
    Filter,
    moment,
    parse,
    site_parts,
)
from healtharchive.search.index import ALWAYS, SearchIndex
from healtharchive.search.language import ENGLISH, FRENCH

Sort = Literal["relevance", "newest", "oldest"]

TITLE_BOOST = 2.0
HEADINGS_BOOST = 2.0
URL_BOOST = 0.5
PAIR_BOOST = 0.5  # how much it counts that two words that follow each other stand near each other
NEAR_SLOP = 4
MOST_PAIRS = 6
# What part of the words a page must have where only few have all of them: 2 of 3, 3 of 4 or 5.
LOOSE_SHARE = 0.6
# Short words that nearly every page of a language has: nobody's page is left out for want of one.
COMMON_WORDS = (ENGLISH | FRENCH) - {"who", "not", "pas", "plus"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIELDS_OF = {"source": "source", "campaign": "campaign", "lang": "language", "type": "kind"}
TITLES = [f"title_{language}" for language in LANGUAGES]
TEXTS = [f"text_{language}" for language in LANGUAGES]
HEADINGS = [f"headings_{language}" for language in LANGUAGES]
ANYWHERE = [*TITLES, *TEXTS, "words_of_url"]
BOOSTS = {
    **dict.fromkeys(TITLES, TITLE_BOOST),
    **dict.fromkeys(HEADINGS, HEADINGS_BOOST),
    "words_of_url": URL_BOOST,
}

# The query language of the words is words, "phrases", -without, OR. Everything else tantivy would
# read as an operator is a blank.
OPERATORS = re.compile(r"[\\:^~*\[\]{}()<>=!&|`/+]")
# l'influenza, qu'une; patient's: the index has the two parts as words of their own.
ELISION = re.compile(r"\b(?:[ldcjmntsy]|qu|jusqu|lorsqu|puisqu|quoiqu)['’](?=\w)", re.IGNORECASE)
POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
APOSTROPHE = re.compile(r"['’]")
# covid19: pages most often have COVID-19 or Covid 19, of which the index has two words.
WITH_NUMBER = re.compile(r'"[^"]*"|(?<!\S)(-?)([^\W\d_]{2,40})(\d{1,4})(?!\S)')
LONE_DASH = re.compile(r"(?<!\S)-+(?!\w|\")")
ONLY_WORDS = re.compile(r'(?<!\S)(?:OR|AND|NOT|IN)(?!\S)|(?<!\S)-(?:"[^"]*"|\S+)|"[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for. Empty fields do not narrow; both dates count as whole days, UTC.

    `text` may hold filters (see `grammar`); the fields count as more of them. Of each page only the
    latest capture is found, as of the last day asked for, and within the campaigns asked for; with
    `all_captures` every one. `kind` is html, pdf or text. `oldest` goes by the page's first
    capture, `newest` by the capture that is found.
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


class Plan:
    """A query as tantivy takes it, whole or without some of its filters.

    A `loose` one is content with most of the words.
    """

    def __init__(self, index: SearchIndex, query: Query, *, loose: bool = False) -> None:
        self._index = index
        self._query = query
        self._loose = loose
        self.asked = _with_fields(parse(query.text), query)

    @cached_property
    def words(self) -> tantivy.Query | None:
        """The query for the words and titles, ranked; None without any."""
        scored = [self._words] if self._words is not None else []
        scored += [
            self._parsed(each.value, TITLES)
            for each in self.asked.named("title")
            if not each.excluded
        ]
        if not scored:
            return None
        must = [(tantivy.Occur.Must, each) for each in scored]
        return tantivy.Query.boolean_query([*must, *self._near()])

    @cached_property
    def _words(self) -> tantivy.Query | None:
        text = lenient(self.asked.words)
        if not any(each.isalnum() for each in text):
            return None
        if ONLY_WORDS.search(text):
            return self._anywhere(apart_too(text))
        words = self._telling
        each = [(tantivy.Occur.Should, self._anywhere(apart_too(word))) for word in words]
        return tantivy.Query.boolean_query(each, self._least)

    def _anywhere(self, text: str) -> tantivy.Query:
        names = [*ANYWHERE, *HEADINGS] if self._index.sections else ANYWHERE
        return self._index.parse(text, names, BOOSTS)

    @cached_property
    def can_be_loose(self) -> bool:
        """Whether a loose plan finds more than this one."""
        text = lenient(self.asked.words)
        return not ONLY_WORDS.search(text) and 0 < loose_number(self._telling) < len(self._telling)

    @property
    def _least(self) -> int:
        return loose_number(self._telling) if self._loose else len(self._telling)

    @cached_property
    def _plain(self) -> list[str]:
        """The words that stand alone: in no phrase, not left out."""
        return re.findall(r"\w+", ONLY_WORDS.sub(" ", lenient(self.asked.words)))

    @cached_property
    def _telling(self) -> list[str]:
        """Those of the plain words that a page must have."""
        telling = [w for w in self._plain if w.isupper() or w.lower() not in COMMON_WORDS]
        return list(dict.fromkeys(telling or self._plain))

    def whole(self, *leave_out: str, edition: bool = False, latest: bool = True) -> tantivy.Query:
        """The words and every filter but those named in `leave_out`; filters do not rank.

        With `edition` the latest capture of each campaign counts, without `latest` every one.
        """
        must = [tantivy.Query.all_query() if self.words is None else self.words]
        must_not: list[tantivy.Query] = []
        for name in ("site", "inurl", "title", *FIELDS_OF):
            if name not in leave_out:
                wanted, unwanted = self._named(name)
                must += wanted
                must_not += unwanted
        first, end = (None, None) if "date" in leave_out else self.span
        if first is not None:
            must.append(self._between("captured", first, None))
        if end is not None:
            must.append(self._between("captured", None, end - 1))
        if latest and not self._query.all_captures:
            by_edition = edition or (self._asks_edition and "campaign" not in leave_out)
            must.append(self._latest(end, by_edition))
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, each) for each in must]
            + [(tantivy.Occur.MustNot, each) for each in must_not]
        )

    @property
    def until(self) -> str:
        """The field that says until when a capture is the latest that counts."""
        return "until_in_edition" if self._asks_edition else "until"

    @property
    def all_captures(self) -> bool:
        """Whether every capture counts, not only the latest of each page."""
        return self._query.all_captures

    @cached_property
    def active(self) -> tuple[str, ...]:
        """The names of the filters that narrow this query; `date` for before and after."""
        names = ["date" if each.name in ("before", "after") else each.name for each in self.filters]
        return tuple(dict.fromkeys(names))

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Every filter, of the text and of the fields."""
        return self.asked.filters

    @cached_property
    def span(self) -> tuple[int | None, int | None]:
        """From which microsecond on, and before which one, captures are asked for."""
        after = [microseconds(day) for each in self.asked.named("after") if (day := _day(each))]
        before = [microseconds(day) for each in self.asked.named("before") if (day := _day(each))]
        return max(after, default=None), min(before, default=None)

    @cached_property
    def _asks_edition(self) -> bool:
        return bool(self.asked.named("campaign"))

    def _named(self, name: str) -> tuple[list[tantivy.Query], list[tantivy.Query]]:
        """What must hold for the filters of one name, and what must not."""
        filters = self.asked.named(name)
        any_of = [self._matching(each) for each in filters if not each.excluded]
        if name == "title":
            any_of = []  # among the words, which rank
        wanted = [_unranked(_any(any_of))] if any_of else []
        return wanted, [self._matching(each) for each in filters if each.excluded]

    def _matching(self, each: Filter) -> tantivy.Query:
        if each.name == "site":
            host, path = site_parts(each.value)
            parts = [self._exactly("host", host)]
            parts += [self._exactly("path", path)] if path else []
            return tantivy.Query.boolean_query([(tantivy.Occur.Must, part) for part in parts])
        if each.name == "inurl":
            return self._parsed(each.value, ["words_of_url"])
        if each.name == "title":
            return self._parsed(each.value, TITLES)
        return self._exactly(FIELDS_OF[each.name], each.value)

    def _parsed(self, value: str, names: list[str]) -> tantivy.Query:
        """The words of a value next to each other."""
        words = " ".join(re.findall(r"\w+", lenient(value)))
        quoted = words if WITH_NUMBER.fullmatch(words) else f'"{words}"'
        return self._index.parse(apart_too(quoted), names, {})

    def _near(self) -> list[tuple[tantivy.Occur, tantivy.Query]]:
        """What ranks higher: two plain words that stand near each other, in the order asked."""
        return [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._run(*pair), PAIR_BOOST))
            for pair in pairwise(self._telling[: MOST_PAIRS + 1])
        ]

    def _run(self, first: str, second: str) -> tantivy.Query:
        return self._index.parse(f'"{first} {second}"~{NEAR_SLOP}', [*TITLES, *TEXTS], BOOSTS)

    def _latest(self, end: int | None, by_edition: bool) -> tantivy.Query:
        name = "until_in_edition" if by_edition else "until"
        return self._between(name, ALWAYS if end is None else end, None)

    def _exactly(self, name: str, value: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._index.schema, name, value, "basic")

    def _between(self, name: str, least: int | None, most: int | None) -> tantivy.Query:
        kind = tantivy.FieldType.Integer
        return _unranked(tantivy.Query.range_query(self._index.schema, name, kind, least, most))


def loose_number(words: Sequence[str]) -> int:
    """How many of the words a page must have in a loose search."""
    return math.ceil(LOOSE_SHARE * len(words))


def apart_too(text: str) -> str:
    """The text with each word that ends with a number also as the two apart, but for phrases."""

    def both(found: re.Match[str]) -> str:
        if found[2] is None:  # a phrase is meant as it stands
            return found[0]
        word, apart = f"{found[2]}{found[3]}", f'"{found[2]} {found[3]}"'
        return f"-{word} -{apart}" if found[1] else f"({word} OR {apart})"

    return WITH_NUMBER.sub(both, text)


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


def microseconds(when: date) -> int:
    """A moment, or the beginning of a day in UTC, as the index counts them."""
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day, tzinfo=UTC)
    return (when - EPOCH) // MICROSECOND


def _with_fields(asked: Asked, query: Query) -> Asked:
    """The text's filters and those of the fields, in one list."""
    values = {
        "source": query.source,
        "campaign": query.campaign,
        "lang": query.language,
        "type": query.kind,
        "after": query.date_from.isoformat() if query.date_from else "",
        "before": _day_after(query.date_to) if query.date_to else "",
    }
    fields = tuple(Filter(name, value) for name, value in values.items() if value)
    return Asked(asked.words, tuple(dict.fromkeys((*asked.filters, *fields))), asked.problems)


def _day_after(day: date) -> str:
    return (min(day, date(LAST_YEAR, 12, 31)) + timedelta(days=1)).isoformat()


def _day(each: Filter) -> date | None:
    return moment(each.value)


def _any(queries: list[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, each) for each in queries])


def _unranked(query: tantivy.Query) -> tantivy.Query:
    return tantivy.Query.const_score_query(query, 0.0)
