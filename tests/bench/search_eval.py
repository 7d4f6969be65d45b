"""How well search ranks: nDCG@10 over judged queries, beside SQLite FTS5 and PostgreSQL.

`python -m tests.bench.search_eval [--pool]`. The ranking was chosen by the first half of the
queries; the other half is held out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.search_corpus import corpus
from tests.bench.search_peers import Engine, fts5, ours, postgres

JUDGED = Path(__file__).with_name("judged_queries.toml")
DEPTH = 10
POOLED = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """A query, and how well each page answers it: 1 to 3; 0 for those that are not named."""

    text: str
    language: str
    held_out: bool
    relevance: Mapping[str, int]


def judged_queries(path: Path = JUDGED) -> list[Judged]:
    """All of them; every second one of a language is held out."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["query"]
    return [
        Judged(each["text"], each["language"], number % 2 == 1, each["relevance"])
        for number, each in enumerate(found)
    ]


def ndcg(found: Sequence[str], relevance: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain: 1 when nothing could stand better."""
    best = sorted(relevance.values(), reverse=True)[:depth]
    return _gain([relevance.get(name, 0) for name in found[:depth]]) / _gain(best)


def _gain(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))


def table(engines: Sequence[Engine], queries: Sequence[Judged]) -> str:
    """The figures as a Markdown table: all, by language, by half."""
    scores = {
        engine.name: [ndcg(engine.find(q.text, q.language, DEPTH), q.relevance) for q in queries]
        for engine in engines
    }
    parts = {
        "all": [True for _ in queries],
        "English": [q.language == "en" for q in queries],
        "French": [q.language == "fr" for q in queries],
        "tuned by": [not q.held_out for q in queries],
        "held out": [q.held_out for q in queries],
    }
    head = f"| nDCG@{DEPTH} | {' | '.join(parts)} |\n| --- |{' ---: |' * len(parts)}\n"
    sizes = " | ".join(str(sum(chosen)) for chosen in parts.values())
    lines = [f"| queries | {sizes} |\n"]
    for name, values in scores.items():
        means = (
            statistics.mean(v for v, taken in zip(values, chosen, strict=True) if taken)
            for chosen in parts.values()
        )
        lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |\n")
    return head + "".join(lines)


def pool(engines: Sequence[Engine], queries: Sequence[Judged]) -> str:
    """What the engines find first and nobody has judged: for whoever judges."""
    lines = []
    for query in queries:
        seen = {
            name: place
            for engine in engines
            for place, name in enumerate(engine.find(query.text, query.language, POOLED), 1)
        }
        new = ", ".join(
            f"{name} ({place})" for name, place in seen.items() if name not in query.relevance
        )
        lines.append(f"{query.text}: {new or 'all judged'}")
    return "\n".join(lines)


def main() -> int:
    """Print the table, or what is to be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", action="store_true", help="print what is not judged instead")
    asked = parser.parse_args()
    pages, queries = list(corpus()), judged_queries()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eval-")))
        mine = ours(pages, directory)
        peers = [fts5(pages, directory / "fts5.sqlite"), stack.enter_context(postgres(pages))]
        engines: list[Engine] = [mine, *peers]
        if asked.pool:
            print(pool(engines, queries))
            return 0
        print(f"{len(pages)} pages, {len(queries)} judged queries\n")
        print(table(engines, queries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
