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
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job
from healtharchive.model.journal import this_process
from healtharchive.model.schema import upgrade
from healtharchive.model.source import ScopeRules, Seed, SourceDefinition
from healtharchive.model.sources import upsert_source
from tests.lab.archive import command

REPEATS = 11
JOBS = 10_000
URLS = 1_000_000
BATCH = 5_000
ORIGIN = "https://www.example.org"


def seconds_of(words: Sequence[str], environment: Mapping[str, str]) -> list[float]:
    """The wall time of a command, run several times."""
    taken = []
    for _ in range(REPEATS):
        started = time.monotonic()
        subprocess.run(
            command(*words),
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            check=True,
        )
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


def _fill_a_frontier() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        frontier = Frontier(Path(directory) / "frontier.sqlite", 1)
        started = time.monotonic()
        for begin in range(0, URLS, BATCH):
            names = range(begin, begin + BATCH)
            found = [FoundUrl(f"{ORIGIN}/{_word(n)}", ORIGIN, Kind.PAGE, 1) for n in names]
            frontier.commit(Batch(found=found))
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


if __name__ == "__main__":
    _fill_a_frontier()
