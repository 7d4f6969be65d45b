"""The browser engine: looks at pages in Chromium, all of whose traffic is recorded by us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from healtharchive.crawl.batch import QueuedUrl
from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.choice import Choice, Wish
from healtharchive.crawl.browser.chromium import Browsers, Launch
from healtharchive.crawl.browser.gathering import CLOSE_SECONDS, Gathering, Means
from healtharchive.crawl.browser.proxy import RecordingProxy
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed, measure_of
from healtharchive.crawl.browser.renditions import Rendition
from healtharchive.crawl.charsets import named_charset, text_of
from healtharchive.crawl.enrichment import Enrichment
from healtharchive.crawl.recorder import header_value
from healtharchive.crawl.transport import Exchange
from healtharchive.crawl.urls import origin_of
from healtharchive.model.clock import Clock
from healtharchive.model.orders import Report
from healtharchive.model.source import BrowserOptions
from healtharchive.warc.decoding import decode_content

LARGEST_PAGE_BYTES = 20_000_000


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
        try:
            rendered = await self._render(queued.url, gathering)
        except RenderFailed as failure:
            self._note_failure(queued.url, failure)
            return Enrichment(remarks=(wish.why,), again=f"render: {failure}")
        links = (*rendered.links, *gathering.navigations)
        notes = tuple(f"while rendering: {note}" for note in rendered.notes)
        if rendered.left:
            return Enrichment(links, remarks=(wish.why, *notes))
        self.choice.learn(queued.url, wish, measure_of(rendered))
        rendition = Rendition(
            queued.url,
            at,
            rendered.title,
            rendered.text,
            rendered.screenshot,
            rendered.media_type,
            rendered.thumbnail,
        )
        return Enrichment(links, rendition.records, (wish.why, *notes))

    async def _render(self, url: str, gathering: Gathering) -> Rendered:
        proxy = RecordingProxy(self.authority, gathering)
        options = PageOptions(
            deadline_seconds=self.options.page_seconds, screenshots=self.options.screenshots
        )
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
        if failure.kind == "browser" or not self.choice.failed(url):
            return
        origin = origin_of(url)
        what = f"{origin} is crawled without a browser from now on"
        why = f"{self.options.failures} pages in a row could not be rendered; the last: {failure}"
        self.report(Report("note", what=what, reason=why, evidence={"origin": origin, "url": url}))


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


def _html(exchange: Exchange) -> str:
    encoding = header_value(exchange, "content-encoding")
    body = decode_content(exchange.entity(), encoding, LARGEST_PAGE_BYTES).data
    return text_of(body, named_charset(header_value(exchange, "content-type")))
