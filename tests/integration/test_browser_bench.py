"""The pieces of `make bench-browser`, on three pages: what they count is what was there."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.bench import browser_figures, browsing
from tests.bench.browsing import Browsed
from tests.bench.memory import Sample, levels, look, sampling, slope
from tests.lab.front_site import FrontSite, front_site
from tests.lab.processes import spawn, stop, wait_for

PATHS = ("/", "/about", "/topics/asthma")
MEGABYTE = 1_000_000
SIZE_BYTES = 60 * MEGABYTE


@pytest.fixture(scope="module")
def site() -> Iterator[FrontSite]:
    with front_site(hosts=browsing.HOSTS) as running:
        yield running


@pytest.fixture(scope="module")
def run(site: FrontSite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Browsed, list[Sample]]:
    directory = tmp_path_factory.mktemp("bench")
    return browsing.ours_watched(site, browsing.source_of_pages(site, PATHS, directory), directory)


def test_our_engine_renders_exactly_the_pages_that_are_measured(
    site: FrontSite, run: tuple[Browsed, list[Sample]]
) -> None:
    found, _ = run
    assert (found.pages, found.rendered) == (3, 3)
    wanted = {asset for path in PATHS for asset in site.truth.page(site.url + path).assets}
    assert found.assets >= len(wanted)
    asked = {each.url for each in site.asked}
    others = {page.url for page in site.truth.pages} - {site.url + path for path in PATHS}
    assert asked & others == set()


def test_the_samples_tell_crawler_from_browser_and_count_the_pages(
    run: tuple[Browsed, list[Sample]],
) -> None:
    _, samples = run
    assert samples
    assert all(each.crawler_bytes > 10 * MEGABYTE for each in samples)
    assert max(each.browser_bytes for each in samples) > 50 * MEGABYTE
    assert all(each.crawler_resident_bytes > each.crawler_bytes for each in samples)
    pages = [each.pages for each in samples]
    assert pages == sorted(pages)
    assert pages[-1] <= 3


def test_a_look_counts_a_process_and_what_is_below_it() -> None:
    script = f"{sys.executable} -c 'import time; x = bytearray({SIZE_BYTES}); time.sleep(60)'; :"
    process = spawn(["sh", "-c", script])
    try:
        with sampling(process.pid, lambda: 7, every_seconds=0.02) as samples:
            wait_for(
                lambda: samples and samples[-1].browser_bytes >= SIZE_BYTES,
                what="the process below is seen in its size",
            )
        assert samples[-1].pages == 7
        assert samples[-1].crawler_bytes < 10 * MEGABYTE
    finally:
        stop(process)
    assert look(process.pid, 8) == Sample(8, 0, 0, 0, 0)


def test_an_error_of_whoever_counts_the_pages_is_raised() -> None:
    def count() -> int:
        raise LookupError("no frontier")

    process = spawn(["sleep", "60"])
    try:
        with pytest.raises(LookupError), sampling(process.pid, count):
            pass
    finally:
        stop(process)


def test_levels_and_slope_tell_growth_from_the_teeth_of_a_saw() -> None:
    def sample(pages: int, growth_bytes: int) -> Sample:
        tooth = pages % 100 * MEGABYTE
        crawler = 80 * MEGABYTE + growth_bytes * pages
        return Sample(pages, crawler, 300 * MEGABYTE + tooth, crawler, 400 * MEGABYTE)

    flat = [sample(pages, 0) for pages in range(1, 1001)]
    growing = [sample(pages, 20_000) for pages in range(1, 1001)]
    marks = range(200, 1001, 200)
    assert {each.crawler_bytes for each in levels(flat, marks, 100)} == {80 * MEGABYTE}
    assert len({each.browser_bytes for each in levels(flat, marks, 100)}) == 1
    assert slope(flat, lambda each: each.crawler_bytes, 200) == pytest.approx(0, abs=1)
    assert slope(growing, lambda each: each.crawler_bytes, 200) == pytest.approx(20_000)
    table = browser_figures.memory_rows(growing, 1000, 200)
    assert "| 1,000 | 99 MB | 350 MB |" in table
    assert "the crawler +20.0 MB (RSS +20.0 MB), the browser" in table
