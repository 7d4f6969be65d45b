"""The HTTP engine: fetches what the frontier has queued, records it, and follows where it leads."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from healtharchive.crawl.batch import QueuedUrl
from healtharchive.crawl.dispatch import Dispatch
from healtharchive.crawl.ending import Ending, final_ending, over_a_limit
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.gate import RobotsGate
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.leash import Leash
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.visit import Visits
from healtharchive.crawl.waiting import PoliteWaits
from healtharchive.model.clock import Clock
from healtharchive.model.orders import Counts, CrawlOrder, Report

MAX_IN_FLIGHT = 64
PROGRESS_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Parts:
    """What an engine works with; made by `healtharchive.crawl.__main__`."""

    order: CrawlOrder
    frontier: Frontier
    ledger: Ledger
    dispatch: Dispatch
    gate: RobotsGate
    paces: Paces
    visits: Visits
    leash: Leash
    clock: Clock
    report: Callable[[Report], None]
    guard_disk: Callable[[], None]
    most_in_flight: int = MAX_IN_FLIGHT


class Engine:
    """One attempt of a crawl, from its seeds to its ending."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._active: dict[asyncio.Task[None], QueuedUrl] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._commit_task: asyncio.Task[None] | None = None
        self._fatal: BaseException | None = None
        self._wake = asyncio.Event()
        now = parts.clock.monotonic()
        self._committed_at = now
        self._reported_at = now
        self._waits = PoliteWaits(parts.dispatch, parts.frontier, parts.paces, parts.clock)

    async def run(self) -> Ending:
        """Crawl until there is nothing left, a limit is reached, or somebody asks to stop.

        LeaseLost, OSError and sqlite3.Error end the attempt: what no commit confirmed is fetched
        again by the next one.
        """
        parts = self._parts
        try:
            parts.ledger.batch.found.extend(parts.visits.discovery.seeds())
            ending = None
            while ending is None:
                self._start_what_may()
                self._commit_if_due()
                await self._pause()
                self._report_progress()
                ending = self._ending()
            await self._drain()
        except BaseException:
            await self._abandon()
            raise
        return final_ending(ending, parts.frontier)

    # -- one turn ----------------------------------------------------------------------------

    def _start_what_may(self) -> None:
        if self._parts.leash.stopping:
            return
        self._parts.dispatch.refill()
        for origin in self._parts.dispatch.origins():
            self._start_from(origin)

    def _start_from(self, origin: str) -> None:
        dispatch, gate = self._parts.dispatch, self._parts.gate
        while (head := dispatch.head(origin)) is not None:
            if len(self._active) >= self._parts.most_in_flight or not dispatch.may_start(origin):
                return
            if dispatch.robots_first(origin):
                gate.asking.add(origin)
                self._launch(origin, dispatch.take(origin))
                continue
            if not gate.known(origin):
                self._learn_rules(origin)
                return
            allowed, rule = gate.verdict(origin, head.url)
            if not allowed:
                refused = (dispatch.take(origin).id, f"robots.txt: {rule}")
                self._parts.ledger.batch.excluded.append(refused)
                continue
            if self._parts.visits.page_limit_reached(self._active.values()):
                return
            self._launch(origin, dispatch.take(origin))

    def _learn_rules(self, origin: str) -> None:
        """Ask for robots.txt when its answer is neither at hand nor on its way."""
        gate = self._parts.gate
        if origin in gate.asking:
            return
        if origin in gate.unreachable:
            self._parts.visits.without_rules(origin, gate.unreachable[origin])
            return
        gate.asking.add(origin)
        task = asyncio.create_task(self._parts.visits.read_rules_again(origin))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(self._note_end)

    def _launch(self, origin: str, queued: QueuedUrl) -> None:
        self._parts.paces.of(origin).started(self._parts.clock.monotonic())
        task = asyncio.create_task(self._parts.visits.visit(origin, queued))
        self._active[task] = queued
        task.add_done_callback(functools.partial(self._active.pop))
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal = self._fatal or error
        self._wake.set()

    async def _pause(self) -> None:
        """Until an answer, a commit, or the moment at which something may begin."""
        seconds = min(LONGEST_PAUSE_SECONDS, self._parts.dispatch.wait_seconds())
        if self._commit_task is None and not self._parts.ledger.batch.empty:
            age = self._parts.clock.monotonic() - self._committed_at
            seconds = min(seconds, max(0.0, self._parts.order.commit_seconds - age))
        if not self._active and not self._asking:
            seconds = min(seconds, self._until_postponed())
        if len(self._active) >= self._parts.most_in_flight:
            seconds = LONGEST_PAUSE_SECONDS
        timer = asyncio.get_running_loop().call_later(max(0.001, seconds), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _until_postponed(self) -> float:
        when = self._parts.frontier.next_not_before()
        if when is None:
            return LONGEST_PAUSE_SECONDS
        self._parts.dispatch.look_again()
        return max(0.0, when - self._parts.clock.now().timestamp()) + 0.005

    # -- committing --------------------------------------------------------------------------

    def _commit_if_due(self) -> None:
        parts = self._parts
        if self._commit_task is not None or parts.ledger.batch.empty:
            return
        age = parts.clock.monotonic() - self._committed_at
        starved = not parts.dispatch.origins()
        if (
            starved
            or age >= parts.order.commit_seconds
            or parts.ledger.pending_bytes >= parts.order.commit_bytes
        ):
            self._commit_task = asyncio.create_task(self._commit())
            self._commit_task.add_done_callback(self._note_commit)

    def _note_commit(self, task: asyncio.Task[None]) -> None:
        self._commit_task = None
        self._note_end(task)

    async def _commit(self) -> None:
        parts = self._parts
        self._committed_at = parts.clock.monotonic()
        committed = await parts.ledger.commit([each.id for each in self._active.values()])
        parts.dispatch.committed(committed.batch.settled())
        if committed.sealed is not None:
            parts.report(Report("segment", segment=committed.sealed))

    # -- the end -----------------------------------------------------------------------------

    def _ending(self) -> Ending | None:
        parts = self._parts
        if self._fatal is not None:
            raise self._fatal
        parts.leash.check()
        if parts.leash.stopping:
            return Ending("stopped", parts.leash.stop_reason)
        if parts.visits.trouble is not None:
            return parts.visits.trouble
        limit = over_a_limit(parts.order.source.limits, parts.visits)
        if limit is not None and (limit.at_once or not self._active):
            return limit
        if self._active or self._asking or self._commit_task or parts.dispatch.origins():
            return None
        if parts.visits.spend_tries_of_the_silent() or not parts.ledger.batch.empty:
            return None
        return Ending("complete") if parts.frontier.counts.queued == 0 else None

    async def _drain(self) -> None:
        """Let what is in flight finish up to the deadline; commit and seal."""
        parts = self._parts
        deadline = parts.leash.stop_by if parts.leash.stopping else None
        seconds = parts.order.stop_seconds
        if deadline is not None:
            seconds = max(0.0, deadline - parts.clock.monotonic())
        if tasks := {*self._active, *self._asking}:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            await _cancel(late)
        if self._commit_task is not None:
            await asyncio.wait({self._commit_task})
        if self._fatal is not None:
            raise self._fatal
        if not parts.ledger.batch.empty:
            await self._commit()
        sealed = await parts.ledger.seal()
        if sealed is not None:
            parts.report(Report("segment", segment=sealed))

    async def _abandon(self) -> None:
        tasks: set[asyncio.Task[None]] = {*self._active, *self._asking}
        await _cancel(tasks)
        if self._commit_task is not None:
            await asyncio.wait({self._commit_task})
        self._parts.ledger.abandon()

    def _report_progress(self) -> None:
        now = self._parts.clock.monotonic()
        if now - self._reported_at < PROGRESS_SECONDS:
            return
        self._reported_at = now
        self._parts.guard_disk()
        counts = with_in_flight(self._parts.frontier.counts, len(self._active))
        idle = not self._active and not self._asking and self._commit_task is None
        waiting = self._waits.look(idle=idle)
        self._parts.report(Report("progress", counts=counts, waiting=waiting))
        if (note := self._waits.note()) is not None:
            self._parts.report(note)


def with_in_flight(counts: Counts, in_flight: int) -> Counts:
    """Committed counts with the URLs in flight, which no commit has seen yet, shown as such."""
    moved = min(in_flight, counts.queued)
    return replace(counts, queued=counts.queued - moved, in_flight=moved)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
