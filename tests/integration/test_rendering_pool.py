"""Browsers that do not start, are lost, or have had their pages: replaced, or missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.chromium import Browser, Browsers, Launch
from healtharchive.crawl.browser.rendering import PageOptions, RenderFailed
from healtharchive.model.blame import EngineMissing
from tests.lab.rendered_site import RenderedSite, rendered_site

PAGE = PageOptions(deadline_seconds=20, settle_seconds=3, screenshots=False)
SHORT = PageOptions(deadline_seconds=3, settle_seconds=1, screenshots=False)


@pytest.fixture
def site() -> Iterator[RenderedSite]:
    with rendered_site() as running:
        yield running


def test_a_missing_browser_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="apt-get install chromium"):
        asyncio.run(Browser.start(Launch(tmp_path, executable="no-such-chromium")))


def test_a_browser_that_does_not_start_leaves_nothing(tmp_path: Path) -> None:
    known = profile.drivers()
    with pytest.raises(RenderFailed, match="did not start") as failed:
        asyncio.run(Browser.start(Launch(tmp_path, executable="/bin/false")))
    assert failed.value.kind == "browser"
    assert not list(tmp_path.iterdir())
    assert profile.drivers() <= known


def test_a_browser_that_never_starts_is_missing_and_no_pages_fault(tmp_path: Path) -> None:
    async def run() -> None:
        browsers = Browsers(Launch(tmp_path, executable="/bin/false"))
        with pytest.raises(RenderFailed) as failed:
            await browsers.render("http://site.test/", "http://127.0.0.1:9", page=SHORT)
        assert failed.value.kind == "browser"
        with pytest.raises(EngineMissing, match=r"3 times in a row.*--dump-dom"):
            await browsers.render("http://site.test/", "http://127.0.0.1:9", page=SHORT)

    asyncio.run(run())


def test_one_page_that_kills_its_browser_again_and_again_does_not_end_the_crawl(
    site: RenderedSite, tmp_path: Path
) -> None:
    """But browsers that are lost whatever they render do."""

    async def lose(browsers: Browsers, path: str, times: int) -> None:
        site.asked.clear()
        page = asyncio.ensure_future(browsers.render(site.url(path), site.proxy, page=PAGE))
        for number in range(times):
            async with asyncio.timeout(40):
                while site.paths().count(path) <= number:
                    await asyncio.sleep(0.02)
            current = browsers._current
            assert current is not None
            profile.end(profile.lineage(current._main))
            async with asyncio.timeout(40):
                while current in browsers._all():
                    await asyncio.sleep(0.02)
        await page

    async def run() -> None:
        browsers = Browsers(Launch(tmp_path))
        try:
            for _ in range(2):
                with pytest.raises(RenderFailed, match="lost"):
                    await lose(browsers, "/poll", 2)
            with pytest.raises(EngineMissing):
                await lose(browsers, "/poll?other", 1)
        finally:
            await browsers.close()

    asyncio.run(run())


def test_browsers_are_replaced_after_their_pages_and_nobody_waits_in_vain(
    site: RenderedSite, tmp_path: Path
) -> None:
    async def run() -> None:
        browsers = Browsers(Launch(tmp_path, recycle_pages=2))
        url = site.url("/plain")
        try:
            pages = (browsers.render(url, site.proxy, page=PAGE) for _ in range(5))
            assert {page.title for page in await asyncio.gather(*pages)} == {"Plain"}
            assert browsers.started == 3
            assert len(list(tmp_path.iterdir())) == 1
        finally:
            await browsers.close()
        assert not list(tmp_path.iterdir())

    asyncio.run(run())


def test_browsers_are_replaced_when_they_have_grown(site: RenderedSite, tmp_path: Path) -> None:
    async def run() -> None:
        # Above what it ever has, twice that below: replaced, never relieved of a page.
        browsers = Browsers(Launch(tmp_path, memory_bytes=150_000_000))
        try:
            for _ in range(2):
                await browsers.render(site.url("/plain"), site.proxy, page=PAGE)
                await asyncio.sleep(1.2)  # it is measured each second
            assert browsers.started == 2
        finally:
            await browsers.close()

    asyncio.run(run())
