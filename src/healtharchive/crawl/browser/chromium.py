"""Chromium: one process with a profile of its own, and the pool that replaces it in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed
from healtharchive.crawl.browser.switches import switches
from healtharchive.model.blame import EngineMissing
from healtharchive.model.errors import INSTALL_PACKAGES

try:
    from playwright.async_api import Browser as Connection
    from playwright.async_api import BrowserContext, CDPSession, Playwright, async_playwright
    from playwright.async_api import Error as PlaywrightError

    from healtharchive.crawl.browser.tab import Tab
except ImportError as missing:
    raise EngineMissing(f"playwright is not installed. Run: {INSTALL_PACKAGES}") from missing

LAUNCHER = Path(__file__).with_name("launch.py")
START_SECONDS = 30.0
CONTEXT_SECONDS = 10.0  # to open a tab
CLOSE_SECONDS = 4.0  # to close one
ANSWER_SECONDS = 4.0
GRACE_SECONDS = 5.0  # after a page's own deadline
WATCH_SECONDS = 1.0
CROWDED = 2  # so many times its bound, a browser loses its largest page at once
MOST_LOST = 3  # browsers in a row with no page rendered by any


@dataclass(frozen=True, slots=True)
class Launch:
    """How Chromium is started.

    `parent` is a local directory for profile. `spki_hash` is that of the one authority trusted
    beside the usual ones. What no tab asked for goes to `stray_proxy`, where nobody listens.
    A browser is replaced after `recycle_pages`, and when it has more than `memory_bytes`.
    """

    parent: Path
    executable: str = "chromium"
    spki_hash: str = ""
    user_agent: str = ""
    languages: tuple[str, ...] = ("en-CA", "fr-CA")
    width: int = 1280
    height: int = 900
    memory_bytes: int = 2_000_000_000
    recycle_pages: int = 200
    stray_proxy: str = "http://127.0.0.1:9"


class Browser:
    """One Chromium with a profile of its own; several tabs at once. Made by `start`."""

    def __init__(self, launch: Launch, path: Path, playwright: Playwright) -> None:
        self.pages = 0  # ever opened
        self.active = 0  # open now
        self.urls: list[str] = []  # of the pages that somebody has in it, or is about to
        self.condemned = False  # it has failed, or is closed: nobody shall get it again
        self.memory_bytes = 0  # resident, of all its processes, as last measured
        self.profile = path
        self._launch, self._playwright = launch, playwright
        self._connection: Connection | None = None
        self._devtools: CDPSession | None = None
        self._processes: tuple[profile.Process, ...] = ()
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, launch: Launch) -> Browser:
        """A running browser. EngineMissing when the program is not there, RenderFailed("browser")
        when it does not start, OSError when its profile can't be made."""
        executable = shutil.which(launch.executable)
        if executable is None:
            raise EngineMissing(
                f"Chromium ({launch.executable}) is not installed. Run: apt-get install chromium"
            )
        path = profile.make(launch.parent)
        known = profile.drivers()
        browser: Browser | None = None
        try:
            async with asyncio.timeout(START_SECONDS):
                browser = cls(launch, path, await _driver())
                await browser._connect(executable)
            return browser
        except (PlaywrightError, TimeoutError, OSError) as error:
            reason = str(error).strip().splitlines() or ["it did not answer"]
            raise RenderFailed("browser", f"Chromium did not start: {reason[0]}") from error
        finally:
            if browser is None:
                profile.end(profile.drivers() - known)
                await asyncio.to_thread(profile.clear, path)
            elif browser._watching is None:
                await browser.close()

    async def _connect(self, executable: str) -> None:
        launch = self._launch
        # Python is what the driver starts: it becomes Chromium, see launch.py.
        command = [sys.executable, "-I", "-S", str(LAUNCHER), str(self.profile), executable]
        context = await self._playwright.chromium.launch_persistent_context(
            self.profile,
            executable_path=command[0],
            args=[*command[1:], *switches(launch, self.profile, sandbox=os.geteuid() != 0)],
            ignore_default_args=True,
            artifacts_dir=self.profile / "artifacts",
            env=dict(profile.environment(self.profile)),
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
            timeout=START_SECONDS * 1000,
        )
        self._connection = context.browser
        assert self._connection is not None
        self._devtools = await self._connection.new_browser_cdp_session()
        running = profile.driver_of(self.profile), profile.browser_of(self.profile)
        self._processes = tuple(each for each in running if each is not None)
        if len(self._processes) != 2:
            raise PlaywrightError("it is gone already")
        self._watching = asyncio.ensure_future(self._watch_memory())

    @property
    def _main(self) -> profile.Process:
        return self._processes[-1]

    @property
    def pid(self) -> int:
        """Chromium's main process."""
        return self._main.pid if self._processes else 0

    @property
    def alive(self) -> bool:
        """Whether Chromium and its driver run, and have not failed."""
        if self.condemned or self._connection is None or not self._connection.is_connected():
            return False
        running = [profile.process(each.pid) == each for each in self._processes]
        return len(running) == 2 and all(running)

    async def render(self, url: str, proxy: str, *, page: PageOptions) -> Rendered:
        """Render one page, all of whose traffic goes through the proxy, in a context of its own.

        RenderFailed when that does not work. After one of kind "browser" it has to be closed.
        """
        self.pages += 1
        self.active += 1
        try:
            async with self._tab(url, proxy, page) as tab:
                return await self._render(tab, page.deadline_seconds)
        finally:
            self.active -= 1

    @contextlib.asynccontextmanager
    async def _tab(self, url: str, proxy: str, page: PageOptions) -> AsyncIterator[Tab]:
        context: BrowserContext | None = None
        launch = self._launch
        try:
            if self._connection is None or not self.alive:
                raise self._lost("it is gone")
            try:
                async with asyncio.timeout(CONTEXT_SECONDS):
                    context = await self._connection.new_context(
                        proxy={"server": proxy, "bypass": "<-loopback>"},
                        user_agent=launch.user_agent or None,
                        extra_http_headers=_headers(launch.languages),
                        viewport={"width": launch.width, "height": launch.height},
                        service_workers="allow",
                        accept_downloads=False,
                    )
                    opened = await context.new_page()
            except (PlaywrightError, TimeoutError) as error:
                raise self._lost(f"it opens no tab: {error}") from error
            yield Tab(context, opened, url, page, lambda: self.alive)
        finally:
            if context is not None:
                await self._dispose(context)

    async def _render(self, tab: Tab, deadline_seconds: float) -> Rendered:
        try:
            async with asyncio.timeout(deadline_seconds + GRACE_SECONDS):
                return await tab.render()
        except TimeoutError:
            failed = RenderFailed("hung", "the page did not end after its deadline")
        except RenderFailed as error:
            failed = error
        except PlaywrightError as error:
            # The page's crash, and the browser's, may be told after the call that they broke.
            await asyncio.sleep(0.1)
            failed = RenderFailed("crashed", error.message.partition("\n")[0])
        if failed.kind != "navigation" and not await self._answers():
            raise self._lost(failed.detail) from failed
        raise failed

    async def _answers(self) -> bool:
        """Whether the browser itself is well, whatever one of its pages does."""
        if not self.alive or self._devtools is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._devtools.send("Browser.getVersion")
        except (PlaywrightError, TimeoutError):
            return False
        return True

    async def _dispose(self, context: BrowserContext) -> None:
        if self.condemned:
            return  # the whole browser goes
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await context.close()
        except (PlaywrightError, TimeoutError):
            self.condemned = True

    def _lost(self, detail: str) -> RenderFailed:
        self.condemned = True
        return RenderFailed("browser", f"the browser was lost: {detail}")

    async def _watch_memory(self) -> None:
        """Measure the memory; end the largest page when all together have far too much."""
        while True:
            # In a thread: of a process that is stuck in the kernel not even the size can be read.
            self.memory_bytes = await asyncio.to_thread(self._measure)
            await asyncio.sleep(WATCH_SECONDS)

    def _measure(self) -> int:
        sizes = {each: profile.memory_bytes(each.pid) for each in profile.lineage(self._main)}
        total = sum(sizes.values())
        if total > CROWDED * self._launch.memory_bytes:
            pages = [each for each in sizes if profile.is_renderer(each)]
            profile.end([max(pages, key=sizes.__getitem__)] if pages else [])
        return total

    async def close(self) -> None:
        """End Chromium and its driver and wipe the profile, within some seconds; never raises."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(well=self.alive))
        self.condemned = True
        await asyncio.shield(self._closing)

    async def _close(self, *, well: bool) -> None:
        if self._watching is not None:
            self._watching.cancel()
        # There is nothing to save in a browser, so it is not asked: it might be stopped.
        await asyncio.to_thread(self._kill)
        if well:
            await self._stop_driver()
        await asyncio.to_thread(profile.clear, self.profile)
        await self._stop_driver()  # returns once this process, too, knows that it is gone

    def _kill(self) -> None:
        profile.end(profile.family(self.profile))

    async def _stop_driver(self) -> None:
        with contextlib.suppress(PlaywrightError, TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._playwright.stop()


async def _driver() -> Playwright:
    """A running driver. RenderFailed("browser") when it ends while it starts."""
    try:
        return await async_playwright().start()
    except (PlaywrightError, TimeoutError, OSError):
        raise
    except Exception as error:  # no class of its own for that: see its transport.py
        raise RenderFailed("browser", f"playwright's driver did not start: {error}") from error


def _headers(languages: tuple[str, ...]) -> dict[str, str]:
    """The wish for all languages; a context's own locale is only one, and would replace it."""
    weighed = [f"{each};q={max(10 - rank, 1) / 10}" for rank, each in enumerate(languages)]
    wish = ",".join(weighed).replace(";q=1.0", "")
    return {"Accept-Language": wish} if wish else {}


