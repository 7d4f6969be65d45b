"""How fast search answers with many captures, beside SQLite FTS5 and PostgreSQL.

`python -m tests.bench.search_bench [--captures 1000000] [--seed 1] [--write]`; with `--write` the
figures go into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.bench.page import write_section
from tests.bench.search_captures import CAPTURES_A_PAGE, KINDS, QUESTIONS, Captures, Question
from tests.bench.search_engines import Engine, Fts5, Ours, Postgres
from tests.lab.postgres import cluster

TITLE = "Search"
LEAST = 5  # questions of each kind
PATIENCE_MS = 60_000.0  # with the questions of one kind
NOTES = f"""
Milliseconds for one page of results: the median, and in brackets the 95th percentile of
{QUESTIONS} questions of each kind (of a kind that takes an engine over a minute, at least
{LEAST}). Every engine holds the same pages, made of the real words of the
demo corpus as often as they stand there, {CAPTURES_A_PAGE} captures of each, and answers with ten
hits of the latest captures, their snippets and how many there are in all; *filter and facets* also
with five facets, ours each without its own filter. The questions are words that follow each other
on a page; some are on nearly every page. Each engine has answered other questions before. Ours is
opened anew for each question, as the web page does, stems English and French, and keeps every
capture findable as of any day; the time to build it counts that each campaign's captures supersede
those of the one before. SQLite's and PostgreSQL's index is made once everything is there.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one engine; milliseconds by kind of question."""

    name: str
    build_seconds: float
    size_bytes: int
    milliseconds: dict[str, list[float]]


def fill(engines: Sequence[Engine], captures: Captures) -> dict[str, float]:
    """Put all captures into every engine; the seconds that each took."""
    took = dict.fromkeys((engine.name for engine in engines), 0.0)
    done = 0
    for batch in captures.batches():
        for engine in engines:
            started = time.monotonic()
            engine.add(batch)
            took[engine.name] += time.monotonic() - started
        done += len(batch)
        print(
            f"{done:,} captures: " + ", ".join(f"{n} {s:.0f} s" for n, s in took.items()),
            flush=True,
        )
    for engine in engines:
        started = time.monotonic()
        engine.finish()
        took[engine.name] += time.monotonic() - started
    return took


def latencies(engine: Engine, questions: Sequence[Question]) -> dict[str, list[float]]:
    """Milliseconds by kind of question; of a slow kind only the first questions are asked."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for question in questions:
        spent = found[question.kind]
        if len(spent) >= LEAST and sum(spent) > PATIENCE_MS:
            continue
        started = time.perf_counter()
        engine.ask(question)
        found[question.kind].append((time.perf_counter() - started) * 1000)
    return found


def measure(captures: Captures, directory: Path, stack: ExitStack) -> list[Figures]:
    """Every engine's figures."""
    lab = stack.enter_context(cluster())
    connection = stack.enter_context(psycopg.connect(lab.create_database("search")))
    engines: list[Engine] = [Ours(directory / "ours"), Fts5(directory), Postgres(connection)]
    took = fill(engines, captures)
    found = []
    for engine in engines:
        latencies(engine, captures.questions("warm"))
        measured = latencies(engine, captures.questions("asked"))
        found.append(Figures(engine.name, took[engine.name], engine.size_bytes(), measured))
        print(table(found[-1:]), flush=True)
    return found


def table(figures: Sequence[Figures]) -> str:
    """The figures as a Markdown table."""
    head = f"| engine | built in | size | {' | '.join(KINDS)} |\n"
    head += f"| --- | ---: | ---: |{' ---: |' * len(KINDS)}\n"
    rows = []
    for each in figures:
        cells = [each.name, f"{each.build_seconds:,.0f} s", f"{each.size_bytes / 1e6:,.0f} MB"]
        cells += [_spread(each.milliseconds[kind]) for kind in KINDS]
        rows.append(f"| {' | '.join(cells)} |\n")
    return head + "".join(rows)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({statistics.quantiles(values, n=20)[-1]:.1f})"


def main() -> int:
    """Measure, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put it into docs/benchmarks.md")
    asked = parser.parse_args()
    print(f"{asked.captures:,} captures, seed {asked.seed}", flush=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        figures = measure(Captures(asked.captures, asked.seed), directory, stack)
    print(table(figures))
    if asked.write:
        how = f"{asked.captures:,} synthetic captures, seed {asked.seed}"
        write_section(TITLE, how, f"{table(figures)}\n{NOTES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
