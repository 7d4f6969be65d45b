"""What passes between a worker and its children: one order in, reports out (JSON lines)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from healtharchive.model.source import SourceDefinition


@dataclass(frozen=True, slots=True)
class CrawlOrder:
    """Everything a crawl child needs to know. It opens no database but its own frontier.

    `fence` is the attempt's token: the frontier refuses every write that carries an older one.
    `output_dir` takes the WARC files and may lie on a mount; `state_dir` holds the frontier and is
    always local (empty: the output directory). `payload_index` is the source's SQLite file of
    payload digests of earlier editions.
    """

    job_id: int
    fence: int
    source: SourceDefinition
    campaign: str
    output_dir: str
    operator: str
    user_agent: str
    lease_seconds: float
    state_dir: str = ""
    payload_index: str | None = None
    segment_bytes: int = 1_000_000_000
    commit_seconds: float = 0.25
    commit_bytes: int = 8_000_000
    stop_seconds: float = 20.0
    spool_full_percent: float = 100.0  # a fuller disk ends the attempt
    browser: str = "chromium"  # the program, for engines that render pages
    browser_memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class IndexOrder:
    """What an index child works on: one job's sealed segments.

    `state_dir` holds the frontier that the job is judged by (empty: the output directory).
    """

    job_id: int
    fence: int
    output_dir: str
    state_dir: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """The frontier's arithmetic. found = queued + in_flight + done + failed + excluded."""

    found: int = 0
    queued: int = 0
    in_flight: int = 0
    done: int = 0
    failed: int = 0
    excluded: int = 0
    captures: int = 0
    revisits: int = 0
    bytes_written: int = 0

    @property
    def add_up(self) -> bool:
        """Every URL is in exactly one state, and every done URL has exactly one capture."""
        states = self.queued + self.in_flight + self.done + self.failed + self.excluded
        return self.found == states and self.done == self.captures + self.revisits


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A WARC file that will not change any more."""

    name: str
    path: str
    fence: int
    size_bytes: int
    sha256: str
    records: int
    sealed_at: str  # ISO 8601, UTC
    state: Literal["sealed", "suspect"] = "sealed"


@dataclass(frozen=True, slots=True)
class Wait:
    """A polite wait: until then nothing can be fetched, and this host's wish is the next to end."""

    host: str
    until: str  # ISO 8601, UTC
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """One line from a child to its parent. `waiting` holds until the next report with counts.

    kind `started`, `progress`, `segment`, `note`, or `end`. The last line is `end`, with
    `outcome`: complete, limit (see `reason`), stopped, infra, failed, fenced.
    """

    kind: Literal["started", "progress", "segment", "note", "end"]
    counts: Counts | None = None
    waiting: Wait | None = None
    segment: SealedSegment | None = None
    outcome: Literal["", "complete", "limit", "stopped", "infra", "failed", "fenced"] = ""
    blame: str = ""
    reason: str = ""
    errno: int | None = None
    what: str = ""
    evidence: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    segments: tuple[SealedSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One line from a worker to its child: the lease was renewed, or stop within a deadline."""

    kind: Literal["renew", "stop"]
    lease_seconds: float = 0.0
    reason: str = ""
    deadline_seconds: float = 20.0
