"""Two sections about the browser engine: its speed beside others, its memory over many pages."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.bench import browsing
from tests.bench.browsing import Browsed
from tests.bench.memory import Sample, levels, slope
from tests.bench.page import spread
from tests.lab.front.content import ROUTES
from tests.lab.front.truth import FrontTruth
from tests.lab.front_site import FrontSite, front_site
from tests.lab.processes import ROOT

KEPT = ROOT / "build" / "bench-browser.jsonl"  # half an hour of work: an interrupted bench goes on
PAGES = 24  # each built by scripts
MEMORY_PAGES = 1000
MEMORY_STEP = 200
RECYCLED = 100  # pages after which a browser is replaced: the default of a source
OURS = "HealthArchive"
BROZZLER = "brozzler + warcprox"
BARE = "brozzler + warcprox, no behaviours"
MIXED, ALWAYS = "auto", "browser"
NOTES = f"""
The pages are those of a React app on loopback, each once, without a politeness delay. {OURS} has
two tabs in one browser, brozzler two browsers, which are kept from page to page (kinder to it than
`brozzle-page`, which starts one for each). All run the same Chromium with their own defaults.
{OURS} loads, scrolls, unfolds, asks for more, and takes text and two pictures. brozzler runs its
behaviours, whose end it looks for every 7 s, and takes two pictures; without behaviours it only
loads the page. *Requisites*: what the pages ask for when they are scrolled to their end, as far as
it is in the WARC files. Time is from the start of the process to its end (brozzler: without
warcprox's own start and end); {OURS} fsyncs meanwhile.
"""
MEMORY_NOTES = f"""
Of the crawl child, and of Chromium and playwright's driver together, each process by its share of
memory (PSS), looked at every second: the median over the {RECYCLED} pages before, which is one
browser's life, and the highest moment in them. The sums of the resident sizes (RSS) count shared
memory several times, but do not depend on who else runs the same programs.
"""
Run = Callable[[FrontSite, Path], Browsed]


def routes(pages: int) -> int:
    """How many topics the site needs to have so many pages that scripts build."""
    return max(1, pages - len(ROUTES))


def speed_table(runs: int, pages: int = PAGES) -> str:
    """Two tables: beside brozzler, and the engine `auto` beside `browser`. All take turns.

    SystemExit when brozzler is not installed. What an interrupted call has measured is kept.
    """
    browsing.need_peers()
    with front_site(topics=routes(pages), hosts=browsing.HOSTS) as site:
        paths = site.content.routes[:pages]

        def rendered(site: FrontSite, directory: Path) -> Browsed:
            source = browsing.source_of_pages(site, paths, directory)
            return browsing.ours(site, source, directory)

        def whole(engine: str) -> Run:
            return lambda site, directory: browsing.ours(
                site, browsing.source_of_site(site, engine, directory), directory
            )

        def peer(*, behaviours: bool) -> Run:
            return lambda site, directory: browsing.brozzler(
                site, paths, directory, behaviours=behaviours
            )

        ways = {
            OURS: rendered,
            BROZZLER: peer(behaviours=True),
            BARE: peer(behaviours=False),
            MIXED: whole(MIXED),
            ALWAYS: whole(ALWAYS),
        }
        measured = _measure(site, ways, runs, pages)
        truth = site.truth
    KEPT.unlink(missing_ok=True)
    return f"{_beside_brozzler(measured, truth)}\n{_mixed(measured, truth)}{NOTES}"


def _measure(
    site: FrontSite, ways: dict[str, Run], runs: int, pages: int
) -> dict[str, list[Browsed]]:
    measured: dict[str, list[Browsed]] = {way: [] for way in ways}
    kept = _kept()
    for number in range(1, runs + 1):
        for way, run in ways.items():
            key = f"{way}, {pages} pages, run {number}"
            found = kept.get(key)
            if found is None:
                with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                    found = run(site, Path(directory))
                _keep(key, found)
            measured[way].append(found)
            print(f"{key}: {found}", flush=True)
    return measured


def _kept() -> dict[str, Browsed]:
    lines = KEPT.read_text("utf-8").splitlines() if KEPT.exists() else []
    return {key: Browsed(**found) for key, found in map(json.loads, lines)}


def _keep(key: str, found: Browsed) -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps([key, asdict(found)]) + "\n")


def _beside_brozzler(measured: dict[str, list[Browsed]], truth: FrontTruth) -> str:
    ways = (OURS, BROZZLER, BARE)
    head = (
        f"{browsing.versions()}.\n\n"
        f"| crawler | pages | pages a minute | requisites held, of {len(truth.assets)} |\n"
        "| --- | ---: | ---: | ---: |\n"
    )
    rows = "".join(
        f"| {way} | {spread([each.pages for each in measured[way]], 0)} "
        f"| {spread([each.pages_per_minute for each in measured[way]], 1)} "
        f"| {spread([each.assets for each in measured[way]], 0)} |\n"
        for way in ways
    )
    mine = _pace(measured[OURS])
    ratios = "".join(
        f"- {way}: {_pace(measured[way]) / mine:.2f} times our pages a minute.\n"
        for way in ways[1:]
    )
    return f"{head}{rows}\n{ratios}"


def _mixed(measured: dict[str, list[Browsed]], truth: FrontTruth) -> str:
    shells, plain = len(truth.shells), len(truth.plain)
    head = (
        f"The whole site: {shells} pages that scripts build, {plain} that are whole as served.\n\n"
        "| engine | pages | rendered | pages a second |\n| --- | ---: | ---: | ---: |\n"
    )
    rows = "".join(
        f'| `engine = "{way}"` | {spread([each.pages for each in measured[way]], 0)} '
        f"| {spread([each.rendered for each in measured[way]], 0)} "
        f"| {spread([each.pages_per_minute / 60 for each in measured[way]], 2)} |\n"
        for way in (MIXED, ALWAYS)
    )
    ratio = _pace(measured[MIXED]) / _pace(measured[ALWAYS])
    return f"{head}{rows}\n- `{MIXED}`: {ratio:.2f} times the pages a second of `{ALWAYS}`.\n"


def _pace(measured: list[Browsed]) -> float:
    return statistics.median(each.pages_per_minute for each in measured)


def memory_table(pages: int = MEMORY_PAGES, step: int = MEMORY_STEP) -> str:
    """The memory of browser and crawler on the way through so many pages, and how it grows."""
    with (
        front_site(topics=routes(pages), hosts=browsing.HOSTS) as site,
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
    ):
        source = browsing.source_of_pages(site, site.content.routes[:pages], Path(directory))
        found, samples = browsing.ours_watched(site, source, Path(directory))
    minutes = found.seconds / 60
    print(f"{found.rendered} of {pages} pages rendered in {minutes:.1f} minutes", flush=True)
    return memory_rows(samples, pages, step) + MEMORY_NOTES


def memory_rows(samples: list[Sample], pages: int, step: int) -> str:
    """The table of what was seen."""
    head = (
        f"{browsing.versions()}.\n\n"
        "| after pages | crawler | browser | both, highest | crawler, RSS | browser, RSS |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    rows = "".join(
        f"| {each.pages:,} | {_mb(each.crawler_bytes)} | {_mb(each.browser_bytes)} "
        f"| {_mb(each.highest_bytes)} "
        f"| {_mb(each.crawler_resident_bytes)} | {_mb(each.browser_resident_bytes)} |\n"
        for each in levels(samples, range(step, pages + 1, step), RECYCLED)
    )

    def grown(size: Callable[[Sample], int]) -> str:
        return f"{slope(samples, size, step) * 1000 / 1e6:+.1f} MB"

    line = (
        f"From page {step} on, by a straight line through all samples, per 1,000 pages: the "
        f"crawler {grown(lambda each: each.crawler_bytes)} "
        f"(RSS {grown(lambda each: each.crawler_resident_bytes)}), "
        f"the browser {grown(lambda each: each.browser_bytes)} "
        f"(RSS {grown(lambda each: each.browser_resident_bytes)}).\n"
    )
    return f"{head}{rows}\n{line}"


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