class Browsers:
    """A browser for everybody who wants to render: started when first needed, replaced when it
    has had its pages, has grown too large, or is dead. Close it in the end."""

    def __init__(self, launch: Launch) -> None:
        self.started = 0
        self._launch = launch
        self._current: Browser | None = None
        self._retired: set[Browser] = set()
        self._closed = False
        self._starting = asyncio.Lock()
        self._again = asyncio.Lock()
        self._lost: dict[object, frozenset[str]] = {}  # in a row, and the pages in each

    @property
    def memory_bytes(self) -> int:
        """Resident memory of all browsers, as last measured."""
        return sum(each.memory_bytes for each in self._all())

    async def render(self, url: str, proxy: str, *, page: PageOptions) -> Rendered:
        """As `Browser.render`. A page that lost its browser, perhaps by another page's doing, is
        rendered once more in the next one, with a deadline of its own.

        EngineMissing when three browsers in a row did not start or were lost, and it was no one
        page that was in all of them.
        """
        try:
            return await self._render(url, proxy, page)
        except RenderFailed as failed:
            if failed.kind != "browser":
                raise
        async with self._again:  # one by one: a page that kills its browser takes no other along
            return await self._render(url, proxy, page)

    async def close(self) -> None:
        """End all browsers; who still renders gets RenderFailed("browser")."""
        self._closed = True
        async with self._starting:
            closing = [each.close() for each in self._all()]
            self._current = None
            self._retired.clear()
            await asyncio.gather(*closing)

    async def _render(self, url: str, proxy: str, page: PageOptions) -> Rendered:
        browser = await self._take()
        browser.urls.append(url)
        try:
            rendered = await browser.render(url, proxy, page=page)
            self._lost.clear()
            return rendered
        except RenderFailed as failed:
            if failed.kind == "browser":
                self._note_lost(browser, failed)
            raise
        finally:
            browser.active -= 1
            browser.urls.remove(url)
            await self._leave(browser)

    def _note_lost(self, browser: Browser | None, failed: RenderFailed) -> None:
        if self._closed or browser in self._lost:
            return
        self._lost[browser or object()] = frozenset(browser.urls if browser else ())
        last = list(self._lost.values())[-MOST_LOST:]
        if len(last) == MOST_LOST and not frozenset.intersection(*last):
            raise EngineMissing(
                f"Chromium did not start or was lost {MOST_LOST} times in a row, whatever page it"
                f" had; the last time: {failed.detail}. See how much memory this machine has left,"
                f" and run: {self._launch.executable} --headless --dump-dom about:blank"
            ) from failed

    async def _take(self) -> Browser:
        """A living browser with a place taken in it, so that it is not closed before its use."""
        async with self._starting:
            if self._closed:
                raise RenderFailed("browser", "the browsers are closed")
            browser = self._current
            if browser is not None and not self._usable(browser):
                self._current = None
                self._retired.add(browser)
                await self._leave(browser)
                browser = None
            if browser is None:
                # Two at once are enough for the memory: the old one's last pages end first.
                while self._retired:
                    await asyncio.sleep(0.05)
                browser = self._current = await self._start()
                self.started += 1
            browser.active += 1
            return browser

    async def _start(self) -> Browser:
        try:
            return await Browser.start(self._launch)
        except RenderFailed as failed:
            self._note_lost(None, failed)
            raise

    async def _leave(self, browser: Browser) -> None:
        """Close a browser that nobody shall get again, once its last page has left it. A dead one
        is closed at once: its other pages see that sooner."""
        if browser.condemned or (browser in self._retired and not browser.active):
            await browser.close()
            self._retired.discard(browser)
            if self._current is browser:
                self._current = None

    def _usable(self, browser: Browser) -> bool:
        if not browser.alive:
            browser.condemned = True
            return False
        small = browser.memory_bytes <= self._launch.memory_bytes
        return small and browser.pages < self._launch.recycle_pages

    def _all(self) -> list[Browser]:
        return [*self._retired, *([self._current] if self._current is not None else [])]
