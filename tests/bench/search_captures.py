"""Synthetic captures and questions for the search bench: the same for a seed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from healtharchive.search.index import IndexedPage
from healtharchive.search.narrowing import microseconds
from tests.bench.search_corpus import corpus

CAPTURES_A_PAGE = 4
FIRST_YEAR = 2023
WORDS_A_PAGE = (60, 400)
WORDS_OF_HEADINGS = 15
SOURCES = ("hc", "phac", "cihr", "statcan", "inspq")
FRENCH_SHARE = 0.4
BATCH = 20_000
QUESTIONS = 40  # of each kind
WORD = re.compile(r"[^\W\d_]{2,30}")
KINDS = ("one word", "three words", "phrase", "filter and facets", "newest")
WORDS_OF = {"three words": 3, "phrase": 2}
SHORTEST_ASKED = 4  # letters: nobody looks for "the"


@dataclass(frozen=True, slots=True)
class Question:
    """One search: its words, and what kind of search it is."""

    kind: str
    words: tuple[str, ...]


class Captures:
    """Pages of the corpus's own words, drawn as often as they stand there, in four campaigns."""

    def __init__(self, captures: int, seed: int) -> None:
        self.pages = max(captures // CAPTURES_A_PAGE, 1)
        self._seed = seed
        self._words = {language: _frequencies(language) for language in ("en", "fr")}

    def batches(self) -> Iterator[list[IndexedPage]]:
        """All of them, campaign after campaign."""
        for edition in range(CAPTURES_A_PAGE):
            for start in range(0, self.pages, BATCH):
                numbers = range(start, min(start + BATCH, self.pages))
                yield [self._capture(number, edition) for number in numbers]

    def questions(self, part: str) -> list[Question]:
        """So many of each kind: words that follow each other on a page. `part` draws others."""
        draw = random.Random(f"{self._seed} {part}")
        return [
            Question(kind, self._asked(draw, WORDS_OF.get(kind, 1)))
            for kind in KINDS
            for _ in range(QUESTIONS)
        ]

    def _asked(self, draw: random.Random, count: int) -> tuple[str, ...]:
        page = self._capture(draw.randrange(self.pages), CAPTURES_A_PAGE - 1)
        words = page.text.split()
        starts = [
            at
            for at in range(len(words) - count)
            if all(len(word) >= SHORTEST_ASKED for word in words[at : at + count])
        ]
        at = draw.choice(starts or [0])
        return tuple(words[at : at + count])

    def _capture(self, number: int, edition: int) -> IndexedPage:
        draw = random.Random(f"{self._seed} {number}")
        language = "fr" if draw.random() < FRENCH_SHARE else "en"
        words, sums = self._words[language]
        text = draw.choices(words, cum_weights=sums, k=draw.randint(*WORDS_A_PAGE))
        title = draw.choices(words, cum_weights=sums, k=5)
        source = draw.choice(SOURCES)
        url = f"https://www.{source}.example.ca/{language}/{text[0]}/{number}.html"
        kind = "pdf" if draw.random() < 0.1 else "html"
        # Each campaign finds a few other words at the page's end.
        later = random.Random(f"{self._seed} {number} {edition}")
        text += later.choices(words, k=5)
        moment = datetime(FIRST_YEAR + edition, 3, 1, tzinfo=UTC) + timedelta(seconds=number)
        campaign = f"annual-{moment.year}"
        identity = number * CAPTURES_A_PAGE + edition
        return IndexedPage(
            key=f"{campaign}:{number}",
            page=f"{source} {url}",
            edition=f"{source} {campaign} {url}",
            url=url,
            source=source,
            campaign=campaign,
            language=language,
            kind=kind,
            mime="text/html",
            status=200,
            digest=f"{number}:{edition}",
            captured=microseconds(moment),
            capture_id=identity,
            snapshot_id=identity,
            title=" ".join(title),
            text=" ".join(text),
            headings=" ".join(later.choices(words, cum_weights=sums, k=WORDS_OF_HEADINGS)),
        )


def is_newest(page: IndexedPage) -> bool:
    """Whether a capture is the last of its page."""
    return year_of(page) == FIRST_YEAR + CAPTURES_A_PAGE - 1


def year_of(page: IndexedPage) -> int:
    """The year of a capture's campaign, which is the year of the capture."""
    return int(page.campaign.rpartition("-")[2])


def _frequencies(language: str) -> tuple[list[str], list[int]]:
    """The corpus's words of a language and their frequencies, summed up as `choices` wants."""
    counted = Counter(
        word
        for page in corpus()
        if page.language == language
        for word in WORD.findall(page.text.lower())
    )
    total = 0
    sums = []
    for count in counted.values():
        total += count
        sums.append(total)
    return list(counted), sums
