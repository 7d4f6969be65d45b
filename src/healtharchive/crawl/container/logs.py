"""The crawler's log: JSON lines of Browsertrix, with zimit's own words in between."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

Trouble = Literal["timeout", "http", "network", "other"]
LINE_BYTES = 1 << 20  # a longer line is no report: the crawler has gone mad
LAST_WORDS = 5
TIMED_OUT = re.compile(r"tim(?:ed|e) ?-?out|ERR_(?:CONNECTION_|DNS_)?TIMED_OUT", re.IGNORECASE)
NETWORK = re.compile(r"net::ERR_|ECONN|ENOTFOUND|EAI_AGAIN|socket hang up", re.IGNORECASE)
STATUS_WORD = re.compile(r"(?:invalid )?status\D{0,8}[45]\d\d|\b(?:http|returned) [45]\d\d", re.I)
FINAL = re.compile(r"crawl status: ?(\w[\w-]*)", re.IGNORECASE)
BAD_LEVELS = ("warn", "error", "fatal")
ABOUT_PAGES = ("general", "pageStatus", "worker", "fetch", "recorder")
FIRST_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class CrawlStatus:
    """The crawler's own count of its pages, as its last `crawlStatus` line had it."""

    crawled: int = 0
    total: int = 0
    pending: int = 0
    failed: int = 0
    limit_max: int = 0
    limit_hit: bool = False
    pending_pages: tuple[str, ...] = ()


@dataclass(slots=True)
class LogFacts:
    """What was read since somebody last took it: see `LogReader.take`."""

    pages: int = 0
    troubles: dict[str, int] = field(default_factory=dict)


class LogReader:
    """Reads the log as it comes, in pieces of any size. Junk is ignored, half a line is kept.

    `since` is the time of the last line that was read, as the crawler wrote it. Lines up to that
    time are passed over when the log is read again from a little before.
    """

    def __init__(self, since: str = "") -> None:
        self.since = since
        self.status: CrawlStatus | None = None
        self.final_status = ""
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._read_before = since
        self._half = b""
        self._facts = LogFacts()
        self._last_trouble: tuple[str, Trouble] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the log."""
        *lines, self._half = (self._half + data).split(b"\n")
        if len(self._half) > LINE_BYTES:
            self._half = b""
        for line in lines:
            self._read_line(line.decode("utf-8", "replace").strip())

    def take(self) -> LogFacts:
        """The pages and troubles that were read since the last call."""
        taken, self._facts = self._facts, LogFacts()
        return taken

    def forget(self) -> None:
        """A new crawler begins: nothing that the one before said is true of it."""
        self.since, self.status, self.final_status = "", None, ""
        self.last_words.clear()

    def begin_again(self) -> None:
        """The log is read again from `since` on; what was left of a line is not."""
        self._read_before = self.since
        self._half = b""

    def _read_line(self, line: str) -> None:
        if not line:
            return
        entry = _entry(line)
        if entry is None:
            self.last_words.append(line[:300])
            return
        at = str(entry.get("timestamp", ""))
        if at and at <= self._read_before:
            return
        self.since = max(self.since, at)
        self._read_entry(entry)

    def _read_entry(self, entry: dict[str, Any]) -> None:
        context, message = str(entry.get("context", "")), str(entry.get("message", ""))
        details = entry.get("details")
        details = details if isinstance(details, dict) else {}
        if found := FINAL.search(message):
            self.final_status = found[1].lower()
        if context == "crawlStatus":
            self.status = _status(details) or self.status
            return
        if context == "pageStatus" and message == "Page Finished":
            self._facts.pages += 1
            self._last_trouble = None
            return
        if entry.get("logLevel") not in BAD_LEVELS:
            return
        self.last_words.append(f"{message} {json.dumps(details)}"[:300])
        if context in ABOUT_PAGES:
            self._note_trouble(message, details)

    def _note_trouble(self, message: str, details: dict[str, Any]) -> None:
        """Count a page's trouble once, though several lines in a row may tell of it."""
        kind = _kind_of(message, details)
        page = str(details.get("page") or details.get("url") or message)
        if self._last_trouble is not None and self._last_trouble[0] == page:
            return
        self._last_trouble = (page, kind)
        self._facts.troubles[kind] = self._facts.troubles.get(kind, 0) + 1


def read_stats(text: str) -> CrawlStatus | None:
    """The same counts from the file that `--statsFilename` names; None when it holds none."""
    try:
        details = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _status(details) if isinstance(details, dict) else None


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and "message" in entry else None


def _status(details: dict[str, Any]) -> CrawlStatus | None:
    limit = details.get("limit")
    limit = limit if isinstance(limit, dict) else {}
    pages = details.get("pendingPages")
    try:
        return CrawlStatus(
            crawled=int(details["crawled"]),
            total=int(details.get("total", 0)),
            pending=int(details.get("pending", 0)),
            failed=int(details.get("failed", 0)),
            limit_max=int(limit.get("max", 0)),
            limit_hit=bool(limit.get("hit", False)),
            pending_pages=tuple(map(_url_of, pages if isinstance(pages, list) else ())),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _url_of(pending: object) -> str:
    """A pending page is an object, in newer versions as text."""
    if isinstance(pending, str):
        try:
            pending = json.loads(pending)
        except ValueError:
            return str(pending)
    return str(pending.get("url", "")) if isinstance(pending, dict) else str(pending)


def _kind_of(message: str, details: dict[str, Any]) -> Trouble:
    text = f"{message} {json.dumps(details)}"
    if TIMED_OUT.search(text):
        return "timeout"
    status = details.get("status")
    answered = isinstance(status, int) and status >= FIRST_ERROR_STATUS
    if answered or STATUS_WORD.search(text):
        return "http"
    return "network" if NETWORK.search(text) else "other"
