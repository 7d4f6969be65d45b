"""One page in one tab: opened, waited for, made to show what it holds back, and read.

Every await has a time-out. What a page does to get out of this (dialogs, windows, loads without
end) is answered while it happens, by the handlers of its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from playwright.async_api import (
    BrowserContext,
    CDPSession,
    Dialog,
    Download,
    Frame,
    Page,
    Request,
)
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from healtharchive.crawl.browser import picture, world
from healtharchive.crawl.browser.reading import (
    LONGEST_URL,
    MOST_LINKS,
    Reading,
)
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed
from healtharchive.crawl.browser.top import TopFrame

Answer = TypeVar("Answer")

GATHER, BEHAVE = world.script("gather.js"), world.script("behave.js")
MOST_NOTED_LINKS = 500
MOST_NOTES = 30
MOST_FRAMES = 50
WORK_SHARE = 0.7  # of the deadline; the rest is for reading the page
POLL_SECONDS = 0.03
STEP_SECONDS = 5.0
FRAME_SECONDS = 2.0
SCREEN_SECONDS = 2.0  # at most, for what one more screen asks for
LEAST_SECONDS = 2.0  # the page's time to answer, however late it is
ENDLESS_SECONDS = 3.0
# Requests that may stay open as long as the page does: nobody waits for their end.
ENDLESS = frozenset(("media", "eventsource", "websocket", "ping"))


class Tab:
    """One page being rendered, in a browser of which `alive` tells whether it is still there."""

    def __init__(
        self,
        context: BrowserContext,
        page: Page,
        url: str,
        options: PageOptions,
        alive: Callable[[], bool],
    ) -> None:
        self._crashed = False
        self._alive = alive
        self._context, self._page = context, page
        self._url, self._options = url, options
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._until = self._began + options.deadline_seconds
        self._work_until = self._began + options.deadline_seconds * WORK_SHARE
        self._in_flight: set[Request] = set()
        self._last_traffic = self._began
        self._parsed = False
        self._loaded = False
        self._restless = False  # its network is never quiet
        self._world: int | None = None  # of the steps
        self._devtools: CDPSession
        self._top: TopFrame
        self._notes: dict[str, None] = {}
        self._found: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def render(self) -> Rendered:
        """All of it. RenderFailed when nothing can be had; playwright's Error when the page, the
        browser or the driver went away."""
        self._watch()
        devtools = self._devtools = await self._within(STEP_SECONDS, self._attach())
        await self._open()
        await self._settle_after_load()
        await self._behave()
        read = await self._gather()
        screenshot, thumbnail = b"", b""
        if self._options.screenshots and not self._top.left:
            screenshot, thumbnail = await self._photograph(devtools)
        self._check()
        if self._top.held:
            self._note(f"stopped loading itself after {self._top.documents} documents")
        if self._top.left:  # no word or picture of another document is this page's
            self._note("the page went to another document")
            read, screenshot, thumbnail = Reading(), b"", b""
        links = list(dict.fromkeys((*read.links, *self._found)))
        return Rendered(
            url=self._page.url,
            title=read.title,
            text=read.text,
            links=tuple(links)[:MOST_LINKS],
            screenshot=screenshot,
            thumbnail=thumbnail,
            media_type=picture.MEDIA_TYPE,
            elements=read.elements,
            notes=tuple(self._notes),
            elapsed_seconds=self._now() - self._began,
            left=self._top.left,
        )

    def _watch(self) -> None:
        page, context = self._page, self._context
        page.on("crash", self._on_crash)
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("framenavigated", self._on_navigated)
        page.on("domcontentloaded", self._on_parsed)
        page.on("load", self._on_load)
        context.on("page", self._on_window)
        context.on("request", self._on_request)
        context.on("requestfinished", self._on_request_end)
        context.on("requestfailed", self._on_request_end)

    async def _attach(self) -> CDPSession:
        devtools = await self._context.new_cdp_session(self._page)
        devtools.on("Page.windowOpen", self._on_window_open)
        await devtools.send("Page.enable")
        self._top = TopFrame(
            devtools,
            self._url,
            on_own=self._on_own_document,
            on_other=self._on_other_document,
            spawn=self._spawn,
        )
        await self._top.watch()
        return devtools

    def _on_crash(self, _: Page) -> None:
        self._crashed = True

    def _on_parsed(self, _: Page) -> None:
        self._parsed = True

    def _on_load(self, _: Page) -> None:
        self._loaded = True
        self._last_traffic = self._now()

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"a dialog was dismissed ({dialog.type})")
        self._spawn(dialog.dismiss())

    def _on_download(self, download: Download) -> None:
        self._note("a download was left to the recorder")
        self._find(download.url)

    def _on_navigated(self, frame: Frame) -> None:
        if frame == self._page.main_frame:
            self._find(frame.url)

    def _on_window_open(self, event: dict[str, Any]) -> None:
        self._note("a window was not opened")
        self._find(event.get("url"))

    def _on_window(self, window: Page) -> None:
        if window != self._page:
            self._find(window.url)
            self._spawn(window.close())

    def _on_request(self, request: Request) -> None:
        if request.resource_type not in ENDLESS and not self._is_stopped(request):
            self._in_flight.add(request)
            self._last_traffic = self._now()

    def _is_stopped(self, request: Request) -> bool:
        """Whether it is a document's that the top frame does not get: nobody tells of its end."""
        try:
            document = request.is_navigation_request() and request.frame == self._page.main_frame
        except PlaywrightError:  # a service worker's, or of a frame that is gone
            return False
        return document and not self._top.admits(request.method, request.url)

    def _on_request_end(self, request: Request) -> None:
        if request in self._in_flight:
            self._in_flight.discard(request)
            self._last_traffic = self._now()

    def _on_own_document(self) -> None:
        self._parsed = self._loaded = False

    def _on_other_document(self, url: str) -> None:
        # A document that wants to be gone while it is parsed may never be called loaded.
        self._parsed = True
        self._last_traffic = self._now()
        self._find(url)

    def _spawn(self, what: Awaitable[object]) -> None:
        async def run() -> None:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await what
            except (PlaywrightError, TimeoutError):
                return  # whoever waits for the page sees why

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, note: str) -> None:
        if len(self._notes) < MOST_NOTES:
            self._notes[note] = None

    def _find(self, url: object) -> None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return
        url = url.partition("#")[0]
        fits = len(url) <= LONGEST_URL and len(self._found) < MOST_NOTED_LINKS
        if fits and not self._top.is_own(url):
            self._found[url] = None

    async def _open(self) -> None:
        seconds = max(self._work_until - self._now(), POLL_SECONDS)
        going = self._page.goto(self._url, wait_until="commit", timeout=seconds * 1000)
        try:
            # Its own time-out is kept by the driver, which may have stopped.
            await self._within(seconds + LEAST_SECONDS, going)
        except PlaywrightTimeout:
            self._check()
            raise RenderFailed("navigation", "there was no answer in time") from None
        except PlaywrightError as error:
            self._check()
            if "interrupted by another navigation" in error.message:
                return
            if "net::" in error.message or "Download is starting" in error.message:
                raise RenderFailed("navigation", error.message.splitlines()[0]) from None
            raise

    async def _settle_after_load(self) -> None:
        if not await self._wait(self._is_loaded, self._work_until):
            self._note("stopped at the deadline while still loading")
        if not await self._wait(self._is_quiet, self._now() + self._options.settle_seconds):
            self._note("the network was not quiet")
            self._restless = True

    async def _settle(self) -> None:
        """Wait for quiet again; shorter where there was none before."""
        seconds = SCREEN_SECONDS if self._restless else self._options.settle_seconds
        await self._wait(self._is_quiet, self._now() + seconds)

    async def _behave(self) -> None:
        wanted = self._options.behaviours
        for name in ("lazy", "media", "details"):
            if name in wanted:
                await self._step(name)
        if "scroll" in wanted:
            await self._scroll()
        if "more" in wanted and await self._ask_for_more() and "scroll" in wanted:
            await self._scroll()
        for name in ("lazy", "media"):
            if name in wanted:
                await self._step(name)
        await self._settle()

    async def _scroll(self) -> None:
        resting = 0
        for _ in range(self._options.most_screens):
            resting = 0 if await self._step("scroll") else resting + 1
            if resting > 1 or self._now() >= self._work_until:
                break
            await asyncio.sleep(POLL_SECONDS)
            await self._wait(lambda: not self._in_flight, self._now() + SCREEN_SECONDS)
        await self._step("top")

    async def _ask_for_more(self) -> int:
        for clicks in range(self._options.most_clicks):
            if not await self._step("more"):
                return clicks
            await asyncio.sleep(POLL_SECONDS)
            await self._wait(lambda: not self._in_flight, self._now() + SCREEN_SECONDS)
        return self._options.most_clicks

    async def _step(self, name: str) -> bool:
        """Call one step of behave.js; whether it found something to do."""
        self._check()
        if self._now() >= self._work_until:
            return False
        try:
            async with asyncio.timeout(STEP_SECONDS):
                if self._world is None:
                    top = (await world.frames(self._devtools))[0]
                    self._world = await world.enter(self._devtools, top)
                return await world.call(self._devtools, self._world, BEHAVE, name) is True
        except TimeoutError:
            self._note("the page was too busy to be asked for more")
            self._work_until = self._now()
        except PlaywrightError:
            await self._still_there()
            self._world = None  # another document came
        return False

    async def _gather(self) -> Reading:
        """What all frames show, in one measure for all of them, as long as there is time."""
        reading, others = await self._read_main()
        for frame in others[:MOST_FRAMES]:
            seconds = min(FRAME_SECONDS, self._until - self._now())
            if seconds <= 0:
                self._note("there was no time to read every frame")
                break
            try:
                reading.add(await self._within(seconds, self._read(frame, reading)))
            except (PlaywrightError, TimeoutError):
                await self._still_there()
        return reading

    async def _read(self, frame: str, reading: Reading) -> object:
        entered = await world.enter(self._devtools, frame)
        return await world.call(self._devtools, entered, GATHER, reading.limits)

    async def _read_top(self) -> tuple[Reading, list[str]]:
        reading = Reading()
        top, *others = await world.frames(self._devtools)
        reading.begin(await self._read(top, reading))
        return reading, others

    async def _read_main(self) -> tuple[Reading, list[str]]:
        """What the top frame shows, and the ids of the others."""
        while True:
            seconds = max(self._until - self._now(), LEAST_SECONDS)
            try:
                return await self._within(seconds, self._read_top())
            except TimeoutError:
                self._check()
                raise RenderFailed("hung", "the page did not answer") from None
            except PlaywrightError as error:
                await self._still_there()
                if self._now() >= self._until:
                    raise RenderFailed("hung", f"the page can't be read: {error.message}") from None
                self._top.held = True  # it changes too fast to be read
                await asyncio.sleep(POLL_SECONDS)

    async def _photograph(self, devtools: CDPSession) -> tuple[bytes, bytes]:
        seconds = max(self._until - self._now(), LEAST_SECONDS)
        try:
            return await self._within(seconds, picture.take(devtools))
        except (PlaywrightError, TimeoutError):
            await self._still_there()
            self._note("there is no screenshot: the page did not stand still")
            return b"", b""

    async def _within(self, seconds: float, what: Awaitable[Answer]) -> Answer:
        async with asyncio.timeout(seconds):
            return await what

    async def _wait(self, question: Callable[[], bool], until: float) -> bool:
        """Whether the answer was yes before the time, or before the work's end."""
        while not question():
            self._check()
            if self._now() >= min(until, self._work_until):
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def _is_loaded(self) -> bool:
        """By its event; or nothing is under way but what may have no end, and that is waited for
        by the event too, such as the beginning of a film."""
        quiet_for = self._now() - self._last_traffic
        return self._loaded or (
            self._parsed and not self._in_flight and quiet_for >= ENDLESS_SECONDS
        )

    def _is_quiet(self) -> bool:
        quiet_for = self._now() - self._last_traffic
        return not self._in_flight and quiet_for >= self._options.quiet_seconds

    async def _still_there(self) -> None:
        """After an error: raises if the page is gone, which may be known a little later."""
        await asyncio.sleep(POLL_SECONDS)
        self._check()

    def _check(self) -> None:
        if self._crashed:
            raise RenderFailed("crashed", "the page's renderer is gone")
        # A driver that was killed tells nobody that the tabs are gone.
        if self._page.is_closed() or not self._alive():
            raise PlaywrightError("the tab is gone")
