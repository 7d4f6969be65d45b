"""The judged queries, and the measures of an order of pages against their grades."""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUERIES = Path(__file__).with_name("judged_queries.toml")
GRADES = Path(__file__).with_name("judged_pages.qrels")
DEPTH = 10
HELD_OUT = 3  # every third query of a language
ANSWERS = 2  # the least grade of a page that answers


@dataclass(frozen=True, slots=True)
class Judged:
    """A query, what who asks it wants, and the grade of each page that was read for it: 0 to 3."""

    id: str
    text: str
    wanted: str
    grades: Mapping[str, int]

    @property
    def language(self) -> str:
        return self.id[:2]

    @property
    def held_out(self) -> bool:
        """Whether ranking may not be chosen by it."""
        return int(self.id[2:]) % HELD_OUT == 0


def judged_queries(queries: Path = QUERIES, grades: Path = GRADES) -> list[Judged]:
    """All of them, with the grades in TREC's format: query, 0, page, grade."""
    graded: dict[str, dict[str, int]] = defaultdict(dict)
    for line in grades.read_text(encoding="utf-8").splitlines():
        query, _, url, grade = line.split()
        graded[query][url] = int(grade)
    found = tomllib.loads(queries.read_text(encoding="utf-8"))["query"]
    return [Judged(each["id"], each["text"], each["wanted"], graded[each["id"]]) for each in found]


def ndcg(found: Sequence[str], grades: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain: 1 when nothing could stand better."""
    best = sorted(grades.values(), reverse=True)[:DEPTH]
    return _gain([grades.get(url, 0) for url in found[:DEPTH]]) / _gain(best)


def reciprocal_rank(found: Sequence[str], grades: Mapping[str, int]) -> float:
    """One divided by the place of the first page that answers; 0 when there is none."""
    places = (at for at, url in enumerate(found[:DEPTH], 1) if grades.get(url, 0) >= ANSWERS)
    return 1 / next(places, math.inf)


def unjudged(found: Sequence[str], grades: Mapping[str, int]) -> int:
    """How many of the pages nobody has read for this query; they count as no answer."""
    return sum(url not in grades for url in found[:DEPTH])


def _gain(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
