"""One attempt's parts around a gathering: a real frontier, segment, ledger and transport."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from healtharchive.crawl.batch import Batch, FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.browser.gathering import Gathering, Means
from healtharchive.crawl.browser.kept import Kept
from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.recorder import Recorder
from healtharchive.crawl.segments import Segments
from healtharchive.crawl.transport import Transport
from healtharchive.crawl.urls import origin_of
from healtharchive.model.clock import SystemClock
from healtharchive.model.orders import Counts
from healtharchive.warc.payload import http_head
from healtharchive.warc.reader import BadRecord, read_records
from tests.lab.raw_site import HOST, OK, RawSite, ok, serving

BIG = random.Random(1).randbytes(3_000_000)
ANSWERS = {
    "/": ok(b"<p>the page</p>", "text/html"),
    "/a": ok(b"the first asset"),
    "/b": ok(b"the second asset"),
    "/big": ok(BIG),
    "/by-origin": ok(b"for whom", "text/plain", "Vary: Origin, Accept-Encoding"),
    "/moved": b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n",
    "/ranged": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\n"
    b"Content-Length: 4\r\n\r\nfour",
    "/cut": OK + b"Content-Length: 900\r\n\r\nhalf of it",
    "/later": b"HTTP/1.1 503 Later\r\nContent-Length: 3\r\n\r\nno.",
    "POST /api": ok(b'{"posted": true}', "application/json"),
    "OPTIONS /api": b"HTTP/1.1 204 No Content\r\nAllow: POST\r\n\r\n",
}
FRAME = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}

COMMITS = 0.05  # seconds between two, as an engine does meanwhile


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Recorded:
    """A response or revisit record: its URL and its block, and the method that it answers."""

    kind: str
    url: str
    method: str
    block: bytes


@dataclass
class Attempt:
    """The parts of one attempt. `page` is in flight, as for whoever visits it."""

    frontier: Frontier
    segments: Segments
    ledger: Ledger
    recorder: Recorder
    means: Means
    page: QueuedUrl
    spills: Path

    def gathering(self, exchange: Exchange | None = None, **more: Any) -> Gathering:
        """The gathering of its page, with other means if need be."""
        return Gathering(self.page, exchange, replace(self.means, **more))

    async def finish(self) -> Counts:
        """Commit and seal; the counts, which add up."""
        await self.ledger.commit([])
        await self.ledger.seal()
        counts = self.frontier.count()
        assert counts.add_up
        kept = self.frontier.counts
        assert replace(kept, queued=0) == replace(counts, queued=0, in_flight=0)
        assert kept.queued == counts.queued + counts.in_flight
        return counts

    def states(self) -> dict[str, int]:
        """Each path of the frontier and its state."""
        rows = self.frontier.ask("SELECT url, state FROM urls")
        return {url[len(origin_of(url)) :]: state for url, state in rows}

    def recorded(self) -> list[Recorded]:
        """What is in its sealed segments, in order."""
        found = []
        for segment in self.segments.sealed():
            methods: dict[str, str] = {}
            for record in read_records(Path(segment.path)):
                assert not isinstance(record, BadRecord), record
                if record.record_type == "request":
                    head = http_head(record)
                    assert head is not None
                    methods[record.headers["WARC-Concurrent-To"]] = head.start_line.split(" ")[0]
                elif record.record_type in ("response", "revisit"):
                    method = methods[record.record_id or ""]
                    url = record.target_uri or ""
                    found.append(Recorded(record.record_type, url, method, record.block()))
        return found


@asynccontextmanager
async def attempt(
    directory: Path, page_url: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0
) -> AsyncIterator[Attempt]:
    """An attempt that visits one page."""
    spills = directory / "spills"
    spills.mkdir(parents=True)
    clock = SystemClock()
    frontier = Frontier(directory / "frontier.sqlite", 1)
    frontier.commit(Batch(found=[FoundUrl(page_url, origin_of(page_url), Kind.PAGE, 1)]))
    (page,) = frontier.ready(origin_of(page_url), 0.0, 1)
    frontier.commit(Batch(in_flight=[page.id]))
    segments = Segments(frontier, directory / "warcs", "lab-job1")
    ledger = Ledger(frontier, segments, clock, facts=[], segment_bytes=1 << 30, guard=_nothing)
    recorder = Recorder(frontier, None)
    transport = Transport(
        clock=clock,
        user_agent="Test/1",
        timeout_seconds=timeout,
        page_bytes=50_000_000,
        allow_private_hosts=frozenset({HOST}),
        temporary_directory=spills,
        tls=tls,
    )
    means = Means(transport, ledger, recorder, Kept(spills), spills)
    over = asyncio.Event()
    committing = asyncio.create_task(_commit_until(over, ledger))
    try:
        yield Attempt(frontier, segments, ledger, recorder, means, page, spills)
    finally:
        over.set()
        await asyncio.wait({committing})
        await transport.close()
        ledger.abandon()
        recorder.close()
        frontier.close()


async def _commit_until(over: asyncio.Event, ledger: Ledger) -> None:
    while not over.is_set():
        await asyncio.sleep(COMMITS)
        if not ledger.batch.empty:
            await ledger.commit([])


async def body_of(gathering: Gathering, url: str, method: str = "GET", **more: Any) -> bytes:
    """Ask as a browser does and read the answer to its end: its head and body."""
    fields = tuple((name.replace("_", "-"), value) for name, value in more.items())
    answer = await gathering.answer(ProxyRequest(method, url, fields, b""))
    if isinstance(answer, Canned):
        return str(answer.status).encode()
    try:
        return answer.response_head + answer.body.read()
    finally:
        answer.body.close()


Scenario = Callable[[Attempt, RawSite], Awaitable[None]]


def run(directory: Path, scenario: Scenario, site: RawSite | None = None, **more: Any) -> None:
    """Run a scenario with an attempt that visits the site's first page."""

    async def main() -> None:
        answering = site or RawSite(dict(ANSWERS), last=frozenset({"/cut"}))
        async with (
            asyncio.timeout(40),
            serving(answering),
            attempt(directory, f"{answering.url}/", **more) as parts,
        ):
            await scenario(parts, answering)

    asyncio.run(main())


def holding(*paths: str, answers: dict[str, bytes] | None = None) -> RawSite:
    """A site that answers these paths only when it is let."""
    return RawSite(answers or dict(ANSWERS), held={path: asyncio.Event() for path in paths})


def open_files(directory: Path) -> int:
    """How many files below a directory this process holds open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(str(directory))
        except OSError:
            continue
    return count


def accounted(gathering: Gathering) -> bool:
    """Whether each request was counted under exactly one of the others."""
    got = gathering.traffic
    return got.requests == sum(
        (got.given, got.kept, got.recorded, got.repeated, got.queued, got.failed, got.stayed)
    )
