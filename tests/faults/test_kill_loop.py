"""`make kill-loop` over a part of the corpus, and over a few pages that need a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.chromium import Browser, Launch
from healtharchive.crawl.browser.rendering import RenderFailed
from tests.faults import browser_kills, kill_loop


def test_row_37_killing_crawl_child_and_worker_leaves_no_trace_in_the_archive() -> None:
    assert kill_loop.run(20, seed=1, pages=40) == []


def test_killing_any_part_of_a_browser_crawl_leaves_no_trace_in_the_archive() -> None:
    assert browser_kills.run(6, seed=1) == []


def test_a_driver_that_is_killed_while_it_starts_is_a_lost_browser(tmp_path: Path) -> None:
    """Found by the loop: it was taken for a bug of ours, and the job spent a retry on it."""

    async def lose_the_driver() -> None:
        starting = asyncio.ensure_future(Browser.start(Launch(tmp_path)))
        async with asyncio.timeout(20):
            while not (found := profile.drivers()):
                await asyncio.sleep(0.002)
        profile.end(found)
        await starting

    with pytest.raises(RenderFailed) as failed:
        asyncio.run(lose_the_driver())
    assert failed.value.kind == "browser"
    assert not profile.drivers()
    assert not list(tmp_path.iterdir())
