"""Measures, and writes docs/benchmarks.md: `python -m tests.bench [--only SECTION] [--runs 3]`."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from healtharchive.model.orders import CrawlOrder
from healtharchive.model.wire import to_line
from tests.bench import browser_figures, hanging, house, shipping, wacz
from tests.bench.measure import Run, run
from tests.bench.page import spread, write_section
from tests.faults import incident, night_times
from tests.lab.crawling import order_for
from tests.lab.processes import ROOT
from tests.lab.site import Site, serving

OURS = "HealthArchive"
PATIENCE_SECONDS = 600.0
NIGHTS_AT_ONCE = 8
KEPT_NIGHTS = ROOT / "build" / "nights.jsonl"  # hours of work: an interrupted bench goes on
Section = tuple[str, str, str]  # its title, how it was measured, its body
NOTES = f"""
Every crawler asks the same server on loopback, without a politeness delay, at most eight requests
at once (wget: one; it knows no other way), and writes gzip-compressed WARC files. *Pages* are the
answers in its WARC files; crawlers differ in what they take for a link. CPU is the crawler's own,
without the server's. {OURS} fsyncs what it captured several times a second, its frontier is on
disk; the others keep theirs in memory and lose it when they are killed. Scrapy and Crawlee write
their files with warcio, in a few lines of ours (`tests/bench`).
"""


def ours(site: Site, directory: Path) -> Run:
    """Our crawl child, as the worker starts it."""
    order: CrawlOrder = order_for(site, directory / "job", segment_bytes=1_000_000_000)
    command = [sys.executable, "-m", "healtharchive.crawl"]
    return run(OURS, command, directory, stdin=to_line(order), seconds=PATIENCE_SECONDS)


def wget(site: Site, directory: Path) -> Run:
    """wget --recursive --warc-file."""
    command = ["wget", "--quiet", "--recursive", "--level=inf", "--page-requisites", "--no-parent"]
    command += [
        "--warc-file=wget",
        "--warc-max-size=2G",
        "--tries=1",
        "--delete-after",
        site.seed_url,
    ]
    return run("wget", command, directory, seconds=PATIENCE_SECONDS)


def peer(name: str, module: str) -> Callable[[Site, Path], Run]:
    """A crawler of another library, started as a module of this room."""

    def start(site: Site, directory: Path) -> Run:
        command = [sys.executable, "-m", module, site.seed_url, str(directory / "peer.warc.gz")]
        return run(name, command, directory, seconds=PATIENCE_SECONDS)

    return start


CRAWLERS = {
    OURS: ours,
    "wget": wget,
    "Scrapy + warcio": peer("Scrapy + warcio", "tests.bench.scrapy_peer"),
    "Crawlee + warcio": peer("Crawlee + warcio", "tests.bench.crawlee_peer"),
}


def main() -> None:
    """Measure what was asked for, and write each section of the page as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, help="how many pages of the corpus; all by default")
    parser.add_argument("--only", choices=list(SECTIONS), help="one section of the page")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else SECTIONS:
        title, how, body = SECTIONS[name](arguments)
        print(f"## {title}\n\n{body}", flush=True)
        write_section(title, how, body)


