"""The demo: a real site on loopback, captured by a campaign, indexed, and searched.

`python -m tests.lab.demo` leaves the web page up; `--check` judges the captured set instead and
exits 0 only if it is what the site served.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from tests.lab import truth
from tests.lab.archive import SETTLED, Archive, CommandFailed, tail
from tests.lab.nasty import Proportions
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, TooLate, wait_for
from tests.lab.site import SMALL, Site, serving

CODE = "demo"
PATIENCE_SECONDS = 900.0
QUICK = {"POLL_SECONDS": "0.2", "SEGMENT_BYTES": "50000000"}
SHOWN_DIFFERENCES = 40
SEARCHES = (  # in the PDF, on French pages, on English ones
    ("measles schedule", "--type", "pdf"),
    ("vaccination rougeole", "--lang", "fr"),
    ("documentation", "--lang", "en"),
)


def capture(site: Site, archive: Archive, campaign: str) -> float:
    """Run a campaign over the site until it is settled; the seconds it took."""
    archive.set_up(site.source_toml(CODE))
    kind, year = campaign.split("-")
    print(archive.run("campaign", "create", kind, "--year", year, "--source", CODE), end="")
    started = time.monotonic()
    with archive.working() as worker:
        shown = ""
        while time.monotonic() - started < PATIENCE_SECONDS:
            job = archive.job()
            counts = job["counts"]
            line = f"job {job['id']}: {job['status']}, {counts['found']} URLs found, "
            line += f"{counts['done']} captured, {counts['excluded']} left out"
            if line != shown:
                print(f"{time.monotonic() - started:7.1f} s  {line}", flush=True)
                shown = line
            if job["status"] in SETTLED:
                return time.monotonic() - started
            if worker.poll() is not None:
                raise CommandFailed(f"The worker ended:\n{tail(archive.worker_log)}")
            time.sleep(1.0)
    raise TooLate(f"The campaign is not settled after {PATIENCE_SECONDS:g} s")


def verdicts(site: Site, archive: Archive, campaign: str) -> Iterator[str]:
    """What is wrong with the captured set, one line each; nothing when all holds."""
    job_dir, counts = archive.job_dir(), archive.job()["counts"]
    files = truth.warc_files(job_dir)
    yield from (str(each) for each in truth.compare(job_dir, site.truth))
    if list(job_dir.glob("warcs/*.open")):
        yield "a segment is still open"
    yield from (f"warcio check: {said}" for said in truth.warcio_check(files))
    yield from (f"fastwarc counts {each}" for each in truth.miscounts(job_dir, counts))
    yield from strays(site)
    if not archive.ask("campaign", "status", campaign)["ready_for_search"]:
        yield f"the campaign is not ready for search: {archive.run('campaign', 'status', campaign)}"
    for words in SEARCHES:
        if not archive.ask("search", *words, "--source", CODE)["total"]:
            yield f"a search for {words} finds nothing"


def page_verdicts(archive: Archive) -> Iterator[str]:
    """What is wrong with the web page: a search must lead to a capture and to what it holds."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with archive.serving(port):
        wait_for(lambda: _read(f"{url}/health/live"), what="the web page answers", seconds=60.0)
        for path, capture in (
            ("/en/?q=duplicates", "/en/capture/"),
            ("/fr/?q=rougeole", "/fr/capture/"),
        ):
            found = re.search(f'"({capture}[0-9]+)', _read(url + path))
            if found is None:
                yield f"{path} of the web page shows no capture"
            elif "<iframe" not in _read(url + found[1]):
                yield f"{found[1]} of the web page does not show what was archived"


def strays(site: Site) -> Iterator[str]:
    """Requests that no crawl may make: what robots.txt forbids, and hosts out of scope."""
    host = site.url.split("//", 1)[1]
    for _, method, target, _, asked in site.requests():
        if asked != host or target.startswith(truth.NOT_FOR_ROBOTS):
            yield f"asked for what is forbidden: {method} {asked}{target}"


def figures(site: Site, archive: Archive, seconds: float) -> None:
    """Print what the campaign captured."""
    files = truth.warc_files(archive.job_dir())
    records: Counter[str] = truth.count_with_fastwarc(files)
    size = sum(file.stat().st_size for file in files)
    captured = records["response"] + records["revisit"]
    print(
        f"\n{captured} captures ({records['revisit']} revisits) of "
        f"{len(site.truth.required)} URLs that must be there and of endless parts,\n"
        f"{size / 1e6:.1f} MB in {len(files)} WARC files, records by type: {dict(records)},\n"
        f"{seconds:.1f} s from the first claim to the last index: {captured / seconds:.0f} URLs/s"
    )


def check(site: Site, archive: Archive, campaign: str) -> int:
    """Capture and judge; the exit code."""
    seconds = capture(site, archive, campaign)
    print(archive.run("campaign", "status", campaign))
    figures(site, archive, seconds)
    wrong = [*verdicts(site, archive, campaign), *page_verdicts(archive)]
    for line in wrong[:SHOWN_DIFFERENCES]:
        print(f"WRONG  {line}")
    if wrong:
        print(f"{len(wrong)} things are wrong. The worker's log ends with:")
        print(tail(archive.worker_log))
        return 1
    print("The archive holds exactly what the site served: all holds.")
    return 0


def show(site: Site, archive: Archive, campaign: str, port: int) -> int:
    """Capture, then leave the web page up until a person has seen enough; the exit code."""
    seconds = capture(site, archive, campaign)
    figures(site, archive, seconds)
    print(archive.run("campaign", "status", campaign))
    url = f"http://127.0.0.1:{port}/"
    with archive.serving(port) as server:
        wait_for(lambda: _read(url), what=f"{url} answers", seconds=60.0)
        print(f"\nThe archive's web page: {url}\nThe site itself:        {site.url}/")
        print(f"Its files:              {archive.data_dir}\nCtrl-C ends both.", flush=True)
        server.wait()
    return 1


def _read(url: str) -> str:
    """A page's text; empty when it cannot be had."""
    try:
        with urlopen(url, timeout=5.0) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except OSError:
        return ""


@contextmanager
def _data_dir(kept: Path | None) -> Iterator[Path]:
    """A directory that begins empty; a kept one stays afterwards."""
    if kept is not None:
        if kept.exists() and any(kept.iterdir()) and not (kept / "backend.env").exists():
            raise CommandFailed(f"{kept} holds something that is not a demo; it is left alone")
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="lab-demo-") as directory:
        yield Path(directory)


def main() -> int:
    """The demo's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="judge the captured set, then end")
    parser.add_argument("--pages", type=int, help="pages of the corpus; all by default")
    parser.add_argument("--small", action="store_true", help="a small big file, quick slow pages")
    parser.add_argument("--port", type=int, default=0, help="of the web page; 0 picks a free one")
    parser.add_argument("--keep", type=Path, help="a data directory to keep; it is emptied first")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    campaign = f"annual-{datetime.now(UTC).year}"
    kept = asked.keep or (None if asked.check else ROOT / ".demo")
    with ExitStack() as stack:
        data_dir = stack.enter_context(_data_dir(kept))
        size = SMALL if asked.small else Proportions()
        site = stack.enter_context(serving(asked.pages, proportions=size))
        print(f"The site: {site.url}/", flush=True)
        archive = Archive(data_dir, QUICK)
        if asked.check:
            return check(site, archive, campaign)
        return show(site, archive, campaign, asked.port or free_port())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (CommandFailed, TooLate) as failure:
        sys.exit(f"demo: {failure}")
