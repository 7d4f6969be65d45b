"""The browser engine where there is no browser to be had: nobody's fault, and never passed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from healtharchive.crawl.browser.chromium import Launch
from healtharchive.crawl.browser.enricher import BrowserEngine, browser_engine
from healtharchive.crawl.browser.rendering import RenderFailed
from healtharchive.crawl.urls import origin_of
from healtharchive.model.blame import EngineMissing, classify
from healtharchive.model.clock import SystemClock
from healtharchive.model.orders import Report
from healtharchive.model.source import BrowserOptions
from tests.lab.gathering import Attempt, run
from tests.lab.raw_site import RawSite


@asynccontextmanager
async def without_browser(parts: Attempt, told: list[Report]) -> AsyncIterator[BrowserEngine]:
    """An engine whose Chromium never starts; one failure of a page gives its host up."""
    launch = Launch(parts.spills / "browsers", executable="/bin/false")
    async with browser_engine(
        BrowserOptions(failures=1),
        automatic=False,
        means=parts.means,
        launch=launch,
        clock=SystemClock(),
        report=told.append,
    ) as engine:
        yield engine


def test_a_browser_that_does_not_start_gives_no_host_up_and_then_ends_the_attempt(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        told: list[Report] = []
        exchange = await parts.means.transport.fetch(parts.page.url)
        async with without_browser(parts, told) as engine:
            first = await engine.enrich(parts.page, exchange)
            assert first.again.startswith("render: browser: Chromium did not start")
            assert not engine.choice.is_given_up(origin_of(parts.page.url))
            assert told == []
            with pytest.raises(EngineMissing) as missing:
                await engine.enrich(parts.page, exchange)
            fault = classify(missing.value)
            assert (fault.blame, fault.parks) == ("host", True)
            # A page's own failure is another matter.
            engine._note_failure(parts.page.url, RenderFailed("hung", "it did not answer"))
            assert engine.choice.is_given_up(origin_of(parts.page.url))
            assert len(told) == 1
        exchange.body.close()

    run(tmp_path, scenario)
