"""The crawl child: one order on stdin, commands after it, reports on stdout, its log on stderr."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from healtharchive import __version__
from healtharchive.crawl.cookies import CookieJar
from healtharchive.crawl.crawl_log import CrawlLog, listening
from healtharchive.crawl.discovery import Discovery
from healtharchive.crawl.dispatch import Dispatch
from healtharchive.crawl.ending import Ending
from healtharchive.crawl.engine import Engine, Parts
from healtharchive.crawl.enrichment import Enricher
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.gate import RobotsGate
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.leash import Leash
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.recorder import Recorder
from healtharchive.crawl.segments import Recovery, Segments
from healtharchive.crawl.takeover import end_previous
from healtharchive.crawl.transport import Transport
from healtharchive.crawl.visit import Visits, why_again
from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.errors import LeaseLost
from healtharchive.model.layout import CRAWL_LOG_NAME, FRONTIER_NAME, WARCS_NAME
from healtharchive.model.orders import Command, CrawlOrder, Report, SealedSegment
from healtharchive.model.reporting import misfortune, reporter
from healtharchive.model.wire import from_line
from healtharchive.warc.record import Fields

# Bodies that are being received are spilled here; whatever a killed attempt left is removed.
SPILL_PREFIX = "spill-"
ORDER_LIMIT_BYTES = 16_000_000
BROWSERS_NAME = "browsers"  # profiles, while they are in use
IN_FLIGHT_A_TAB = 3  # pages fetched meanwhile for each that can be rendered


def main() -> int:
    """Run one attempt. Always 0 after an `end` report; the report says how it went."""
    clock = SystemClock()
    log = CrawlLog(clock)
    report = log.beside(reporter())
    with listening(log):
        try:
            report(asyncio.run(_obey_one_order(report, log, clock)))
        except LeaseLost as lost:
            report(Report("end", outcome="fenced", reason=str(lost)))
        except Exception as error:  # the outermost loop of this process
            report(misfortune(error))
    return 0


def _end(ending: Ending, sealed: tuple[SealedSegment, ...]) -> Report:
    return Report(
        "end",
        counts=ending.counts,
        outcome=ending.outcome,
        blame=ending.blame,
        reason=ending.reason,
        evidence=ending.evidence,
        segments=sealed,
    )


async def _obey_one_order(report: Callable[[Report], None], log: CrawlLog, clock: Clock) -> Report:
    reader = asyncio.StreamReader(limit=ORDER_LIMIT_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    order = from_line(CrawlOrder, await reader.readline())
    leash = Leash(clock, clock.monotonic() + order.lease_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        why = f"{number.name} to the crawl"
        loop.add_signal_handler(number, leash.stop, why, order.stop_seconds)
    listener = loop.create_task(_listen(reader, leash, order.stop_seconds))
    try:
        return await _attempt(order, leash, clock, report, log)
    finally:
        listener.cancel()


async def _listen(reader: asyncio.StreamReader, leash: Leash, stop_seconds: float) -> None:
    """Obey the worker's commands; when stdin ends, the worker is gone."""
    while line := await reader.readline():
        leash.obey(from_line(Command, line))
    leash.stop("the worker is gone", stop_seconds)


async def _attempt(
    order: CrawlOrder,
    leash: Leash,
    clock: Clock,
    report: Callable[[Report], None],
    log: CrawlLog,
) -> Report:
    output, state = Path(order.output_dir), _state(order)
    for directory in (output, state):
        directory.mkdir(parents=True, exist_ok=True)
    log.say(f"attempt {order.fence} of job {order.job_id} ({order.source.code})")
    log.open(state / CRAWL_LOG_NAME)
    killed = end_previous(state / FRONTIER_NAME)
    frontier = Frontier(state / FRONTIER_NAME, order.fence)
    try:
        _tell_takeover(report, killed)
        segments = Segments(frontier, output / WARCS_NAME, _prefix(order))
        for recovery in await asyncio.to_thread(segments.recover, clock.now()):
            report(_recovered(recovery))
        report(Report("started", counts=frontier.counts))
        ending = await _crawl(order, frontier, segments, leash, clock, report)
        return _end(ending, segments.sealed())
    finally:
        frontier.close()


