"""A kill loop whose victims are all the parts of an engine, in rounds.

A killed worker has no successor at first: all below it must end by itself, and what is confirmed
is there.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tests.faults.aftermath import (
    confirmed_files,
    end_all,
    incomprehensible_retries,
    lives,
    processes_of,
)
from tests.faults.kill_loop import KillLoop
from tests.lab import truth
from tests.lab.archive import Archive, tail
from tests.lab.processes import TooLate, descendants, is_alive, kill, kill_tree, wait_for

CHILD, WORKER = "crawl child", "worker"
MOST_PAGES = 2  # captured in one life before its last moment
LONGEST_MOMENT_SECONDS = 1.0
PROGRESS_SECONDS = 40.0  # for one page, on a machine that has others to serve
VICTIM_SECONDS = 40.0  # for a victim to be there
REST_SECONDS = 20.0  # for all below a killed worker to be gone
LEASE_SECONDS = "30"  # nobody waits for its end: a dead worker is seen; a starved one is no victim
END_SECONDS = 1200.0


class PartKillLoop(KillLoop):
    """Every round of kills has each victim once, in random order.

    `wrong` is what was found in the midst of it. Lives are counted in pages, so that the crawl
    gets on with each of them, however slow the machine is.
    """

    patience_seconds = 300.0
    victims: tuple[str, ...] = (CHILD, WORKER)

    def __init__(self, archive: Archive, seed: int) -> None:
        super().__init__(archive, seed)
        self.seed = seed
        self.wrong: list[str] = []
        self.killed: Counter[str] = Counter()
        self._round: list[str] = []
        self._seen: set[psutil.Process] = set()

    # -- what an engine has of its own ---------------------------------------------------------

    def pages(self) -> int:
        """How many pages are captured for good."""
        raise NotImplementedError

    def parts(self, child: int, victim: str) -> list[psutil.Process]:
        """Those who work for a crawl child as this."""
        raise NotImplementedError

    def hit(self, victim: str, found: list[psutil.Process], child: int) -> bool:
        """Kill a victim; whether it was still there."""
        return kill(self.random.choice(found).pid)

    def struck(self, victim: str) -> None:
        """Look at what a kill has led to."""

    def lived(self) -> None:
        """Look at what a crawl child that has got on did first."""

    def others(self) -> set[psutil.Process]:
        """Living processes of this archive, whoever their parent is."""
        return processes_of(str(self.archive.data_dir))

    def differences(self, files: list[Path]) -> list[str]:
        """Where WARC files differ from the frontier, or from what the site served."""
        raise NotImplementedError

    # -- a life and its end --------------------------------------------------------------------

    def _strike(self, child: int) -> None:
        if not self._round:
            self._round = self.random.sample(self.victims, len(self.victims))
        victim = self._round[-1]
        life = self._live_by_pages(child)
        self._seen.update(descendants(self.worker.pid))
        if not self._kill(victim, child):
            return
        self._round.pop()
        self.killed[victim] += 1
        self._note(victim, life)
        if victim == WORKER:
            self.worker.wait()
            self._rest()
        self.struck(victim)
        if victim == WORKER:
            self.worker = self.archive.start_worker()

    def _live_by_pages(self, child: int) -> str:
        """Let some pages be captured, and then a moment pass; how long, in words."""
        pages = self.random.randint(0, MOST_PAGES)
        moment = self.random.uniform(0.0, LONGEST_MOMENT_SECONDS)
        before = self.pages()
        wanted = before + pages
        with contextlib.suppress(TooLate):  # then it is killed all the same
            wait_for(
                lambda: self.pages() >= wanted or not is_alive(child),
                what=f"{pages} more pages",
                seconds=PROGRESS_SECONDS * max(1, pages),
            )
        if is_alive(child) and self.pages() > before:
            self.lived()
        with contextlib.suppress(TooLate):
            wait_for(lambda: not is_alive(child), what="it ends", seconds=moment)
        return f"{moment:.2f} s after {pages} more pages"

    def _kill(self, victim: str, child: int) -> bool:
        """Whether there was such a victim."""
        if victim in (CHILD, WORKER):
            return kill(child if victim == CHILD else self.worker.pid)
        found: list[psutil.Process] = []

        def there_or_over() -> bool:
            found[:] = self.parts(child, victim)
            return bool(found) or not is_alive(child)

        with contextlib.suppress(TooLate):
            wait_for(there_or_over, what=f"a {victim}", seconds=VICTIM_SECONDS)
        return bool(found) and self.hit(victim, found, child)

    # -- judging -------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Nobody takes over yet: all below the worker ends, and what is confirmed is there."""
        self.tell(self.still_running())
        with tempfile.TemporaryDirectory(prefix="lab-rest-") as scratch:
            self.tell(self.differences(confirmed_files(self.frontier, Path(scratch))))

    def tell(self, wrong: Iterable[str]) -> None:
        """Remember what is wrong, and say it at once."""
        for each in wrong:
            self.wrong.append(f"after kill {self.kills}: {each}")
            print(f"WRONG  {self.wrong[-1]}", flush=True)

    def still_running(self) -> list[str]:
        """Who has not ended after a while."""
        with contextlib.suppress(TooLate):
            wait_for(lambda: not self._alive(), what="all end", seconds=REST_SECONDS, every=0.3)
        return [f"still runs: {each}" for each in self._alive()]

    def _alive(self) -> set[psutil.Process]:
        """Whoever was ever seen below a worker and lives, and whoever else is of this archive."""
        return {each for each in self._seen if lives(each)} | self.others()

    def judge(self, job: dict[str, Any]) -> list[str]:
        """What is wrong after all; empty when the kills left no trace. The worker is stopped."""
        wrong = self.still_running()
        if job["status"] != "indexed":
            wrong.append(f"the job is {job['status']}: {job['last_error']}")
        job_dir = self.frontier.parent
        wrong += [f"still open: {path.name}" for path in job_dir.glob("warcs/*.open")]
        files = truth.warc_files(job_dir)
        wrong += self.differences(files)
        wrong += truth.warcio_check(files)
        wrong += incomprehensible_retries(self.archive, job)
        return self.wrong + wrong

    def victims_in_words(self) -> str:
        """How many were killed, and who."""
        return f"{self.kills} kills ({', '.join(f'{n} {who}' for who, n in self.killed.items())})"

    def summary(self, job: dict[str, Any]) -> str:
        """The figures of it, in words."""
        raise NotImplementedError

    def let_finish(self) -> None:
        """Nobody is killed any more: what held the crawl up need not do so."""


def carry_out(loop: PartKillLoop, kills: int) -> list[str]:
    """Kill so many times, let the crawl come to its end, and judge it; nothing of it is left."""
    try:
        enough = loop.run(kills)
        loop.let_finish()
        job = loop.finish(END_SECONDS)
        loop.worker.terminate()
        loop.worker.wait(REST_SECONDS)
        wrong = loop.judge(job)
        if not enough:
            wrong.append(f"the crawl ended after {loop.kills} of {kills} kills")
        if wrong:
            print(tail(loop.archive.worker_log))
        print(loop.summary(job))
    finally:
        kill_tree(loop.worker)
        end_all(loop.archive.data_dir)
    return wrong
