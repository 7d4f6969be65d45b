"""A small crawler that behaves as zimit does: command line, log, directories, state, exit codes.

A file `tell.json` in the output directory tells it to misbehave: see `Told`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tests.lab.zimit import files, web

DONE, REFUSED, NO_SPACE, STOPPED, FATAL = 0, 2, 3, 13, 17
TIMEOUT_SECONDS = 10.0
STATUS_SECONDS = 0.5
HOLD_SECONDS = 0.1


@dataclass(slots=True)
class Told:
    """How to misbehave, each after so many pages of this run (0: from the beginning; None: never).

    `once`: only the first run reads it. `errors`: every page fails with such a one.
    """

    once: bool = False
    delay_seconds: float = 0.0
    hold_at: int | None = None  # so many finished pages of all runs: no further one for now
    stall_after: int | None = None
    crash_after: int | None = None
    torn_after: int | None = None
    fill_after: int | None = None
    exit_after: int | None = None
    exit_code: int = 1
    errors_after: int | None = None
    errors: str = ""
    lose_after: int | None = None  # one finished page leaves no record
    garbage: bool = False
    silent: bool = False  # no line of its count
    ignore_term: bool = False
    broken_state: bool = False
    no_final_state: bool = False

    @classmethod
    def read(cls, output: Path) -> Told:
        path = output / "tell.json"
        if not path.exists():
            return cls()
        given = json.loads(path.read_text())
        if given.get("once"):
            path.unlink()
        return cls(**{each.name: given[each.name] for each in fields(cls) if each.name in given})


def log(context: str, message: str, level: str = "info", **details: Any) -> None:
    """One line as Browsertrix logs it."""
    _log(context, message, level, details)


def _log(context: str, message: str, level: str, details: dict[str, Any]) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"timestamp": at, "logLevel": level, "context": context}
    line = json.dumps({**entry, "message": message, "details": details}, separators=(",", ":"))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


ERRORS: dict[str, tuple[str, dict[str, Any]]] = {
    "timeout": ("Page Load Timeout, skipping page", {"msg": "Navigation timeout of 90000 ms"}),
    "network": ("Page Load Failed, retry limit reached", {"msg": "net::ERR_HTTP2_PROTOCOL_ERROR"}),
    "http": ("Page Load Failed: returned status 503", {"status": 503}),
}


class Crawl:
    """The queue, its workers and their files."""

    def __init__(self, given: argparse.Namespace, told: Told) -> None:
        self.given, self.told = given, told
        self.seeds = [url for url in (given.seeds or "").split(",") if url]
        if given.seedFile:
            self.seeds = Path(given.seedFile).read_text().split()
        self.output = Path(given.output)
        self.root = Path(given.build or tempfile.mkdtemp(dir=given.output, prefix=".tmp"))
        self.collection = self.root / "collections" / f"crawl-{files.stamp()}"
        for name in ("archive", "crawls", "pages", "logs"):
            (self.collection / name).mkdir(parents=True)
        self.crawl_id = os.uname().nodename[:12]
        self.lock = threading.RLock()
        self.queue: deque[dict[str, Any]] = deque()
        self.seen: set[str] = set()
        self.loaded: set[str] = set()
        self.finished: list[str] = []
        self.pending: dict[str, dict[str, Any]] = {}
        self.failed: list[dict[str, Any]] = []
        self.pages = 0
        self.limit_hit = False
        self.stopping = threading.Event()
        self.exit_code: int | None = None
        self.include: list[re.Pattern[str]] = (
            [re.compile(given.scopeIncludeRx)] if given.scopeIncludeRx else []
        )
        self.exclude: list[re.Pattern[str]] = (
            [re.compile(given.scopeExcludeRx)] if given.scopeExcludeRx else []
        )
        self._load()

    def _load(self) -> None:
        state = files.load_state(Path(self.given.config)) if self.given.config else None
        if state is None:
            for url in self.seeds:
                self.add(url, 0)
            return
        self.finished = list(state["finished"])
        self.seen.update(self.finished)
        for text in [*state["queued"], *state["pending"]]:
            self.add(json.loads(text)["url"], json.loads(text).get("depth", 0))
        self.failed = [json.loads(text) for text in state["failed"]]
        self.seen.update(each["url"] for each in self.failed)

    def in_scope(self, url: str) -> bool:
        if any(rule.search(url) for rule in self.exclude):
            return False
        if self.include:
            return any(rule.search(url) for rule in self.include)
        return any(url.startswith(urljoin(seed, "/")) for seed in self.seeds)

    def _deeper(self, depth: int) -> bool:
        most: int = self.given.depth
        return most < 0 or depth < most

    def add(self, url: str, depth: int) -> None:
        with self.lock:
            if url not in self.seen:
                self.seen.add(url)
                entry = {"url": url, "seedId": 0, "depth": depth, "extraHops": 0}
                self.queue.append(entry)

    # -- the workers ---------------------------------------------------------------------------

    def work(self, worker: int) -> None:
        rollover = self.given.rolloverSize
        writer = files.Writer(self.collection / "archive", self.crawl_id, worker, rollover)
        log("worker", "Worker starting", workerid=worker)
        while not self.stopping.is_set():
            entry = self._next()
            if entry is None:
                if not self.pending and not self.queue:
                    return
                time.sleep(0.02)
                continue
            try:
                self._visit(entry, writer, worker)
            except OSError as error:
                log("writer", f"Error writing to WARC: {error}", "error")
                self.exit_code = NO_SPACE
                self.stopping.set()

    def _next(self) -> dict[str, Any] | None:
        limit = self.given.pageLimit
        with self.lock:
            if limit and len(self.finished) + len(self.pending) + len(self.failed) >= limit:
                if self.queue:
                    self.limit_hit = True
                    self.queue.clear()
                return None
            if not self.queue:
                return None
            entry = self.queue.popleft()
            self.pending[entry["url"]] = entry
            return entry

    def _visit(self, entry: dict[str, Any], writer: files.Writer, worker: int) -> None:
        url = entry["url"]
        log("worker", "Starting page", workerid=worker, page=url)
        self._wait()
        self._misbehave(writer)
        if self.told.errors and self._after(self.told.errors_after):
            message, details = ERRORS[self.told.errors]
            self._fail(entry, message, details)
            return
        try:
            lost = self._after(self.told.lose_after)
            if lost:
                self.told.lose_after = None
            pages = self._load_page(url, None if lost else writer)
        except web.NoAnswer as error:
            self._fail(
                entry, "Page Load Failed, retry limit reached", {"msg": f"net::ERR_ {error}"}
            )
            return
        with self.lock:
            for each in pages:
                if self.in_scope(each) and self._deeper(entry["depth"]):
                    self.add(each, entry["depth"] + 1)
            self.finished.append(url)
            self.pages += 1
            del self.pending[url]
        log("pageStatus", "Page Finished", loadState=4, page=url, workerid=worker)

    def _load_page(self, url: str, writer: files.Writer | None) -> list[str]:
        """Load a page and all it is made of; the pages it leads to."""
        waiting, pages = [url], []
        while waiting:
            each = waiting.pop()
            with self.lock:
                if each in self.loaded:
                    continue
                self.loaded.add(each)
            try:
                exchange = web.fetch(each, self.given.userAgentSuffix, TIMEOUT_SECONDS)
            except web.NoAnswer:
                if each == url:
                    raise
                continue
            if writer is not None:
                writer.write(exchange)
            found, requisites = web.links(exchange)
            pages += found if each == url else []
            waiting += requisites
            location = exchange.header("location")
            if exchange.status in (301, 302, 303, 307, 308) and location:
                waiting.append(urljoin(each, location))
        return pages

    def _fail(self, entry: dict[str, Any], message: str, details: dict[str, Any]) -> None:
        with self.lock:
            self.failed.append(entry)
            del self.pending[entry["url"]]
        log("pageStatus", message, "error", page=entry["url"], **details)

    # -- misbehaving ---------------------------------------------------------------------------

    def _wait(self) -> None:
        """Before each page, as was told last: that may change while the crawl runs."""
        while (told := self._told_now()).hold_at is not None and not self.stopping.is_set():
            if len(self.finished) < told.hold_at:
                break
            time.sleep(HOLD_SECONDS)
        time.sleep(told.delay_seconds)

    def _told_now(self) -> Told:
        return Told.read(self.output) if (self.output / "tell.json").exists() else self.told

    def _after(self, pages: int | None) -> bool:
        return pages is not None and self.pages >= pages

    def _misbehave(self, writer: files.Writer) -> None:
        told = self.told
        if told.garbage:
            sys.stdout.write('{"timestamp": "half a li\n\x00\xff not JSON {{{\n[1, 2]\n{"a": 1}\n')
            sys.stdout.flush()
        if self._after(told.stall_after):
            log("general", "Stalling as told")
            threading.Event().wait()
        if self._after(told.torn_after):
            writer.torn = True
        if self._after(told.crash_after):
            os._exit(137)
        if self._after(told.fill_after):
            with (self.root / "fill").open("wb") as stream:
                while True:
                    stream.write(bytes(1 << 20))
                    stream.flush()
        if self._after(told.exit_after):
            self.exit_code = told.exit_code
            self.stopping.set()

    # -- what others see -----------------------------------------------------------------------

    def statistics(self) -> None:
        """The line and the file that tell how far it is."""
        with self.lock:
            pending = [json.dumps(each) for each in self.pending.values()]
            done, queued = len(self.finished), len(self.queue)
            stats = {
                "crawled": done,
                "total": done + queued + len(pending) + len(self.failed),
                "pending": len(pending),
                "failed": len(self.failed),
                "limit": {"max": self.given.pageLimit, "hit": self.limit_hit},
                "pendingPages": pending,
            }
        if not self.told.silent:
            _log("crawlStatus", "Crawl statistics", "info", stats)
        if self.given.statsFilename:
            try:
                (self.output / self.given.statsFilename).write_text(json.dumps(stats))
            except OSError:
                log("general", "Stats output failed", "warn")

    def save(self) -> None:
        """Its state, as Browsertrix lists it: what is pending is among what was seen, too."""
        with self.lock:
            state = {
                "extraSeeds": [],
                "finished": [*self.finished, *self.pending],
                "queued": [json.dumps(each) for each in self.queue],
                "pending": [json.dumps(each) for each in self.pending.values()],
                "failed": [json.dumps(each) for each in self.failed],
                "errors": [],
            }
        name = f"crawl-{files.stamp()[:14]}-{self.crawl_id}.yaml"
        try:
            path = self.collection / "crawls" / name
            files.save_state(path, state, self.seeds, self.told.broken_state)
        except OSError:
            log("state", "Saving the state failed", "error")

    def run(self) -> int:
        workers = [
            threading.Thread(target=self.work, args=(number,), daemon=True)
            for number in range(self.given.workers)
        ]
        for each in workers:
            each.start()
        saved_at = time.monotonic()
        while any(each.is_alive() for each in workers) and not self.stopping.is_set():
            self.statistics()
            if time.monotonic() - saved_at >= self.given.saveStateInterval:
                self.save()
                saved_at = time.monotonic()
            workers[0].join(STATUS_SECONDS)
        self.stopping.set()
        for each in workers:
            each.join(2.0)
        if not self.told.no_final_state:
            self.save()
        self.statistics()
        code = DONE if self.exit_code is None else self.exit_code
        log("general", f"Exiting, Crawl status: {'done' if code == DONE else 'interrupted'}")
        return code


def parser() -> argparse.ArgumentParser:
    """zimit's options, as far as they are used; what is unknown is refused as warc2zim does."""
    known = argparse.ArgumentParser(prog="zimit")
    for name in ("seeds", "seedFile", "name", "scopeType", "scopeIncludeRx", "scopeExcludeRx"):
        known.add_argument(f"--{name}")
    for name in ("statsFilename", "adminEmail", "config", "build", "lang", "behaviors"):
        known.add_argument(f"--{name}")
    known.add_argument("--output", default="/output")
    known.add_argument("--userAgentSuffix", default="+Zimit")
    known.add_argument("--saveState", default="partial")
    known.add_argument("-w", "--workers", type=int, default=1)
    known.add_argument("--depth", type=int, default=-1)
    known.add_argument("--pageLimit", type=int, default=0)
    known.add_argument("--saveStateInterval", type=int, default=300)
    known.add_argument("--rolloverSize", type=int, default=1_000_000_000)
    known.add_argument("--keep", action="store_true")
    return known


def main() -> int:
    print("[zimit::INFO] Testing warc2zim args", flush=True)
    given, unknown = parser().parse_known_args()
    if unknown or not given.name:
        print(f"[zimit::INFO] Exiting, invalid warc2zim params: {unknown}", flush=True)
        return REFUSED
    told = Told.read(Path(given.output))
    try:
        crawl = Crawl(given, told)
    except (OSError, ValueError, KeyError) as error:
        log("general", f"Fatal: {error!r}", "fatal")
        return FATAL

    def stop(number: int, _frame: object) -> None:
        if told.ignore_term:
            log("general", "Ignoring the signal, as told")
            return
        log("general", f"{signal.Signals(number).name} received...", "warn")
        crawl.exit_code = STOPPED
        crawl.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return crawl.run()
