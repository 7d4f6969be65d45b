"""Figures of the house itself: the command line's start-up, `status`, and a big frontier."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from healtharchive.crawl.batch import Batch, FoundUrl, Kind
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.urls import origin_of
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job
from healtharchive.model.journal import this_process
from healtharchive.model.schema import upgrade
from healtharchive.model.source import ScopeRules, Seed, SourceDefinition
from healtharchive.model.sources import upsert_source
from healtharchive.model.wire import to_line
from tests.bench.measure import Run, run
from tests.lab.archive import command
from tests.lab.crawling import order_for, source_of
from tests.lab.site import Site

REPEATS = 11
JOBS = 10_000
URLS = 1_000_000
BATCH = 5_000
CRAWL_SECONDS = 60.0
END_SECONDS = 120.0
ORIGIN = "https://www.example.org"


def seconds_of(words: Sequence[str], environment: Mapping[str, str]) -> list[float]:
    """The wall time of a command, run several times."""
    taken = []
    for _ in range(REPEATS):
        started = time.monotonic()
        done = subprocess.run(
            command(*words),
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode in (0, 1, 2), f"{words} ended with {done.returncode}"
        taken.append(time.monotonic() - started)
    return taken


def start_up() -> list[float]:
    """`healtharchive --help`."""
    return seconds_of(["--help"], {})


def status() -> list[float]:
    """`healtharchive status` with 10,000 jobs in SQLite."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        url = f"sqlite:///{directory}/archive.sqlite"
        database = Database(url)
        upgrade(database)
        source = SourceDefinition("big", "Big", (Seed(f"{ORIGIN}/"),), ScopeRules((ORIGIN,)))
        actor = this_process()
        with database.begin() as connection:
            upsert_source(database, connection, source, actor=actor)
            for number in range(JOBS):
                create_job(
                    database,
                    connection,
                    source="big",
                    jobs_root=f"{directory}/{number}",
                    actor=actor,
                )
        env_file = Path(directory) / "backend.env"
        env_file.touch()
        return seconds_of(
            ["status"],
            {"HEALTHARCHIVE_DATABASE_URL": url, "HEALTHARCHIVE_ENV_FILE": str(env_file)},
        )


def big_frontier() -> tuple[float, float, float]:
    """A million URLs through a frontier, in a process of its own.

    URLs queued a second, commits of 100 done URLs a second, peak memory in MB.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.house"], capture_output=True, text=True, check=True
    )
    queued, settled, peak = map(float, done.stdout.split())
    return queued, settled, peak


def big_crawl(site: Site, urls: int = URLS, seconds: float = CRAWL_SECONDS) -> Run:
    """A crawl child that works for some time with a million URLs in its frontier."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        page = next(each for each in site.content.by_target if each.endswith(".html"))
        # Each URL is a page of its own with links; no two have the same pattern.
        prefix = f"{site.url}{page}?"
        output = directory / "job"
        output.mkdir()
        # In a process that is gone afterwards: a crawl ends whoever has its frontier open.
        words = [sys.executable, "-m", "tests.bench.house", str(output), prefix, str(urls)]
        subprocess.run(words, check=True)
        order = order_for(
            site,
            output,
            fence=2,
            source=source_of(site.url, seconds=seconds),
            segment_bytes=1_000_000_000,
        )
        command_line = [sys.executable, "-m", "healtharchive.crawl"]
        patience = seconds + END_SECONDS
        return run("big", command_line, directory, stdin=to_line(order), seconds=patience)


def _queue(frontier: Frontier, prefix: str, urls: int) -> None:
    origin = origin_of(prefix)
    for begin in range(0, urls, BATCH):
        names = range(begin, min(urls, begin + BATCH))
        found = [FoundUrl(f"{prefix}{_word(n)}", origin, Kind.PAGE, 1) for n in names]
        frontier.commit(Batch(found=found))


def _fill_a_frontier() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        frontier = Frontier(Path(directory) / "frontier.sqlite", 1)
        started = time.monotonic()
        _queue(frontier, f"{ORIGIN}/", URLS)
        queued = URLS / (time.monotonic() - started)
        started = time.monotonic()
        commits = 200
        for _ in range(commits):
            ready = frontier.ready(ORIGIN, 1e12, 100)
            frontier.commit(Batch(failed=[(each.id, "bench") for each in ready]))
        settled = commits / (time.monotonic() - started)
        assert frontier.count().found == URLS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(queued, settled, peak)


def _word(number: int) -> str:
    """A path without digits, so that no trap budget counts it."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def _prepare(directory: Path, prefix: str, urls: int) -> None:
    frontier = Frontier(directory / "frontier.sqlite", 1)
    _queue(frontier, prefix, urls)
    assert frontier.count().queued == urls
    frontier.close()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _prepare(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    else:
        _fill_a_frontier()
