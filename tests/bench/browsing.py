"""Pages through a browser: our engine and brozzler on the same pages, and what memory they take.

brozzler and warcprox need packages that ours exclude: they live in build/peers.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.crawl.sources import load_file
from healtharchive.model.orders import CrawlOrder
from healtharchive.model.source import Limits, ScopeRules, Seed, SourceDefinition
from tests.bench.memory import Sample, sampling
from tests.faults.browser_kills import rendered_pages
from tests.lab.archive import tail
from tests.lab.crawling import USER_AGENT, CrawlChild
from tests.lab.front_site import FrontSite
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, kill_tree, spawn, stop, wait_for

HOSTS = ("127.0.0.2", "127.0.0.3")  # warcprox refuses 127.0.0.1
PATIENCE_SECONDS = 3600.0  # for one run
START_SECONDS = 30.0
PEERS = ROOT / "build" / "peers"
PEER = ROOT / "tests" / "bench" / "brozzler_peer.py"
BROWSERS = 2  # of brozzler's, beside as many tabs of ours
# Without the first it would not start as root, without the second loopback would go past the
# proxy; the others only keep it from asking for things of its own.
CHROMIUM = (
    "--no-sandbox",
    "--proxy-bypass-list=<-loopback>",
    "--disable-component-update",
    "--disable-domain-reliability",
)

Watch = Callable[[int, Callable[[], int]], AbstractContextManager[list[Sample]]]


@dataclass(frozen=True, slots=True)
class Browsed:
    """What one run brought: pages and page requisites of the site that its WARC files hold, and
    how many pages were rendered."""

    seconds: float
    pages: int
    rendered: int
    assets: int

    @property
    def pages_per_minute(self) -> float:
        return self.pages / self.seconds * 60


def source_of_pages(site: FrontSite, paths: Sequence[str], directory: Path) -> SourceDefinition:
    """These pages of the site and no others, each rendered; and whatever they ask for."""
    urls = [site.url + path for path in paths]
    exactly = f"^(?:{'|'.join(re.escape(url) for url in urls)})$"
    whole = source_of_site(site, "browser", directory)
    return replace(
        whole,
        seeds=tuple(Seed(url, "en") for url in urls),
        scope=ScopeRules(whole.scope.hosts, include=(exactly,), assets=("^http://",)),
        use_robots_sitemaps=False,
    )


def source_of_site(site: FrontSite, engine: str, directory: Path) -> SourceDefinition:
    """The whole site, by its own source file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "front.toml"
    path.write_text(site.source_toml(engine=engine), encoding="utf-8")
    return replace(load_file(path), limits=Limits(seconds=PATIENCE_SECONDS))


def ours(site: FrontSite, source: SourceDefinition, directory: Path) -> Browsed:
    """Our crawl child, as the worker starts it: from its start to its last report."""
    return _crawl(site, source, directory, lambda _pid, _pages: contextlib.nullcontext([]))[0]


def ours_watched(
    site: FrontSite, source: SourceDefinition, directory: Path
) -> tuple[Browsed, list[Sample]]:
    """The same with its memory on the way; the looking costs some time."""
    return _crawl(site, source, directory, sampling)


def _crawl(
    site: FrontSite, source: SourceDefinition, directory: Path, watch: Watch
) -> tuple[Browsed, list[Sample]]:
    output = directory / "job"
    order = CrawlOrder(
        job_id=1,
        fence=1,
        source=source,
        campaign="bench",
        output_dir=str(output),
        operator="The lab",
        user_agent=USER_AGENT,
        lease_seconds=2 * PATIENCE_SECONDS,
    )
    began = time.monotonic()
    with CrawlChild(order) as child:
        frontier = child.frontier_path
        with watch(child.process.pid, lambda: rendered_pages(frontier)) as samples:
            end = child.end()
        seconds = time.monotonic() - began
    if end.outcome != "complete":
        raise RuntimeError(f"our crawl ended as {end.outcome}: {end.reason}\n{tail(child.errors)}")
    return browsed(site, seconds, output, rendered_pages(frontier)), samples


def brozzler(
    site: FrontSite, paths: Sequence[str], directory: Path, *, behaviours: bool
) -> Browsed:
    """brozzler, two browsers kept from page to page; warcprox runs already. From its start to its
    end; warcprox's own is not waited for."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "brozzler.log"
    with warcprox(directory) as proxy:
        words = [str(PEERS / "bin" / "python"), "-I", str(PEER), "--proxy", proxy]
        words += ["--browsers", str(BROWSERS), *([] if behaviours else ["--no-behaviours"])]
        began = time.monotonic()
        with _talking(words, log, {"BROZZLER_EXTRA_CHROME_ARGS": " ".join(CHROMIUM)}) as peer:
            said, _ = peer.communicate(
                "\n".join(site.url + path for path in paths).encode(), PATIENCE_SECONDS
            )
            seconds = time.monotonic() - began
    if peer.returncode or not said:
        raise RuntimeError(f"brozzler ended with {peer.returncode}:\n{tail(log)}")
    return browsed(site, seconds, directory / "warcs", int(said))


@contextmanager
def _talking(
    words: Sequence[str], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    process = spawn(words, environment=environment, log=log, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        kill_tree(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def warcprox(directory: Path) -> Iterator[str]:
    """warcprox that writes into `warcs` of the directory, whole files in the end; its address."""
    port = free_port()
    words: list[str | Path] = [PEERS / "bin" / "warcprox", "--quiet", "--gzip"]
    words += ["-b", "127.0.0.1", "-p", str(port), "-d", directory / "warcs"]
    process = spawn(words, cwd=directory, log=directory / "warcprox.log")
    try:
        wait_for(lambda: _listens(port), what="warcprox listens", seconds=START_SECONDS)
        yield f"127.0.0.1:{port}"
    finally:
        stop(process, seconds=START_SECONDS)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def browsed(site: FrontSite, seconds: float, directory: Path, rendered: int) -> Browsed:
    """What the WARC files of a run hold of the site."""
    held = captured(directory)
    pages = {page.url for page in site.truth.pages}
    return Browsed(seconds, len(pages & held), rendered, len(site.truth.assets & held))


def captured(directory: Path) -> set[str]:
    """The URLs of all answers in the WARC files."""
    kinds = WarcRecordType.response | WarcRecordType.revisit
    found: set[str] = set()
    for path in directory.rglob("*.warc.gz"):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=False):
                found.add(str(record.headers["WARC-Target-URI"]))
    return found


def versions() -> str:
    """Chromium's, and the peers' where they are installed."""
    found = [_said("chromium", "--version").split(" built ")[0]]
    python = PEERS / "bin" / "python"
    if python.exists():
        script = "from importlib.metadata import version as v;"
        script += "print('brozzler', v('brozzler') + ', warcprox', v('warcprox'))"
        found.append(_said(str(python), "-I", "-c", script))
    return ", ".join(found)


def _said(*words: str) -> str:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def need_peers() -> None:
    """SystemExit with what to run when the peers are not installed."""
    if not os.access(PEERS / "bin" / "warcprox", os.X_OK):
        raise SystemExit("brozzler and warcprox are not installed. Run: make build/peers/.ready")
