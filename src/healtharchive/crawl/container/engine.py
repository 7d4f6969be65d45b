"""The container engine: a crawler in a container captures, and what it captures becomes ours.

The crawler has its own queue, and its WARC files are in a directory of its own. This engine starts
or adopts it, reads its log, harvests its files as they grow, acts when it has stalled, and calls
the crawl complete only when the crawler's counts and the frontier agree.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from healtharchive.crawl.batch import Kind
from healtharchive.crawl.container import command, stalls, state
from healtharchive.crawl.container.exits import Exit, meaning
from healtharchive.crawl.container.files import scan
from healtharchive.crawl.container.harvest import Harvest
from healtharchive.crawl.container.holding import Holding
from healtharchive.crawl.container.logs import LogReader
from healtharchive.crawl.container.memory import Memory
from healtharchive.crawl.container.runner import Container, find_runner
from healtharchive.crawl.container.settlement import Settlement
from healtharchive.crawl.container.upkeep import Evidence, Upkeep
from healtharchive.crawl.discovery import Discovery
from healtharchive.crawl.ending import Ending, final_ending, over_a_limit
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.leash import Leash
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.scope import Scope
from healtharchive.model.blame import Blame
from healtharchive.model.clock import Clock
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import BadInput, LeaseLost, SetupError
from healtharchive.model.orders import CrawlOrder, Report

TURN_SECONDS = 0.25
# Of the time until a stop's deadline, this much is kept for the harvest after the crawler's end.
RESERVE_SECONDS = 5.0
RESERVE_SHARE = 0.4
ABORT_SECONDS = 5.0
LAST_WORDS_CHARACTERS = 600


async def run(
    order: CrawlOrder,
    options: ContainerOptions,
    frontier: Frontier,
    ledger: Ledger,
    leash: Leash,
    clock: Clock,
    report: Callable[[Report], None],
    guard_disk: Callable[[], None],
) -> Ending:
    """Crawl until the crawler is done, a limit is reached, a rule says so, or somebody stops it.

    LeaseLost leaves the container running: it is the next attempt's. After any other error it is
    stopped, for nobody would watch it.
    """
    upkeep: Upkeep | None = None
    try:
        upkeep = await _prepare(order, options, frontier, ledger, leash, clock, report, guard_disk)
        ending = await _Crawl(upkeep).run()
        await upkeep.seal()
    except (SetupError, BadInput) as error:
        refused = isinstance(error, BadInput)
        blame = Blame.JOB if refused else Blame.HOST
        ending = Ending("failed" if refused else "infra", str(error), blame)
        if upkeep is not None:
            await upkeep.seal()
    except LeaseLost:
        ledger.abandon()
        raise
    except BaseException:
        ledger.abandon()
        if upkeep is not None:
            await _abort(upkeep)
        raise
    finally:
        if upkeep is not None:
            await upkeep.holding.let_go()
    final = final_ending(ending, frontier)
    if final.outcome == "complete" and upkeep is not None:
        await upkeep.clean_up()
    return replace(final, evidence={**final.evidence, **ending.evidence})


async def _abort(upkeep: Upkeep) -> None:
    """Stop the crawler without another write of ours."""
    grace_ends_at = upkeep.clock.monotonic() + ABORT_SECONDS
    with contextlib.suppress(SetupError):
        await upkeep.holding.stop(lambda: grace_ends_at)


async def _prepare(
    order: CrawlOrder,
    options: ContainerOptions,
    frontier: Frontier,
    ledger: Ledger,
    leash: Leash,
    clock: Clock,
    report: Callable[[Report], None],
    guard_disk: Callable[[], None],
) -> Upkeep:
    work = command.work_directory(order)
    work.mkdir(parents=True, exist_ok=True)
    memory = Memory(frontier)
    remembered = memory.recall()
    scope = Scope(order.source.scope)
    runner = await find_runner(options)
    log = LogReader(remembered.log_since)
    ((pages,),) = frontier.ask(
        "SELECT count(*) FROM captures JOIN urls ON urls.id = url_id WHERE urls.kind IN (?, ?)",
        (Kind.SEED, Kind.PAGE),
    )
    return Upkeep(
        order=order,
        options=options,
        frontier=frontier,
        ledger=ledger,
        leash=leash,
        clock=clock,
        report=report,
        guard_disk=guard_disk,
        work=work,
        memory=memory,
        holding=Holding(order, options, runner, clock, report, log),
        harvest=Harvest(work, ledger, memory, scope, clock, report, pages=pages),
        settlement=Settlement(frontier, ledger, scope, clock, order.source.politeness.url_tries),
        remembered=remembered,
        watched=stalls.Watched(clock.monotonic()),
    )


@dataclass(slots=True)
class _Crawl:
    """One attempt: the decisions. What is done again and again meanwhile is the upkeep's."""

    upkeep: Upkeep
    _start_at: float = 0.0  # no container is started before this
    _fruitless: int = 0  # containers in a row that got nowhere
    _progress: tuple[int, ...] = ()

    async def run(self) -> Ending:
        """From the container that is there, or a new one, to the attempt's ending."""
        upkeep = self.upkeep
        seeds = [each for each in Discovery(upkeep.order.source).seeds() if each.kind is Kind.SEED]
        upkeep.ledger.batch.found.extend(seeds)
        await upkeep.ledger.commit([])
        if not await upkeep.holding.take_over():
            await upkeep.gather(ended=True)  # what an earlier attempt could not harvest
        ending = None
        while ending is None:
            ending = await self._turn()
            if ending is None:
                await asyncio.sleep(TURN_SECONDS)
        return ending

    async def _turn(self) -> Ending | None:
        upkeep = self.upkeep
        upkeep.leash.check()
        if upkeep.leash.stopping:
            return await self._stopped()
        container = await upkeep.holding.look()
        if container is not None and not container.running:
            return await self._ended(container)
        await upkeep.chores()
        if (limit := over_a_limit(upkeep.order.source.limits, upkeep)) is not None:
            await self._halt()
            return limit
        if container is None:
            return await self._start()
        finding = stalls.look(upkeep.watched, upkeep.clock.monotonic(), upkeep.options)
        return None if finding is None else await self._act(finding)

    async def _start(self) -> Ending | None:
        """Start the crawler from its own state, once it is time."""
        upkeep = self.upkeep
        if upkeep.clock.monotonic() < self._start_at:
            return None
        config = await asyncio.to_thread(upkeep.write_config)
        await upkeep.holding.start(upkeep.spent().workers, config)
        upkeep.watched = stalls.Watched(upkeep.clock.monotonic(), upkeep.progress())
        return None

    # -- stopping ------------------------------------------------------------------------------

    async def _stopped(self) -> Ending:
        """Somebody asked: the crawler has the most of the time, the last harvest the rest."""
        await self._halt()
        return Ending("stopped", self.upkeep.leash.stop_reason)

    async def _halt(self) -> None:
        """Stop the crawler, harvest what it has written, take over its queue, and let it go."""
        upkeep, leash = self.upkeep, self.upkeep.leash
        begun = upkeep.clock.monotonic()
        grace_ends_at = begun + upkeep.options.stop_seconds

        def deadline() -> float:
            if not leash.stopping:
                return grace_ends_at
            return min(grace_ends_at, leash.stop_by - _reserve_seconds(leash, begun))

        await upkeep.holding.stop(deadline)
        upkeep.note_log()
        if await upkeep.gather(ended=True):
            await upkeep.follow_state()
        await upkeep.holding.remove()

    # -- when something is wrong ---------------------------------------------------------------

    async def _act(self, finding: stalls.Finding) -> Ending | None:
        """Do what the rules say about a trouble; the ending when that is one."""
        upkeep = self.upkeep
        before = upkeep.spent()
        action = stalls.decide(finding.trouble, before, upkeep.options)
        spent = stalls.charge(before, action, upkeep.clock.now().timestamp())
        upkeep.remember(spent)
        evidence: Evidence = {
            **finding.evidence,
            "trouble": finding.trouble,
            "action": action,
            "workers": spent.workers,
            "restarts": spent.restarts,
            "back_offs": spent.back_offs,
        }
        what = f"{finding.words}: {action.replace('_', ' ')}"
        upkeep.report(Report("note", what=what, evidence=evidence))
        await self._halt()
        if upkeep.leash.stopping:
            return await self._stopped()
        if action == "back_off":
            return Ending("infra", f"the crawler is in trouble: {what}", Blame.SITE, None, evidence)
        if action == "other_engine":
            await upkeep.hand_over_everything()
            evidence["next_engine"] = "http"
            return Ending("failed", f"the crawler failed: {what}", Blame.BROWSER, None, evidence)
        self._wait_before_start()
        return None

    def _wait_before_start(self) -> None:
        upkeep = self.upkeep
        progress = upkeep.progress()
        self._fruitless = 0 if progress > self._progress else self._fruitless + 1
        self._progress = progress
        wait = stalls.restart_wait_seconds(self._fruitless, upkeep.options)
        self._start_at = upkeep.clock.monotonic() + wait

    # -- when the crawler has ended ------------------------------------------------------------

    async def _ended(self, container: Container) -> Ending | None:
        upkeep = self.upkeep
        await upkeep.holding.read_to_the_end()
        upkeep.note_log()
        if not await upkeep.gather(ended=True):
            return None  # a stop was asked for: the next turn sees to it
        await upkeep.follow_state()
        exit_ = self._exit(container)
        what = f"the crawler in {container.name} ended: {exit_.words}"
        evidence: Evidence = {"exit_code": exit_.code, "meaning": exit_.kind}
        upkeep.report(Report("note", what=what, evidence=evidence))
        await upkeep.holding.remove()
        return await self._judge(exit_)

    def _exit(self, container: Container) -> Exit:
        status = self.upkeep.last_status()
        return meaning(
            container.exit_code,
            out_of_memory=container.out_of_memory,
            final_status=self.upkeep.holding.log.final_status,
            limit_hit=bool(status and status.limit_hit),
        )

    async def _judge(self, exit_: Exit) -> Ending | None:
        """The ending that an exit leads to; None when the crawler is started again."""
        evidence: Evidence = {"exit_code": exit_.code}
        words = f"the crawler ended: {exit_.words} (exit code {exit_.code})"
        last = "; ".join(self.upkeep.holding.log.last_words)[-LAST_WORDS_CHARACTERS:]
        if exit_.kind == "finished":
            return await self._finish(evidence)
        if exit_.kind == "limit":
            return Ending("limit", words, "", None, evidence)
        if exit_.kind == "full":
            return Ending("infra", words, Blame.HOST, None, evidence)
        if exit_.kind == "site":
            return Ending("infra", words, Blame.SITE, None, evidence)
        if exit_.kind == "refused":
            return Ending("failed", f"{words}: {last}", Blame.JOB, None, evidence)
        trouble: stalls.Trouble = "memory" if exit_.kind == "memory" else "crashed"
        evidence["last_words"] = last or None
        return await self._act(stalls.Finding(trouble, words, evidence))

    async def _finish(self, evidence: Evidence) -> Ending | None:
        """The crawler says it is done: complete if our frontier says so too."""
        upkeep, settlement = self.upkeep, self.upkeep.settlement
        status = upkeep.last_status()
        if status is not None and not status.crawled and status.failed:
            reason = f"the crawler reached none of {status.failed} pages"
            return Ending("infra", reason, Blame.SITE, None, evidence)
        found = await asyncio.to_thread(scan, upkeep.work)
        saved, _, _ = await asyncio.to_thread(state.newest, reversed(found.states))
        if saved is None:
            reason = "the crawler left no state, so that its count cannot be compared with ours"
            return Ending("failed", reason, Blame.JOB, None, evidence)
        again = await settlement.settle(saved)
        if again:
            what = f"{again} pages have no record yet: the crawler is sent for them again"
            upkeep.report(Report("note", what=what, evidence={"pages": again}))
            return None
        agreement = await settlement.compare(saved, status)
        evidence = {**evidence, **agreement.evidence()}
        if agreement.objection:
            reason = f"the counts do not add up: {agreement.objection}"
            return Ending("failed", reason, Blame.JOB, None, evidence)
        return Ending("complete", evidence=evidence)


def _reserve_seconds(leash: Leash, begun: float) -> float:
    """How long before a stop's deadline the crawler is killed, so that the harvest has time."""
    return min(RESERVE_SECONDS, max(0.0, leash.stop_by - begun) * RESERVE_SHARE)
