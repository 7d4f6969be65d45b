"""One page's traffic while a browser renders it: fetched by our transport, recorded, relayed.

A URL that the browser asks for is captured as if the frontier had sent for it. Nothing is admitted
to the frontier before its answer is there: a browser that dies leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from healtharchive.crawl.batch import Admission, FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.browser.asking import Asking
from healtharchive.crawl.browser.kept import Flight, Kept, copied
from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.browser.traffic import Traffic
from healtharchive.crawl.enrichment import why_refused
from healtharchive.crawl.frontier import url_key
from healtharchive.crawl.frontier_schema import EXCLUDED, FAILED, QUEUED
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.recorder import Recorder
from healtharchive.crawl.transport import Exchange, FetchFailed, Transport
from healtharchive.crawl.urls import origin_of
from healtharchive.model.errors import LeaseLost

CLOSE_SECONDS = 10.0
MOST_FETCHES = 3  # of the page itself, where it was not fetched before
MOST_RELOADS = 7  # of the page itself, which may be rendered once more in another browser
LASTING = (200, 301, 308, 404, 410)  # worth keeping for the next page that asks
PARTIAL = (206, 304, 416)  # no answer that a URL is captured by
STAY = Canned(204)  # a browser that is answered so stays on the page it shows
# What ends the attempt: the disk, the frontier, the lease. All else costs one request.
FATAL = (OSError, sqlite3.Error, LeaseLost)
AT_FAULT = "what a page asked for was not recorded: an error of ours, see the log"

log = logging.getLogger(__name__)


async def _nothing_before(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Means:
    """What the gatherings of one attempt work with, and what its engine has to say.

    `may_fetch`: why a URL is not to be asked for, or empty. `claim`: whether the engine leaves
    this URL of the frontier to the gathering; not while it visits it itself. `why_again`: why an
    answer is worth another try, or empty; its URL is queued then. `introduce`: what is to be
    recorded of an origin before its first capture. `follow`: takes up what a capture leads to, in
    the same commit. `lead_to`: queues what a page (the first) has in a frame as a page of its own,
    in the next commit; False where it is none of the source.
    """

    transport: Transport
    ledger: Ledger
    recorder: Recorder
    kept: Kept
    directory: Path
    may_fetch: Callable[[str], str] = lambda _: ""
    claim: Callable[[int], bool] = lambda _: True
    why_again: Callable[[Exchange], str] = lambda _: ""
    introduce: Callable[[str], Awaitable[None]] = _nothing_before
    follow: Callable[[QueuedUrl, Exchange], None] = lambda _queued, _exchange: None
    lead_to: Callable[[QueuedUrl, str], bool] = lambda _queued, _url: False


class Gathering:
    """The answerer of one page.

    `exchange` is the page's own, the caller's to record and to close: every load is answered with
    it, so that what is read belongs to it. Where there is none yet the first load fetches it, and
    so does the next after a refusal, which may have been a test for browsers; `page_failure` says
    why it has none. `navigations` are the URLs the page wanted to go to instead. `fatal`, the first
    error of the disk or of the lease, ends the attempt: `settled` and `close` raise it.
    """

    def __init__(self, page: QueuedUrl, exchange: Exchange | None, means: Means) -> None:
        self.traffic = Traffic()
        self.navigations: list[str] = []
        self.fatal: BaseException | None = None
        self.exchange = exchange
        self.page_failure: FetchFailed | None = None
        self._page = page
        self._fetches = 0 if exchange is not None else MOST_FETCHES  # of the page itself, to go
        self._fetching = asyncio.Lock()
        self._means = means
        self._reloads = 0
        self._told: set[str] = set()  # identities of requests that are recorded without a URL
        self._tasks: set[asyncio.Task[Exchange | Canned]] = set()
        self._writing: set[asyncio.Task[object]] = set()
        self._closed = False
        self._changed = asyncio.Event()
        self._quiet_since = asyncio.get_running_loop().time()

    # -- for the proxy -------------------------------------------------------------------------

    async def answer(self, request: ProxyRequest) -> Exchange | Canned:
        """See `Answerer`."""
        self.traffic.requests += 1
        task = asyncio.create_task(self._answer(Asking.of(request)))
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise FetchFailed("closed", "the page is no longer rendered") from None
            task.add_done_callback(_let_go)  # nobody is left to relay it
            raise

    def _note_end(self, task: asyncio.Task[Exchange | Canned]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self.traffic.failed += 1
        if error is not None and not isinstance(error, FetchFailed):
            self.fatal = self.fatal or error
        self._quiet_since = asyncio.get_running_loop().time()
        self._changed.set()

    # -- for whoever renders the page ----------------------------------------------------------

    async def settled(self, quiet_seconds: float, deadline: float) -> bool:
        """Wait until no request was under way for so long; False at the deadline (loop time).

        Raises `fatal`.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._raise_fatal()
            now = loop.time()
            due = deadline if self._tasks else self._quiet_since + quiet_seconds
            if not self._tasks and now >= due:
                return True
            if now >= deadline:
                return False
            self._changed.clear()
            timer = loop.call_later(max(0.001, min(due, deadline) - now), self._changed.set)
            await self._changed.wait()
            timer.cancel()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Answer nothing more, and wait for what is under way; what is late is not fetched.

        What has its answer is recorded in any case, and nothing is once this has ended, by being
        cancelled too. Raises `fatal`.
        """
        self._closed = True
        try:
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=seconds)
        finally:
            await self._end_late()
        self._raise_fatal()

    async def _end_late(self) -> None:
        """Give up what has no answer yet and wait for what is being written, whoever cancels."""
        for task in self._tasks - self._writing:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                await asyncio.wait(set(self._tasks))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _raise_fatal(self) -> None:
        if self.fatal is not None:
            raise self.fatal

    # -- one request ---------------------------------------------------------------------------

    async def _answer(self, asking: Asking) -> Exchange | Canned:
        try:
            if self._closed:
                raise FetchFailed("closed", "the page is no longer rendered")
            if self.fatal is not None:
                raise FetchFailed("archive", "nothing more can be recorded")
            if asking.navigation and not self._may_go(asking):
                self.traffic.stayed += 1
                return STAY
            if self._is_page(asking):
                return await self._own(asking)
            self._refuse(asking)
            if asking.plain and asking.canonical and not asking.navigation:
                return await self._shared(asking)
            return await self._fetched(asking)
        except FATAL as error:
            self.fatal = self.fatal or error
            raise FetchFailed("archive", f"it could not be recorded: {error}") from error
        except FetchFailed:
            raise
        except Exception as error:  # a bug: it costs one request, and is told
            log.exception("answering %s for %s", asking.request.url, self._page.url)
            remarks = self._means.ledger.batch.remarks
            remarks[AT_FAULT] = remarks.get(AT_FAULT, 0) + 1
            raise FetchFailed("bug", f"{type(error).__name__}: {error}") from error

    def _is_page(self, asking: Asking) -> bool:
        return asking.plain and asking.canonical == self._page.url

    def _may_go(self, asking: Asking) -> bool:
        """Whether the top frame may go there: to the page itself, not too often."""
        if self._is_page(asking):
            self._reloads += 1
            return self._reloads <= 1 + MOST_RELOADS
        if asking.plain and asking.canonical and asking.canonical not in self.navigations:
            self.navigations.append(asking.canonical)
        return False

    async def _own(self, asking: Asking) -> Exchange:
        """A copy of the page's own answer, which is fetched where it has to be."""
        async with self._fetching:
            if self._fetches and (self.exchange is None or why_refused(self.exchange)):
                self._fetches -= 1
                await self._fetch_own(asking)
        if self.exchange is None:
            raise self.page_failure or FetchFailed("closed", "the page was asked for too often")
        given = copied(self.exchange, self._means.directory)
        self.traffic.given += 1
        return given

    async def _fetch_own(self, asking: Asking) -> None:
        url = self._page.url
        try:
            async with self._means.kept.lane(origin_of(url)):
                exchange = await self._means.transport.forward("GET", url, asking.fields)
        except FetchFailed as failure:
            self.page_failure = failure
            raise
        if self.exchange is not None:
            self.exchange.body.close()
        self.exchange = exchange
        self.traffic.bytes += len(exchange.response_head) + exchange.body.size_bytes

    def _refuse(self, asking: Asking) -> None:
        if asking.streams:
            raise FetchFailed("refused", "a stream without an end", permanent=True)
        if reason := self._means.may_fetch(asking.request.url):
            raise FetchFailed("refused", reason, permanent=True)

    async def _shared(self, asking: Asking) -> Exchange:
        """From what is kept, or fetched by one of all who ask for it."""
        kept, key = self._means.kept, asking.canonical
        since = kept.now()
        while True:
            if (known := kept.get(key, asking.fields, since)) is not None:
                self.traffic.kept += 1
                return known
            if (flight := kept.flights.get(key)) is None:
                return await self._fly(asking)
            await flight.landed.wait()
            if (failure := flight.failure) is not None:
                raise FetchFailed(failure.kind, failure.detail, permanent=failure.permanent)

    async def _fly(self, asking: Asking) -> Exchange:
        kept, key = self._means.kept, asking.canonical
        flight = kept.flights[key] = Flight()
        try:
            exchange = await self._fetched(asking)
            task = self._begin_writing()
            try:
                lasting = exchange.status in LASTING and not exchange.truncated
                await kept.put(key, asking.fields, exchange, lasting=lasting)
                return exchange
            except BaseException:
                exchange.body.close()
                raise
            finally:
                self._writing.discard(task)
        except FetchFailed as failure:
            flight.failure = failure
            raise
        finally:
            del kept.flights[key]
            flight.landed.set()

    def _begin_writing(self) -> asyncio.Task[object]:
        task = asyncio.current_task()
        assert task is not None
        self._writing.add(task)
        return task

    async def _fetched(self, asking: Asking) -> Exchange:
        """Fetched and recorded. Whoever is waiting for it may go: it is recorded all the same."""
        request, means = asking.request, self._means
        url = request.url
        async with means.kept.lane(origin_of(url)):
            exchange = await means.transport.forward(
                request.method, url, asking.fields, request.body
            )
        task = self._begin_writing()  # no cancelling from here on: see `close`
        try:
            self.traffic.bytes += len(exchange.response_head) + exchange.body.size_bytes
            await self._record(asking, exchange)
        except BaseException:
            exchange.body.close()
            raise
        finally:
            self._writing.discard(task)
        return exchange

    # -- recording -----------------------------------------------------------------------------

    async def _record(self, asking: Asking, exchange: Exchange) -> None:
        if asking.request.method != "GET" or exchange.status in PARTIAL or not asking.canonical:
            await self._record_aside(asking, exchange, self._told)
            return
        if asking.canonical == self._page.url:
            self.traffic.repeated += 1  # it is in flight, by whoever renders it
            return
        found, again = self._asset(asking.canonical), bool(self._means.why_again(exchange))
        document = asking.is_document(exchange, again=again)
        leads = document and self._means.lead_to(self._page, asking.canonical)
        if again:
            self._means.ledger.batch.found.append(found)  # which adds nothing if it is a page
            self.traffic.queued += 1
        elif leads:
            await self._record_unsettled(asking, exchange)
        else:
            await self._record_asset(asking, found, exchange)

    async def _record_asset(self, asking: Asking, found: FoundUrl, exchange: Exchange) -> None:
        (admission,) = await self._means.ledger.admit([found], pages=False)
        if not admission.ours:
            await self._record_unsettled(asking, exchange)
        elif self._means.claim(admission.id):
            await self._capture(self._admitted(admission), exchange)
        else:
            self.traffic.repeated += 1

    async def _record_unsettled(self, asking: Asking, exchange: Exchange) -> None:
        """Aside: what was given up has no capture, and a page's is made by its own visit, which may
        get another answer. Of pages once an attempt: a whole site may have one in its frames."""
        state = self._state(asking.canonical)
        if state in (FAILED, EXCLUDED):
            await self._record_aside(asking, exchange, self._told)
        elif state in (None, QUEUED):
            await self._record_aside(asking, exchange, self._means.kept.told)
        else:
            self.traffic.repeated += 1

    def _asset(self, url: str) -> FoundUrl:
        return FoundUrl(url, origin_of(url), Kind.ASSET, self._page.depth + 1, via_id=self._page.id)

    def _admitted(self, admission: Admission) -> QueuedUrl:
        (row,) = self._means.ledger.frontier.ask(
            "SELECT id, url, kind, depth, hops, tries FROM urls WHERE id = ?", (admission.id,)
        )
        return QueuedUrl(row[0], row[1], Kind(row[2]), *row[3:])

    async def _capture(self, queued: QueuedUrl, exchange: Exchange) -> None:
        means = self._means
        try:
            await means.introduce(origin_of(queued.url))
            records = means.recorder.records(queued.id, exchange)
        except Exception:  # in flight, and nobody else would settle it
            means.ledger.batch.postponed.append((queued.id, 0.0))
            raise
        await means.ledger.append(*records)
        # No await from here on: the capture and what it leads to are in one commit.
        means.follow(queued, exchange)
        self.traffic.recorded += 1

    async def _record_aside(self, asking: Asking, exchange: Exchange, told: set[str]) -> None:
        """Record what is no URL's capture, once for the same request."""
        if asking.identity in told:
            self.traffic.repeated += 1
            return
        told.add(asking.identity)
        await self._means.ledger.append(*self._means.recorder.records(None, exchange))
        self.traffic.recorded += 1
        if exchange.status == 206 and asking.canonical:
            # A part plays to nobody: the crawl fetches the whole of it.
            self._means.ledger.batch.found.append(self._asset(asking.canonical))

    def _state(self, url: str) -> int | None:
        """The state of a URL in the frontier; None when it is not there yet."""
        rows = self._means.ledger.frontier.ask(
            "SELECT state FROM urls WHERE key = ?", (url_key(url),)
        )
        return int(rows[0][0]) if rows else None


def _let_go(task: asyncio.Task[Exchange | Canned]) -> None:
    if not task.cancelled() and task.exception() is None:
        answer = task.result()
        if isinstance(answer, Exchange):
            answer.body.close()
