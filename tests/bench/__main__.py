"""Our crawl beside other crawlers on the same site in one run; writes docs/benchmarks.md.

`python -m tests.bench [--runs 3] [--pages N]`
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from healtharchive.model.orders import CrawlOrder
from healtharchive.model.wire import to_line
from tests.bench import house
from tests.bench.measure import Run, run
from tests.lab.crawling import order_for
from tests.lab.site import Site, serving

OURS = "HealthArchive"
PATIENCE_SECONDS = 600.0
PAGE = Path("docs/benchmarks.md")
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
    """Measure, print the table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, help="how many pages of the corpus; all by default")
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = {name: [] for name in CRAWLERS}
    with serving(arguments.pages, nasty=False) as site:
        for number in range(arguments.runs):
            for name, start in CRAWLERS.items():
                with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                    measured = start(site, Path(directory))
                runs[name].append(measured)
                print(f"run {number + 1}  {name}: {measured}", flush=True)
        big = house.big_crawl(site)
    text = page(runs) + house_figures(big)
    print(text)
    PAGE.write_text(text, encoding="utf-8")


def page(runs: dict[str, list[Run]]) -> str:
    """The page with its table."""
    head = (
        "| crawler | pages | pages/s | MB/s | CPU s per 1,000 pages | peak memory | WARC size |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    rows = "".join(_row(name, measured) for name, measured in runs.items())
    return (
        "# Benchmarks\n\nMade by `make bench`; do not edit. Median of "
        f"{len(runs[OURS])} runs (lowest to highest in brackets), {datetime.now(UTC):%Y-%m-%d}, "
        f"on {_machine()}.\n\n{head}{rows}\n{_ratios(runs)}\n{NOTES}"
    )


def house_figures(big: Run) -> str:
    """The second table: what does not depend on other crawlers."""
    queued, settled, peak = house.big_frontier()
    return (
        "\n## The house itself\n\n| what | figure |\n| --- | ---: |\n"
        f"| `healtharchive --help` | {_spread(house.start_up(), 2)} s |\n"
        f"| `healtharchive status` with {house.JOBS:,} jobs | {_spread(house.status(), 2)} s |\n"
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
        _spread([each.pages for each in measured], 0),
        _spread([each.pages_per_second for each in measured], 0),
        _spread([each.megabytes_per_second for each in measured], 1),
        _spread([each.cpu_seconds_per_1000_pages for each in measured], 2),
        _spread([each.peak_bytes / 1e6 for each in measured], 0) + " MB",
        _spread([each.warc_bytes / 1e6 for each in measured], 1) + " MB",
    ]
    return f"| {' | '.join(cells)} |\n"


def _spread(values: list[float] | list[int], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    if round(low, digits) == round(high, digits):
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


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


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {python}"


if __name__ == "__main__":
    if shutil.which("wget") is None:
        raise SystemExit("wget is not installed. Run: make setup")
    main()
