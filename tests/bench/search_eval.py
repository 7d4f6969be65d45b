"""How well search ranks: nDCG@10 over judged queries, beside SQLite FTS5 and PostgreSQL.

`python -m tests.bench.search_eval [--pool] [--write]`. The ranking was chosen by two thirds of the
queries; every third one is held out. With `--write` the figures go into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.page import write_section
from tests.bench.search_corpus import corpus
from tests.bench.search_judged import (
    DEPTH,
    Judged,
    judged_queries,
    ndcg,
    reciprocal_rank,
    unjudged,
)
from tests.bench.search_peers import Engine, fts5, ours, postgres
from tests.bench.search_pool import pool, sheet

PARTS: dict[str, Callable[[Judged], bool]] = {
    "all": lambda query: True,
    "English": lambda query: query.language == "en",
    "French": lambda query: query.language == "fr",
    "tuned by": lambda query: not query.held_out,
    "held out": lambda query: query.held_out,
}
MEASURES = {f"nDCG@{DEPTH}": ndcg, f"MRR@{DEPTH}": reciprocal_rank}
TITLE = "Search quality"
NOTES = """
The pages are real documentation (Python's, Debian's installation guide in both languages, the
manual of aptitude in French) and the lab's few pages about health. Grades are by one judge, who did
not see which engine had found a page; `tests/bench/judged_queries.toml` has the criterion.
*Unjudged* are pages among the first ten that nobody read for the query: they count as no answer.
Ranking was tuned by two thirds of the queries. Ours has the headings of sections as a field of
their own, the others have them in the text alone. PostgreSQL is told the language of the query,
which the others are not. With 60 queries, differences of a few hundredths are within chance.
"""
LEAST_LOST = 0.02  # of nDCG; less is no other answer
Answers = Mapping[str, Sequence[str]]


def ask(engine: Engine, queries: Sequence[Judged]) -> Answers:
    """The first pages that an engine finds, by the query's id."""
    return {each.id: engine.find(each.text, each.language, DEPTH) for each in queries}


def tables(answers: Mapping[str, Answers], queries: Sequence[Judged]) -> str:
    """A Markdown table for each measure: all queries, by language, by half."""
    parts = {name: [each for each in queries if chosen(each)] for name, chosen in PARTS.items()}
    lines = []
    for title, measure in MEASURES.items():
        lines += [
            f"| {title} | {' | '.join(parts)} | unjudged |",
            f"| --- |{' ---: |' * (len(parts) + 1)}",
            f"| queries | {' | '.join(str(len(chosen)) for chosen in parts.values())} | |",
        ]
        for name, found in answers.items():
            means = (
                statistics.mean(measure(found[each.id], each.grades) for each in chosen)
                for chosen in parts.values()
            )
            unread = sum(unjudged(found[each.id], each.grades) for each in queries)
            lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} | {unread} |")
        lines.append("")
    return "\n".join(lines)


def lost(answers: Mapping[str, Answers], queries: Sequence[Judged]) -> list[str]:
    """The queries that another engine answers better than the first one, the worst first."""
    mine, *others = answers.items()
    found = []
    for query in queries:
        own = ndcg(mine[1][query.id], query.grades)
        best, name = max((ndcg(theirs[query.id], query.grades), name) for name, theirs in others)
        if best > own + LEAST_LOST:
            found.append((own - best, f"{query.id} {query.text}: {own:.2f}, {name} {best:.2f}"))
    return [line for _, line in sorted(found)]


def main() -> int:
    """Print the tables and the queries lost, or what is to be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", action="store_true", help="print what is not judged instead")
    parser.add_argument("--write", action="store_true", help="put it into docs/benchmarks.md")
    asked = parser.parse_args()
    pages, queries = list(corpus()), judged_queries()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eval-")))
        mine = ours(pages, directory)
        peers = [fts5(pages, directory / "fts5.sqlite"), stack.enter_context(postgres(pages))]
        engines: list[Engine] = [mine, *peers]
        if asked.pool:
            by_url = {page.url: page for page in pages}
            for query in queries:
                print("\n".join(sheet(query, pool(engines, query), by_url)))
            return 0
        answers = {engine.name: ask(engine, queries) for engine in engines}
    how = f"{len(pages)} pages, {len(queries)} judged queries"
    figures = tables(answers, queries)
    print(f"{how}\n\n{figures}")
    worse = lost(answers, queries)
    print(f"Answered better by another engine: {len(worse)}", *worse, sep="\n")
    if asked.write:
        write_section(TITLE, how, f"{figures}\n{NOTES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
