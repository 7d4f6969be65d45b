"""One crawl, killed at many random moments: `python -m tests.faults.kill_loop --n 50 --seed 1`.

The crawl child and the worker get SIGKILL in turn. At the end the archive must hold exactly what
the site served: no record twice, no URL lost. With another `--engine` its own parts are killed too.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import postgres, truth
from tests.lab.archive import CRAWL_CHILD, IMPATIENT, Archive, tail
from tests.lab.crawling import committed_urls
from tests.lab.demo import strays
from tests.lab.processes import TooLate, child_running, is_alive, kill, kill_tree, wait_for
from tests.lab.site import Site, serving

CODE = "demo"
LONGEST_START_SECONDS = 1.5  # of a life that ends while the child starts up, or soon after
LONGEST_WORK_SECONDS = 0.6  # of a life that ends in the midst of capturing
LIVES_OVERLAP = (
    1.3 * 8 * LONGEST_WORK_SECONDS / 2
)  # URL-seconds of work a life, at 8 requests at once
URLS = 700  # what the whole site has, roughly
URLS_BESIDE_PAGES = 150  # and what it has besides two for each page of the corpus
PROGRESS_SECONDS = 15.0


def site_delay(kills: int, pages: int | None) -> float:
    """How slowly the site must answer for the crawl to outlast so many lives."""
    urls = URLS if pages is None else URLS_BESIDE_PAGES + 2 * pages
    return min(2.0, kills * LIVES_OVERLAP / urls)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a loop. `pages` is how large the site is; None for large enough."""

    kills: int
    seed: int
    pages: int | None = None
    database_url: str | None = None


class KillLoop:
    """A worker that is killed, or whose child is, and that is started again.

    About half the lives end within their first moments, the others in the midst of capturing:
    a crawl that is only ever killed while it starts would never get anywhere.
    """

    patience_seconds = 120.0  # for a crawl child to run

    def __init__(self, archive: Archive, seed: int) -> None:
        self.archive = archive
        self.random = random.Random(seed)
        self.kills = 0
        self.frontier = archive.job_dir() / "frontier.sqlite"
        self.worker: subprocess.Popen[bytes] = archive.start_worker()

    def run(self, kills: int) -> bool:
        """Kill so many times; False when the crawl ended before."""
        while self.kills < kills:
            child = self._next_child()
            if child is None:
                return False
            self._strike(child)
        return True

    def _strike(self, child: int) -> None:
        """Let the child live for a while, then kill somebody, if he is there."""
        life = self._live(child)
        if self.kills % 2 == 0:
            if kill(child):
                self._note("crawl child", life)
            return
        kill(self.worker.pid)  # nothing but the worker: its child must notice by itself
        self.worker.wait()
        self._note("worker", life)
        self.worker = self.archive.start_worker()

    def _live(self, child: int) -> str:
        """Let the child live for a random while; how long, in words."""
        if self.random.random() < 0.5:
            life = self.random.uniform(0.0, LONGEST_START_SECONDS)
            time.sleep(life)
            return f"{life:.2f} s after its start"
        before = committed_urls(self.frontier)
        life = self.random.uniform(0.0, LONGEST_WORK_SECONDS)
        with contextlib.suppress(TooLate):  # it waits for a slow page: killed all the same
            wait_for(
                lambda: committed_urls(self.frontier) > before or not is_alive(child),
                what="the crawl gets on",
                seconds=PROGRESS_SECONDS,
                every=0.02,
            )
        time.sleep(life)
        return f"{life:.2f} s after its first capture"

    def _note(self, whom: str, life: str) -> None:
        self.kills += 1
        captured = committed_urls(self.frontier)
        print(f"kill {self.kills:3}: {whom} {life}; {captured} captured", flush=True)

    def _next_child(self) -> int | None:
        """The pid of the running crawl child; None when the crawl is over."""
        found: list[int | None] = []

        def running_or_over() -> bool:
            pid = child_running(self.worker.pid, CRAWL_CHILD)
            if pid is None and not self._crawl_is_over():
                return False
            found.append(pid)
            return True

        wait_for(
            running_or_over, what="a crawl child runs", seconds=self.patience_seconds, every=0.05
        )
        return found[0]

    def _crawl_is_over(self) -> bool:
        over = ("completed", "indexing", "indexed", "index_failed", "failed", "cancelled")
        return self.archive.job()["status"] in over

    def finish(self, seconds: float) -> dict[str, Any]:
        """Let the crawl come to its end; the job as it then is."""
        self.archive.wait_until_settled(seconds=seconds, worker=self.worker)
        return self.archive.job()


def judge(site: Site, archive: Archive, job: dict[str, Any]) -> list[str]:
    """What is wrong after all; empty when the kills left no trace."""
    job_dir = Path(job["output_dir"])
    wrong = [str(each) for each in truth.compare(job_dir, site.truth)]
    wrong += strays(site)
    if job["status"] != "indexed":
        wrong.append(f"the job is {job['status']}: {job['last_error']}")
    wrong += truth.warcio_check(truth.warc_files(job_dir))
    wrong += [f"left over: {path.name}" for path in (job_dir / "warcs").glob("*.open")]
    return wrong


def run(
    kills: int, seed: int, *, pages: int | None = None, database_url: str | None = None
) -> list[str]:
    """Crawl the lab's site with so many kills; what is wrong at the end."""
    settings = {**IMPATIENT, "SEGMENT_BYTES": "4000000"}
    if database_url:
        settings["DATABASE_URL"] = database_url
    with (
        tempfile.TemporaryDirectory(prefix="lab-kill-") as directory,
        serving(pages, delay=site_delay(kills, pages)) as site,
    ):
        archive = Archive(Path(directory), settings)
        archive.set_up(site.source_toml(CODE))
        archive.run("create-job", "--source", CODE)
        loop = KillLoop(archive, seed)
        try:
            enough = loop.run(kills)
            job = loop.finish(600.0)
            wrong = judge(site, archive, job)
            if not enough:
                wrong.append(f"the crawl ended after {loop.kills} of {kills} kills")
            if wrong:
                print(tail(archive.worker_log))
            print(f"{loop.kills} kills, {len(site.truth.required)} URLs, seed {seed}")
        finally:
            kill_tree(loop.worker)
    return wrong


def _http(asked: Asked) -> list[str]:
    return run(asked.kills, asked.seed, pages=asked.pages, database_url=asked.database_url)


def _browser(asked: Asked) -> list[str]:
    from tests.faults import browser_kills  # late: it is made of this module's parts

    return browser_kills.run(
        asked.kills, asked.seed, topics=asked.pages, database_url=asked.database_url
    )


def _container(asked: Asked) -> list[str]:
    from tests.faults import container_kills  # late, likewise

    return container_kills.run(
        asked.kills, asked.seed, pages=asked.pages, database_url=asked.database_url
    )


ENGINES: dict[str, Callable[[Asked], list[str]]] = {
    "http": _http,
    "browser": _browser,
    "container": _container,
}


def main() -> int:
    """The exit code: 0 only if the captured set is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="http")
    parser.add_argument("--n", type=int, default=50, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pages", type=int, help="pages of the site; enough by default")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, not on SQLite")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended, too
    what = f"of one crawl by the {asked.engine} engine"
    print(f"kill -9 at {asked.n} random moments {what}, seed {asked.seed}", flush=True)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.cluster()).url() if asked.postgres else None
        wrong = ENGINES[asked.engine](Asked(asked.n, asked.seed, asked.pages, url))
    for line in wrong:
        print(f"WRONG  {line}")
    if not wrong:
        print("The archive holds exactly what the site served: no record twice, no URL lost.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
