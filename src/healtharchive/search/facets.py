"""Facets: for each filter, what it could be set to now and how many pages that would find.

Each is counted with all other filters of the query and without its own, so that a reader can
change a choice and not only narrow it further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import tantivy

from healtharchive.search.index import ALWAYS
from healtharchive.search.narrowing import EPOCH, FIELDS_OF, MICROSECOND, Plan, microseconds

MOST_VALUES = 20
YEAR = "year"


@dataclass(frozen=True, slots=True)
class Value:
    """One choice of a facet, and how many results it would give."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The choices of one filter: source, campaign, lang, type by count; year, newest first."""

    name: str
    values: tuple[Value, ...]


def facets(searcher: tantivy.Searcher, plan: Plan) -> tuple[Facet, ...]:
    """Every facet that has a value. One pass over what matches, one more for each active one."""
    # Of a page in two campaigns each campaign has a latest capture.
    alone = {name for name in FIELDS_OF if name in plan.active or name == "campaign"}
    together = [name for name in FIELDS_OF if name not in alone]
    counts = _terms(searcher, plan.whole(), together)
    for name in alone:
        counts |= _terms(searcher, plan.whole(name, edition=name == "campaign"), [name])
    found = [Facet(name, counts[name]) for name in FIELDS_OF]
    return tuple(each for each in (*found, Facet(YEAR, _years(searcher, plan))) if each.values)


def _terms(
    searcher: tantivy.Searcher, query: tantivy.Query, names: Sequence[str]
) -> dict[str, tuple[Value, ...]]:
    wanted = {
        name: {"terms": {"field": FIELDS_OF[name], "size": MOST_VALUES + 1}} for name in names
    }
    if not wanted:
        return {}
    found: dict[str, Any] = searcher.aggregate(query, wanted)
    return {
        name: tuple(
            Value(each["key"], int(each["doc_count"]))
            for each in found[name]["buckets"]
            if each["key"]
        )[:MOST_VALUES]
        for name in names
    }


def _years(searcher: tantivy.Searcher, plan: Plan) -> tuple[Value, ...]:
    """How many pages were captured in each year, by their latest capture as of its end.

    One pass: captures by year, and within each by the year in which they were superseded.
    """
    everything = plan.whole("date", latest=False)
    newest = searcher.search(everything, limit=1, order_by_field="captured")
    oldest = searcher.search(
        everything, limit=1, order_by_field="captured", order=tantivy.Order.Asc
    )
    if not newest.hits:
        return ()
    years = range(_year(oldest.hits[0][0]), _year(newest.hits[0][0]) + 1)
    starts = [microseconds(date(year, 1, 1)) for year in (*years, years.stop)]
    captured = [{"from": a, "to": b} for a, b in pairwise(starts)]
    until = [{"from": a, "to": b} for a, b in zip(starts, (*starts[1:], ALWAYS * 2), strict=True)]
    asked = {
        YEAR: {
            "range": {"field": "captured", "ranges": captured},
            "aggs": {"until": {"range": {"field": plan.until, "ranges": until}}},
        }
    }
    buckets = _between(searcher.aggregate(everything, asked)[YEAR]["buckets"], starts)
    found = []
    for at, (year, bucket) in enumerate(zip(years, buckets, strict=True)):
        superseded = _between(bucket["until"]["buckets"], [*starts, ALWAYS * 2])
        later = superseded if plan.all_captures else superseded[at + 1 :]
        found.append(Value(str(year), sum(int(each["doc_count"]) for each in later)))
    return tuple(each for each in reversed(found) if each.count)


def _between(buckets: list[dict[str, Any]], starts: Sequence[int]) -> list[dict[str, Any]]:
    """The buckets that were asked for: tantivy adds one before and one after them."""
    by_start = {each.get("from"): each for each in buckets}
    return [by_start[float(start)] for start in starts[:-1]]


def _year(captured: int) -> int:
    return (EPOCH + captured * MICROSECOND).year
