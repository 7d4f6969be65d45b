"""A crawl's own log: what it told its worker and what it complained of, in the job's directory."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from healtharchive.model.clock import Clock
from healtharchive.model.masking import masked
from healtharchive.model.orders import Counts, Report

KEPT_BYTES = 2_000_000  # twice: the file and the one before it
PROGRESS_SECONDS = 10.0
LONGEST_LINE = 2_000


class CrawlLog:
    """Lines with their moment, in one bounded file and the one before it. No secret is written.

    What is said before `open` is kept until then. A disk that is full is told by others.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._path: Path | None = None
        self._waiting: list[str] = []
        self._progress_at = float("-inf")

    def open(self, path: Path) -> None:
        """From here on lines are in this file."""
        self._path = path
        waiting, self._waiting = self._waiting, []
        self._append("".join(waiting))

    def beside(self, report: Callable[[Report], None]) -> Callable[[Report], None]:
        """A reporter that has each report written here, too; of progress one every 10 s."""

        def both(line: Report) -> None:
            report(line)
            self._note(line)

        return both

    def say(self, text: str) -> None:
        """Add what was said, a line for each of its own."""
        moment = f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"
        lines = [f"{moment} {_plain(each)}\n" for each in text.splitlines() if each.strip()]
        if self._path is None:
            self._waiting += lines
        else:
            self._append("".join(lines))

    def _note(self, report: Report) -> None:
        if report.kind == "progress":
            now = self._clock.monotonic()
            if now - self._progress_at < PROGRESS_SECONDS:
                return
            self._progress_at = now
        self.say(words(report))

    def _append(self, text: str) -> None:
        if self._path is None or not text:
            return
        with contextlib.suppress(OSError):
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
                size = stream.tell()
            if size > KEPT_BYTES:
                os.replace(self._path, self._path.with_suffix(".log.1"))


class Complaints:
    """A stderr whose lines are in the log, too: warnings, errors, the trace of a bug."""

    def __init__(self, stream: TextIO, log: CrawlLog) -> None:
        self._stream = stream
        self._log = log
        self._begun = ""

    def write(self, text: str) -> int:
        """Write it, and log the lines that are whole now."""
        self._stream.write(text)
        *whole, self._begun = (self._begun + text).split("\n")
        self._begun = self._begun[: 2 * LONGEST_LINE]
        self._log.say("\n".join(whole))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False


@contextlib.contextmanager
def listening(log: CrawlLog) -> Iterator[None]:
    """What is complained of meanwhile is in the log, too."""
    before = sys.stderr
    sys.stderr = Complaints(before, log)
    try:
        yield
    finally:
        sys.stderr = before


def words(report: Report) -> str:
    """A report as one line. Pure."""
    said = _FACTS[report.kind](report)
    return said if report.counts is None else f"{said}: {_counted(report.counts)}"


def _counted(counts: Counts) -> str:
    return (
        f"{counts.queued} queued, {counts.in_flight} in flight, {counts.done} done, "
        f"{counts.failed} failed, {counts.excluded} excluded, {counts.bytes_written} bytes"
    )


def _progress(report: Report) -> str:
    wait = report.waiting
    return f"waits for {wait.host} until {wait.until} ({wait.reason})" if wait else "goes on"


def _segment(report: Report) -> str:
    sealed = report.segment
    assert sealed is not None
    return f"{sealed.state} {sealed.name}: {sealed.records} records, {sealed.size_bytes} bytes"


def _note(report: Report) -> str:
    facts = ", ".join(f"{name}: {value}" for name, value in report.evidence.items())
    return f"{report.what} ({facts})" if facts else report.what


def _end(report: Report) -> str:
    blame = f", blamed on {report.blame}" if report.blame else ""
    reason = f" ({report.reason})" if report.reason else ""
    return f"ends as {report.outcome}{blame}{reason}"


_FACTS: dict[str, Callable[[Report], str]] = {
    "started": lambda report: "begins",
    "progress": _progress,
    "segment": _segment,
    "note": _note,
    "end": _end,
}


def _plain(text: str) -> str:
    """A line that nobody's terminal or page obeys, without secrets."""
    read = text[: 2 * LONGEST_LINE]
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in read)
    # Masked before it is cut: half a secret would no longer look like one.
    return masked(shown)[:LONGEST_LINE]