async def _crawl(
    order: CrawlOrder,
    frontier: Frontier,
    segments: Segments,
    leash: Leash,
    clock: Clock,
    report: Callable[[Report], None],
) -> Ending:
    source, state = order.source, _state(order)
    ledger = Ledger(
        frontier,
        segments,
        clock,
        facts=_facts(order),
        segment_bytes=order.segment_bytes,
        guard=leash.check,
    )
    guard_disk = _disk_guard({state, Path(order.output_dir)}, order.spool_full_percent)
    if source.engine == "container":
        from healtharchive.crawl.container import engine as container  # late: it is an extra

        return await container.run(
            order, source.container, frontier, ledger, leash, clock, report, guard_disk
        )
    paces = Paces(source.politeness)
    _remove_old_spills(state)
    async with AsyncExitStack() as undo:
        spills = Path(undo.enter_context(TemporaryDirectory(prefix=SPILL_PREFIX, dir=state)))
        recorder = Recorder(frontier, Path(order.payload_index) if order.payload_index else None)
        undo.callback(recorder.close)
        transport = Transport(
            clock=clock,
            user_agent=order.user_agent,
            timeout_seconds=source.politeness.timeout_seconds,
            page_bytes=source.limits.page_bytes,
            allow_private_hosts=frozenset(source.allow_private_hosts),
            temporary_directory=spills,
        )
        undo.push_async_callback(transport.close)
        gate = RobotsGate(frontier, transport, paces, clock, order.user_agent, source.politeness)
        visits = Visits(
            source,
            frontier,
            ledger,
            recorder,
            Discovery(source),
            transport,
            gate,
            paces,
            CookieJar(clock),
            clock,
        )
        parts = Parts(
            order=order,
            frontier=frontier,
            ledger=ledger,
            dispatch=Dispatch(frontier, paces, clock),
            gate=gate,
            paces=paces,
            visits=visits,
            leash=leash,
            clock=clock,
            report=report,
            guard_disk=guard_disk,
        )
        if source.engine in ("browser", "auto"):
            parts.most_in_flight = IN_FLIGHT_A_TAB * source.browser.tabs
            visits.enricher = await undo.enter_async_context(_browser(parts, spills))
        return await Engine(parts).run()


def _browser(parts: Parts, spills: Path) -> AbstractAsyncContextManager[Enricher]:
    # Late: it is an extra, and a crawl without it does not wait for its imports.
    from healtharchive.crawl.browser.chromium import Launch
    from healtharchive.crawl.browser.enricher import browser_engine
    from healtharchive.crawl.browser.gathering import Means
    from healtharchive.crawl.browser.kept import Kept

    order, visits = parts.order, parts.visits
    means = Means(
        visits.transport,
        visits.ledger,
        visits.recorder,
        Kept(spills),
        spills,
        claim=parts.dispatch.leave,
        why_again=why_again,
        introduce=visits.record_dns,
        follow=visits.follow,
        lead_to=visits.lead_to,
    )
    return browser_engine(
        order.source.browser,
        automatic=order.source.engine == "auto",
        means=means,
        launch=Launch(
            parent=_state(order) / BROWSERS_NAME,
            executable=order.browser,
            user_agent=order.user_agent,
            languages=order.source.languages,
            memory_bytes=order.browser_memory_bytes,
            recycle_pages=order.source.browser.recycle_pages,
        ),
        clock=parts.clock,
        report=parts.report,
    )


def _state(order: CrawlOrder) -> Path:
    return Path(order.state_dir or order.output_dir)


def _disk_guard(places: set[Path], full_percent: float) -> Callable[[], None]:
    def guard() -> None:
        for place in places:
            disk = os.statvfs(place)
            # As df counts: what is kept for root is neither used nor free.
            usable = disk.f_blocks - disk.f_bfree + disk.f_bavail
            used_percent = 100.0 * (1.0 - disk.f_bavail / max(1, usable))
            if used_percent >= full_percent and full_percent < 100.0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))

    return guard


def _tell_takeover(report: Callable[[Report], None], killed: int | None) -> None:
    if killed is not None:
        what = f"ended process {killed} of an earlier attempt, which still held the frontier"
        report(Report("note", what=what, evidence={"pid": killed}))


def _recovered(recovery: Recovery) -> Report:
    what = f"repaired {recovery.name}, which an earlier attempt left open"
    kept: dict[str, str | int | float | bool | None] = {
        "segment": recovery.name,
        "kept_records": recovery.kept_records,
        "requeued_urls": recovery.requeued_urls,
    }
    return Report("note", what=what, evidence=kept)


def _remove_old_spills(state: Path) -> None:
    for left in state.glob(f"{SPILL_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def _prefix(order: CrawlOrder) -> str:
    return f"{order.source.code}-{order.campaign or 'crawl'}-job{order.job_id}"


def _facts(order: CrawlOrder) -> Fields:
    """The warcinfo fields (WARC 1.1 §6.2 and Annex C)."""
    return [
        ("software", f"HealthArchive/{__version__}"),
        ("format", "WARC File Format 1.1"),
        (
            "conformsTo",
            "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        ),
        ("operator", order.operator or "not set"),
        ("isPartOf", order.campaign or f"job-{order.job_id}"),
        ("description", f"source {order.source.code}: {order.source.name}; attempt {order.fence}"),
        ("robots", order.source.politeness.robots),
        ("http-header-user-agent", order.user_agent),
    ]


if __name__ == "__main__":
    sys.exit(main())
