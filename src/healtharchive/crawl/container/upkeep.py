"""The upkeep of a running crawl: its log, its files, its state, its permissions, its progress."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from healtharchive.crawl.container import command, stalls, state
from healtharchive.crawl.container.files import Scan, scan
from healtharchive.crawl.container.harvest import Harvest
from healtharchive.crawl.container.holding import Holding
from healtharchive.crawl.container.logs import CrawlStatus, read_stats
from healtharchive.crawl.container.memory import Memory, Remembered
from healtharchive.crawl.container.settlement import Settlement
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.leash import Leash
from healtharchive.crawl.ledger import Ledger
from healtharchive.model.clock import Clock
from healtharchive.model.container import ContainerOptions
from healtharchive.model.orders import CrawlOrder, Report

PROGRESS_SECONDS = 1.0
COMMIT_SECONDS = 5.0
STATE_SECONDS = 10.0
LAST_SECONDS = (
    1.0  # before a stop's deadline: for the last commit, and for taking the container away
)

Evidence = dict[str, str | int | float | bool | None]


@dataclass(slots=True)
class Upkeep:
    """All that one attempt works with, and what it does again and again meanwhile."""

    order: CrawlOrder
    options: ContainerOptions
    frontier: Frontier
    ledger: Ledger
    leash: Leash
    clock: Clock
    report: Callable[[Report], None]
    guard_disk: Callable[[], None]
    work: Path
    memory: Memory
    holding: Holding
    harvest: Harvest
    settlement: Settlement
    remembered: Remembered
    watched: stalls.Watched
    _due: dict[str, float] = field(default_factory=dict)
    _directories: set[str] = field(default_factory=set)
    _state_seen: tuple[str, float] = ("", 0.0)

    # -- what limits are compared with ---------------------------------------------------------

    @property
    def pages(self) -> int:
        """Pages adopted in all attempts."""
        return self.harvest.pages

    @property
    def total_bytes(self) -> int:
        """Compressed bytes recorded in all attempts."""
        return self.frontier.counts.bytes_written + self.ledger.pending_bytes

    @property
    def elapsed_seconds(self) -> float:
        """Crawl time of all attempts."""
        return self.frontier.elapsed_seconds

    # -- while it runs -------------------------------------------------------------------------

    async def chores(self) -> None:
        """What is done every few seconds, each at its own pace."""
        if self._is_due("progress", PROGRESS_SECONDS):
            self.guard_disk()
            self.note_log()
            self._report_progress()
        if self._is_due("harvest", self.options.harvest_seconds):
            await self.gather(ended=False)
        if self.options.relax_permissions and self._is_due("relax", self.options.relax_seconds):
            await self.holding.relax()
        if self._is_due("state", min(STATE_SECONDS, self.options.save_state_seconds)):
            await self.follow_state()
        if self._is_due("commit", COMMIT_SECONDS):
            await self.ledger.commit([])
            self.remember()

    def _is_due(self, what: str, every_seconds: float) -> bool:
        now = self.clock.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_seconds
        return True

    def note_log(self) -> None:
        """Take what the log said since the last look."""
        facts = self.holding.log.take()
        self.watched.note(self.clock.monotonic(), self.progress(), facts.pages, facts.troubles)

    def progress(self) -> tuple[int, ...]:
        """Whatever changes when the crawl advances."""
        status = self.holding.log.status or CrawlStatus()
        return (status.crawled, status.failed, self.harvest.adopted)

    def _report_progress(self) -> None:
        status = self.holding.log.status or CrawlStatus()
        evidence: Evidence = {
            "crawler_crawled": status.crawled,
            "crawler_total": status.total,
            "crawler_pending": status.pending,
            "crawler_failed": status.failed,
        }
        self.report(Report("progress", counts=self.frontier.counts, evidence=evidence))

    async def gather(self, *, ended: bool) -> bool:
        """Harvest; whether all is adopted.

        A stop ends it early, after the crawler's end only just before the deadline: what is left
        then is the next attempt's.
        """

        def halt() -> bool:
            self.leash.check()
            if not self.leash.stopping:
                return False
            return not ended or self.clock.monotonic() >= self.leash.stop_by - LAST_SECONDS

        found = await asyncio.to_thread(scan, self.work)
        if found.refused and self.options.relax_permissions:
            await self.holding.relax()
            found = await asyncio.to_thread(scan, self.work)
        self._tell_directories(found)
        quiet = self.options.quiet_seconds
        whole = await self.harvest.gather(found, ended=ended, quiet_seconds=quiet, halt=halt)
        if self.options.delete_adopted:
            await self.harvest.delete_adopted(found)
        return whole

    def _tell_directories(self, found: Scan) -> None:
        if found.cut_short and "" not in self._directories:
            self._directories.add("")
            what = "the crawler's directory holds more files than are looked at"
            self.report(Report("note", what=what, evidence={"directory": str(self.work)}))
        for directory in found.directories:
            if directory.name not in self._directories:
                self._directories.add(directory.name)
                what = f"found the crawler's directory {directory.name}"
                self.report(Report("note", what=what, evidence={"directory": str(directory)}))

    async def follow_state(self) -> None:
        """Keep a copy of the crawler's newest state, and its queue in our frontier."""
        found = await asyncio.to_thread(scan, self.work)
        if not found.states:
            return
        newest = found.states[-1]
        mark = (str(newest), newest.stat().st_mtime if newest.exists() else 0.0)
        if mark == self._state_seen:
            return
        saved, path, _ = await asyncio.to_thread(state.newest, [newest])
        if saved is None or path is None:
            return  # it is being written: the next look finds it whole, or the next start broken
        self._state_seen = mark
        await asyncio.to_thread(state.keep_copy, path, self.work.parent)
        await self.settlement.hand_over(saved.queued_urls)

    async def hand_over_everything(self) -> None:
        """Queue in our frontier whatever the crawler knows and has not captured.

        Called when another engine is to go on.
        """
        found = await asyncio.to_thread(scan, self.work)
        saved, _, _ = await asyncio.to_thread(state.newest, reversed(found.states))
        if saved is not None:
            await self.settlement.hand_over(saved.finished, anywhere=True)
            await self.settlement.hand_over([*saved.queued_urls, *saved.failed_urls])

    def spent(self) -> stalls.Spent:
        """What was done about troubles so far, and has not been forgotten."""
        spent = self.remembered.spent(self.options.workers)
        return stalls.forgive(spent, self.clock.now().timestamp(), self.options)

    def remember(self, spent: stalls.Spent | None = None) -> None:
        """Keep what outlives this attempt."""
        now = replace(self.remembered, log_since=self.holding.log.since)
        if spent is not None:
            now = now.with_spent(spent)
        if now != self.remembered:
            self.memory.keep(now)
            self.remembered = now

    # -- what the crawler continues from -------------------------------------------------------

    def write_config(self) -> str | None:
        """The file the crawler continues from; None when there is nothing to continue."""
        seeds = "".join(f"{seed.url}\n" for seed in self.order.source.seeds)
        (self.work / command.SEEDS_NAME).write_text(seeds, encoding="utf-8")
        found = scan(self.work)
        copy = self.work.parent / state.COPY_NAME
        saved, path, broken = state.newest([*reversed(found.states), copy])
        for wrong, reason in broken:
            state.set_aside(wrong)
            what = f"set aside {wrong.name}, a state of the crawler's: {reason}"
            self.report(Report("note", what=what, evidence={"file": str(wrong), "reason": reason}))
        waiting = self.settlement.waiting()
        if saved is None:
            # Without its state nobody knows where the pages lead that it has visited: it visits
            # them again, from the seeds on. What is captured of them is passed over.
            begin = [seed.url for seed in self.order.source.seeds]
            if not set(waiting) - set(begin):
                return None
            saved = state.Saved(queued=tuple(map(state.entry_for, begin)))
        elif path is not None and path != copy:
            state.keep_copy(path, self.work.parent)
        config = state.resume_config(saved, self.settlement.is_settled, waiting)
        name = f"resume-a{self.order.fence}.yaml"
        state.write_config(config, self.work / name)
        return name

    def last_status(self) -> CrawlStatus | None:
        """The crawler's last count: from its log, or from its own file when we came too late."""
        if self.holding.log.status is not None:
            return self.holding.log.status
        path = self.work / command.STATS_NAME
        if path.is_symlink() or not path.is_file():
            return None
        return read_stats(path.read_text(encoding="utf-8", errors="replace"))

    # -- the end -------------------------------------------------------------------------------

    async def seal(self) -> None:
        """Commit and seal what is left."""
        if not self.ledger.batch.empty:
            await self.ledger.commit([])
        self.remember()
        sealed = await self.ledger.seal()
        if sealed is not None:
            self.report(Report("segment", segment=sealed))

    async def clean_up(self) -> None:
        """Remove what the crawler wrote: all of it is in sealed segments."""
        await asyncio.to_thread(shutil.rmtree, self.work, ignore_errors=True)