def crawling(arguments: argparse.Namespace) -> Section:
    """Our crawl beside other crawlers."""
    runs: dict[str, list[Run]] = {name: [] for name in CRAWLERS}
    with serving(arguments.pages, nasty=False) as site:
        for number in range(arguments.runs):
            for name, start in CRAWLERS.items():
                with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                    measured = start(site, Path(directory))
                runs[name].append(measured)
                print(f"run {number + 1}  {name}: {measured}", flush=True)
    head = (
        "| crawler | pages | pages/s | MB/s | CPU s per 1,000 pages | peak memory | WARC size |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    rows = "".join(_row(name, measured) for name, measured in runs.items())
    return "Crawling", f"{arguments.runs} runs", f"{head}{rows}\n{_ratios(runs)}\n{NOTES}"


def the_house(arguments: argparse.Namespace) -> Section:
    """What does not depend on other crawlers."""
    with serving(arguments.pages, nasty=False) as site:
        big = house.big_crawl(site)
    return "The house itself", f"{house.REPEATS} runs of each command", house_figures(big)


def shipping_figures(arguments: argparse.Namespace) -> Section:
    """MB/s shipped, beside plain copies to the same mount."""
    how = f"{arguments.runs} runs of one 200 MB segment"
    return "Shipping", how, shipping.shipping_table(runs=arguments.runs)


def while_mounts_hang(_arguments: argparse.Namespace) -> Section:
    """How soon the archive answers while every mount hangs."""
    return "While every mount hangs", "One run of many questions", hanging.hanging_table()


def virtual_wacz(_arguments: argparse.Namespace) -> Section:
    """How soon a computed file of 20 GB answers, and with how much memory."""
    found = wacz.measure()
    table = wacz.wacz_table(found)
    if failed := wacz.broken(found):
        raise SystemExit(f"{table}\nA promise is broken, which is mended, not measured: {failed}.")
    return "The virtual WACZ", f"{wacz.ASKED} requests of each kind", table


def the_night(arguments: argparse.Namespace) -> Section:
    """From fault to recovery, for each variant of the incident."""
    runs = [(n, seed) for seed in range(1, arguments.runs + 1) for n in incident.VARIANTS]
    rows, failed = incident.run_all(runs, NIGHTS_AT_ONCE, KEPT_NIGHTS)
    if failed:
        raise SystemExit(
            f"{failed} of {len(runs)} nights ended wrong: that is mended, not measured"
        )
    how = (
        f"{arguments.runs} runs of each fault, {NIGHTS_AT_ONCE} nights at once; seconds, the median"
    )
    how += " and in brackets the worst"
    return "The night of 2026-01-24", how, f"{night_times.table(rows)}\n\n{night_times.NOTES}"


def in_a_browser(arguments: argparse.Namespace) -> Section:
    """The browser engine beside brozzler, and page by page what needs it beside every page."""
    how = f"{arguments.runs} runs of each"
    return "Pages in a browser", how, browser_figures.speed_table(arguments.runs)


def browser_memory(_arguments: argparse.Namespace) -> Section:
    """Whether browser and crawler grow over many pages."""
    how = f"One run of {browser_figures.MEMORY_PAGES:,} pages"
    return "Memory over many pages in a browser", how, browser_figures.memory_table()


SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "crawling": crawling,
    "house": the_house,
    "shipping": shipping_figures,
    "hanging": while_mounts_hang,
    "wacz": virtual_wacz,
    "night": the_night,
    "browser": in_a_browser,
    "browser-memory": browser_memory,
}


def house_figures(big: Run) -> str:
    """The second table: what does not depend on other crawlers."""
    queued, settled, peak = house.big_frontier()
    return (
        "| what | figure |\n| --- | ---: |\n"
        f"| `healtharchive --help` | {spread(house.start_up(), 2)} s |\n"
        f"| `healtharchive status` with {house.JOBS:,} jobs | {spread(house.status(), 2)} s |\n"
        f"| frontier of {house.URLS:,} URLs: queued a second | {queued:,.0f} |\n"
        f"| the same: commits of 100 URLs a second | {settled:.0f} |\n"
        f"| the same: peak memory | {peak:.0f} MB |\n"
        f"| crawl child, {house.CRAWL_SECONDS:.0f} s with {house.URLS:,} URLs queued: peak memory "
        f"| {big.peak_bytes / 1e6:.0f} MB |\n"
        f"| the same: pages a second | {big.pages_per_second:.0f} |\n"
    )


def _row(name: str, measured: list[Run]) -> str:
    cells = [
        name,
        spread([each.pages for each in measured], 0),
        spread([each.pages_per_second for each in measured], 0),
        spread([each.megabytes_per_second for each in measured], 1),
        spread([each.cpu_seconds_per_1000_pages for each in measured], 2),
        spread([each.peak_bytes / 1e6 for each in measured], 0) + " MB",
        spread([each.warc_bytes / 1e6 for each in measured], 1) + " MB",
    ]
    return f"| {' | '.join(cells)} |\n"


def _ratios(runs: dict[str, list[Run]]) -> str:
    mine = _median_cpu(runs[OURS])
    speed = _median_speed(runs[OURS])
    lines = [
        f"- {name}: {_median_cpu(measured) / mine:.1f} times our CPU a page, "
        f"{_median_speed(measured) / speed:.2f} times our pages/s."
        for name, measured in runs.items()
        if name != OURS
    ]
    return "\n".join(lines)


def _median_cpu(measured: list[Run]) -> float:
    return statistics.median(each.cpu_seconds_per_1000_pages for each in measured)


def _median_speed(measured: list[Run]) -> float:
    return statistics.median(each.pages_per_second for each in measured)


if __name__ == "__main__":
    if shutil.which("wget") is None:
        raise SystemExit("wget is not installed. Run: make setup")
    main()
