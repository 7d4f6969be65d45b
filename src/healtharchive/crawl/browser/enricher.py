"""The browser engine: looks at pages in Chromium, all of whose traffic is recorded by us.

Hosts that refuse plain HTTP are fetched through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from healtharchive.crawl.batch import PAGE_KINDS, QueuedUrl
from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.choice import Choice, Wish
from healtharchive.crawl.browser.chromium import Browsers, Launch
from healtharchive.crawl.browser.gathering import CLOSE_SECONDS, Gathering, Means
from healtharchive.crawl.browser.proxy import RecordingProxy
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed, measure_of
from healtharchive.crawl.browser.renditions import Rendition
from healtharchive.crawl.charsets import named_charset, text_of
from healtharchive.crawl.enrichment import Enrichment, Fetched, why_refused
from healtharchive.crawl.recorder import header_value, is_html_page
from healtharchive.crawl.transport import Exchange, FetchFailed
from healtharchive.crawl.urls import origin_of
from healtharchive.model.clock import Clock
from healtharchive.model.orders import Report
from healtharchive.model.source import BrowserOptions
from healtharchive.warc.decoding import decode_content

LARGEST_PAGE_BYTES = 20_000_000
CHANGED = "engine changed: "
FOR_FILES = PageOptions(quiet_seconds=0.0, screenshots=False, behaviours=frozenset())


@dataclass(frozen=True, slots=True)
class BrowserEngine:
    """Renders pages that are worth it, so many at once. Made by `browser_engine`."""

    options: BrowserOptions
    choice: Choice
    browsers: Browsers
    authority: Authority
    means: Means
    clock: Clock
    report: Callable[[Report], None]
    tabs: asyncio.Semaphore

    async def enrich(self, queued: QueuedUrl, exchange: Exchange) -> Enrichment:
        """See `Enricher`. EngineMissing when there is no browser on this machine, or it does not
        last, whatever it renders."""
        wish = self.choice.wish(queued.url, _html(exchange))
        if wish.waits and wish.template is not None:
            async with wish.template.sampling:
                wish = self.choice.again(queued.url, wish)
                return await self._granted(queued, exchange, wish)
        return await self._granted(queued, exchange, wish)

    async def _granted(self, queued: QueuedUrl, exchange: Exchange, wish: Wish) -> Enrichment:
        if not wish.render:
            return Enrichment(remarks=(wish.why,))
        async with self.tabs:
            wish = self.choice.still(queued.url, wish)
            if not wish.render:
                return Enrichment(remarks=(wish.why,))
            return await self._rendered(queued, exchange, wish)

    async def _rendered(self, queued: QueuedUrl, exchange: Exchange, wish: Wish) -> Enrichment:
        at = self.clock.now()
        gathering = Gathering(queued, exchange, self.means)
        rendered = await self._tried(queued.url, gathering, self._for_pages())
        if isinstance(rendered, RenderFailed):
            self._note_failure(queued.url, rendered)
        elif not rendered.left:
            self.choice.learn(queued.url, wish, measure_of(rendered))
        return _enrichment(queued, at, gathering, rendered, wish.why)

    # -- hosts that refuse plain HTTP ----------------------------------------------------------

    def refused(self, url: str, why: str, *, last: bool) -> bool:
        """See `Enricher`."""
        if self.choice.refused(url, last=last):
            how = f"plain HTTP was refused {self.choice.refusals(url)} times in a row"
            what = f"{CHANGED}{origin_of(url)} is fetched through the browser from now on"
            self._tell(what, f"{how}; the last: {why}", url)
        return self.choice.fetches(url) or self.choice.is_doubtful(url)

    def welcomed(self, url: str) -> None:
        """See `Enricher`."""
        self.choice.welcomed(url)

    def fetches(self, url: str) -> bool:
        """See `Enricher`."""
        return self.choice.fetches(url)

    async def fetch(self, queued: QueuedUrl) -> Fetched:
        """See `Enricher`. EngineMissing as `enrich`."""
        page = queued.kind in PAGE_KINDS
        async with self.tabs:
            at = self.clock.now()
            gathering = Gathering(queued, None, self.means)
            try:
                options = self._for_pages() if page else FOR_FILES
                rendered = await self._tried(queued.url, gathering, options)
            except BaseException:
                if gathering.exchange is not None:
                    gathering.exchange.body.close()
                raise
        failure = _failure_of(gathering, rendered)
        if page:
            self._note(queued.url, failure, rendered)
        if gathering.exchange is None:
            raise failure or FetchFailed("render", "the page was not asked for")
        remark = f"fetched through the browser: {origin_of(queued.url)} refuses plain HTTP"
        said = Enrichment(remarks=(remark,))
        if page and is_html_page(gathering.exchange):
            said = _enrichment(queued, at, gathering, rendered, remark)
        return Fetched(gathering.exchange, said)

    def _note(
        self, url: str, failure: FetchFailed | None, rendered: Rendered | RenderFailed
    ) -> None:
        """What came of a page that was fetched through the browser."""
        if isinstance(rendered, RenderFailed) and rendered.kind == "browser":
            return  # as below
        if failure is None:
            self.choice.worked(url)
        else:
            self._count_failure(url, failure)

    # -- in the browser ------------------------------------------------------------------------

    def _for_pages(self) -> PageOptions:
        return PageOptions(
            deadline_seconds=self.options.page_seconds, screenshots=self.options.screenshots
        )

    async def _tried(
        self, url: str, gathering: Gathering, options: PageOptions
    ) -> Rendered | RenderFailed:
        try:
            return await self._render(url, gathering, options)
        except RenderFailed as failed:
            return failed

    async def _render(self, url: str, gathering: Gathering, options: PageOptions) -> Rendered:
        proxy = RecordingProxy(self.authority, gathering)
        seconds = CLOSE_SECONDS
        try:
            port = await proxy.start()
            return await self.browsers.render(url, f"http://127.0.0.1:{port}", page=options)
        except asyncio.CancelledError:
            seconds = 0.0  # somebody waits for the end
            raise
        finally:
            try:
                await proxy.close()
            except asyncio.CancelledError:
                seconds = 0.0
                raise
            finally:
                await gathering.close(seconds)

    def _note_failure(self, url: str, failure: RenderFailed) -> None:
        # A lost browser is no proof against the site it was lost with.
        if failure.kind != "browser":
            self._count_failure(url, failure)

    def _count_failure(self, url: str, failure: Exception) -> None:
        if self.choice.failed(url):
            what = f"{CHANGED}{origin_of(url)} is crawled without a browser from now on"
            many = f"{self.options.failures} pages in a row could not be rendered"
            self._tell(what, f"{many}; the last: {failure}", url)

    def _tell(self, what: str, why: str, url: str) -> None:
        evidence = {"origin": origin_of(url), "url": url}
        self.report(Report("note", what=what, reason=why, evidence={**evidence}))


@asynccontextmanager
async def browser_engine(
    options: BrowserOptions,
    *,
    automatic: bool,
    means: Means,
    launch: Launch,
    clock: Clock,
    report: Callable[[Report], None],
) -> AsyncIterator[BrowserEngine]:
    """A browser engine for one attempt; its browsers are ended with the block.

    What an earlier attempt left in the directory for profiles is ended and wiped.
    """
    launch.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(profile.remove_left_profiles, launch.parent)
    authority = Authority.create()
    browsers = Browsers(replace(launch, spki_hash=authority.spki_hash))
    try:
        yield BrowserEngine(
            options,
            Choice(options, automatic=automatic),
            browsers,
            authority,
            means,
            clock,
            report,
            asyncio.Semaphore(options.tabs),
        )
    finally:
        await browsers.close()


def _enrichment(
    queued: QueuedUrl,
    at: datetime,
    gathering: Gathering,
    rendered: Rendered | RenderFailed,
    why: str,
) -> Enrichment:
    """What a page that was rendered holds; of one that went elsewhere only where it leads."""
    if isinstance(rendered, RenderFailed):
        return Enrichment(remarks=(why,), again=f"render: {rendered}")
    links = (*rendered.links, *gathering.navigations)
    remarks = (why, *(f"while rendering: {note}" for note in rendered.notes))
    if rendered.left:
        return Enrichment(links, remarks=remarks)
    rendition = Rendition(
        queued.url,
        at,
        rendered.title,
        rendered.text,
        rendered.screenshot,
        rendered.media_type,
        rendered.thumbnail,
    )
    return Enrichment(links, rendition.records, remarks)


def _failure_of(gathering: Gathering, rendered: Rendered | RenderFailed) -> FetchFailed | None:
    """Why a page could not be fetched through the browser, or was refused there too."""
    exchange = gathering.exchange
    if exchange is not None and (refusal := why_refused(exchange)):
        return FetchFailed("refused", refusal)
    if exchange is None and gathering.page_failure is not None:
        return gathering.page_failure
    if isinstance(rendered, RenderFailed) and (exchange is None or is_html_page(exchange)):
        return FetchFailed("render", str(rendered))
    return None


def _html(exchange: Exchange) -> str:
    encoding = header_value(exchange, "content-encoding")
    body = decode_content(exchange.entity(), encoding, LARGEST_PAGE_BYTES).data
    return text_of(body, named_charset(header_value(exchange, "content-type")))
