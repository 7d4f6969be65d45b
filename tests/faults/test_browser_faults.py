"""Whatever of the browser is killed or stopped: no page is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.chromium import Browser, Browsers, Launch
from healtharchive.crawl.browser.rendering import PageOptions, Rendered, RenderFailed
from tests.lab.processes import child_running, is_alive, kill, kill_tree, spawn, wait_for
from tests.lab.rendered_site import RenderedSite, rendered_site

PAGE = PageOptions(deadline_seconds=5, settle_seconds=1, screenshots=False)
LONG = PageOptions(deadline_seconds=40, settle_seconds=1, screenshots=False)
OWNER = """
import asyncio, sys
from pathlib import Path
from healtharchive.crawl.browser.chromium import Browsers, Launch
from healtharchive.crawl.browser.rendering import PageOptions

async def main():
    browsers = Browsers(Launch(Path(sys.argv[1])))
    await browsers.render(sys.argv[3], sys.argv[2], page=PageOptions(deadline_seconds=100))

asyncio.run(main())
"""


@pytest.fixture
def site() -> Iterator[RenderedSite]:
    with rendered_site() as running:
        yield running


async def with_browsers(
    site: RenderedSite, parent: Path, what: Callable[[Browsers], Awaitable[None]]
) -> None:
    """Run a fault with a warm browser; afterwards one more page works and nothing remains."""
    browsers = Browsers(Launch(parent))
    members: set[profile.Process] = set()
    try:
        await plain(browsers, site)
        members |= everybody(parent)
        await what(browsers)
        assert (await plain(browsers, site)).title == "Plain"
        members |= everybody(parent)
    finally:
        await browsers.close()
    assert len(members) > 5
    assert not list(parent.iterdir())
    nobody_lives(members)


async def plain(browsers: Browsers, site: RenderedSite) -> Rendered:
    return await browsers.render(site.url("/plain"), site.proxy, page=PAGE)


def everybody(parent: Path) -> set[profile.Process]:
    """All processes of all browsers with a profile in this directory, their drivers too."""
    found: set[profile.Process] = set()
    for path in parent.iterdir():
        driver = profile.driver_of(path)
        found |= {*profile.family(path), *([driver] if driver else [])}
    return found


def nobody_lives(members: set[profile.Process]) -> None:
    wait_for(
        lambda: not [each for each in members if profile.process(each.pid) == each],
        what="every process of the browser is gone",
        seconds=10,
    )


async def until_asked(site: RenderedSite, path: str, times: int = 1) -> None:
    """Wait until the site was asked for a page: then it is being rendered."""
    async with asyncio.timeout(20):
        while site.paths().count(path) < times:
            await asyncio.sleep(0.02)


def only_profile(parent: Path) -> Path:
    [path] = parent.iterdir()
    return path


def test_a_killed_renderer_costs_its_page_and_no_other(site: RenderedSite, tmp_path: Path) -> None:
    async def fault(browsers: Browsers) -> None:
        before = set(filter(profile.is_renderer, profile.family(only_profile(tmp_path))))
        victim = asyncio.ensure_future(browsers.render(site.url("/waits"), site.proxy, page=LONG))
        await until_asked(site, "/held.gif")
        theirs = set(filter(profile.is_renderer, profile.family(only_profile(tmp_path)))) - before
        other = asyncio.ensure_future(
            browsers.render(site.url("/waits?other"), site.proxy, page=LONG)
        )
        await until_asked(site, "/held.gif", 2)
        for each in theirs:
            kill(each.pid)
        with pytest.raises(RenderFailed) as failed:
            await victim
        assert failed.value.kind == "crashed"
        site.released.set()
        assert (await other).text == "waits"
        assert browsers.started == 1

    asyncio.run(with_browsers(site, tmp_path, fault))


def of_browser(path: Path) -> int:
    found = profile.browser_of(path)
    assert found is not None
    return found.pid


def of_driver(path: Path) -> int:
    found = profile.driver_of(path)
    assert found is not None
    return found.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("whom", [of_browser, of_driver])
def test_a_lost_browser_costs_nobody_its_page(
    site: RenderedSite, tmp_path: Path, whom: Callable[[Path], int], number: signal.Signals
) -> None:
    async def fault(browsers: Browsers) -> None:
        pages = [
            asyncio.ensure_future(browsers.render(site.url(path), site.proxy, page=PAGE))
            for path in ("/waits", "/waits?other")
        ]
        await until_asked(site, "/held.gif", 2)
        kill(whom(only_profile(tmp_path)), number)
        site.released.set()
        assert [page.text for page in await asyncio.gather(*pages)] == ["waits", "waits"]
        assert browsers.started == 2

    asyncio.run(with_browsers(site, tmp_path, fault))


def test_a_browser_that_dies_in_every_try_is_told(site: RenderedSite, tmp_path: Path) -> None:
    async def fault(browsers: Browsers) -> None:
        page = asyncio.ensure_future(browsers.render(site.url("/waits"), site.proxy, page=LONG))
        for times in (1, 2):
            await until_asked(site, "/held.gif", times)
            kill(of_browser(only_profile(tmp_path)))
        with pytest.raises(RenderFailed) as failed:
            await page
        assert failed.value.kind == "browser"

    asyncio.run(with_browsers(site, tmp_path, fault))


def test_a_cancelled_page_closes_its_tab(site: RenderedSite, tmp_path: Path) -> None:
    async def fault(browsers: Browsers) -> None:
        page = asyncio.ensure_future(browsers.render(site.url("/waits"), site.proxy, page=LONG))
        await until_asked(site, "/held.gif")
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page
        assert browsers.started == 1

    asyncio.run(with_browsers(site, tmp_path, fault))


def test_closing_ends_a_stopped_browser_with_a_page_in_it(
    site: RenderedSite, tmp_path: Path
) -> None:
    async def run() -> set[profile.Process]:
        browser = await Browser.start(Launch(tmp_path))
        page = asyncio.ensure_future(browser.render(site.url("/waits"), site.proxy, page=LONG))
        await until_asked(site, "/held.gif")
        members = everybody(tmp_path)
        for each in members:
            kill(each.pid, signal.SIGSTOP)
        await browser.close()
        with pytest.raises(RenderFailed) as failed:
            await page
        assert failed.value.kind == "browser"
        return members

    members = asyncio.run(run())
    nobody_lives(members)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["owner", "browser stopped", "all stopped"])
def test_nothing_survives_a_killed_owner_for_long(
    site: RenderedSite, tmp_path: Path, how: str
) -> None:
    parent = tmp_path / "profiles"
    command = [sys.executable, "-c", OWNER, str(parent), site.proxy, site.url("/waits")]
    owner = spawn(command, log=tmp_path / "log")
    members: set[profile.Process] = set()
    try:
        asyncio.run(until_asked(site, "/held.gif"))
        members = everybody(parent)
        assert len(members) > 5
        if how == "browser stopped":  # then only the kernel can end it
            kill(of_browser(only_profile(parent)), signal.SIGSTOP)
            kill(of_driver(only_profile(parent)))
        if how == "all stopped":  # then neither driver nor browser can see that they are alone
            for each in members:
                kill(each.pid, signal.SIGSTOP)
        kill(owner.pid)
        owner.wait(10)
        if how != "all stopped":
            nobody_lives(members)
        assert len(list(parent.iterdir())) == 1
        assert profile.remove_left_profiles(parent) == 1
        nobody_lives(members)
        assert not list(parent.iterdir())
    finally:
        profile.end(members)
        kill_tree(owner)


def test_a_stranger_with_the_same_number_is_spared(tmp_path: Path) -> None:
    stranger = spawn([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        left = tmp_path / "chromium-1-1-abcdefgh"
        left.mkdir()
        found = profile.process(stranger.pid)
        assert found is not None
        numbers = f"{found.pid} {found.started} {found.pid} {found.started}"
        (left / profile.PROCESSES).write_text(numbers)
        assert profile.remove_left_profiles(tmp_path) == 1
        assert is_alive(stranger.pid)
        assert child_running(os.getpid(), "-c") == stranger.pid
    finally:
        kill_tree(stranger)
