"""What goes into the frontier and comes out of it: found and queued URLs, captures, one commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Kind(IntEnum):
    """What a URL is fetched for; lower is fetched first."""

    ROBOTS = 0
    SITEMAP = 1
    SEED = 2
    PAGE = 3
    ASSET = 4


PAGE_KINDS = (Kind.SEED, Kind.PAGE)


@dataclass(frozen=True, slots=True)
class FoundUrl:
    """A URL in scope, as a page, a sitemap or a seed list gave it.

    `exclude` is the reason to leave it out for good (a trap), or empty.
    """

    url: str
    origin: str
    kind: Kind
    depth: int
    hops: int = 0
    via_id: int | None = None
    exclude: str = ""


@dataclass(frozen=True, slots=True)
class QueuedUrl:
    """A URL that is to be fetched."""

    id: int
    url: str
    kind: Kind
    depth: int
    hops: int
    tries: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What the frontier says to somebody who has a URL's answer without having been sent for it.

    `ours`: its capture is to carry `id`, and nobody else is sent for it. Otherwise the URL was
    settled before (done, failed or excluded), or is a page that waits for its own visit: a record
    of it belongs to no URL.
    """

    id: int
    ours: bool


@dataclass(frozen=True, slots=True)
class Capture:
    """Where an exchange lies: its span holds the request and the response record.

    `kind` is response or revisit; or warcinfo, dns, resource and conversion, which belong to no
    URL of the frontier. A response without a URL repeats one, or answers another method than GET.
    """

    kind: str
    span_offset: int
    span_length: int
    records: int
    record_offset: int
    record_length: int
    url_id: int | None = None
    record_id: str | None = None
    status: int | None = None
    mime: str | None = None
    payload_digest: str | None = None
    payload_bytes: int | None = None
    captured_at: str | None = None
    truncated: str | None = None


@dataclass(slots=True)
class Batch:
    """All that one commit makes durable, after the captures' segment was synced.

    `segment` is the file that holds every capture of the batch; `elapsed_seconds` is crawl time to
    add to the job's clock, which stands still while the job waits.
    """

    segment: str = ""
    elapsed_seconds: float = 0.0
    captures: list[Capture] = field(default_factory=list)
    found: list[FoundUrl] = field(default_factory=list)
    retries: list[tuple[int, float, str]] = field(default_factory=list)  # id, not before, reason
    postponed: list[tuple[int, float]] = field(default_factory=list)  # id, not before; no try spent
    failed: list[tuple[int, str]] = field(default_factory=list)
    excluded: list[tuple[int, str]] = field(default_factory=list)
    out_of_scope: dict[tuple[str, str], int] = field(default_factory=dict)
    redirects: list[tuple[int, str]] = field(default_factory=list)  # id, where it leads
    remarks: dict[str, int] = field(default_factory=dict)  # what was noted of the site, how often
    robots: list[tuple[str, int | None, bytes, float]] = field(default_factory=list)
    dns_recorded: list[str] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)

    def settled(self) -> set[int]:
        """The ids of the URLs whose state this batch decides."""
        ids = {capture.url_id for capture in self.captures if capture.url_id is not None}
        for moved in (self.retries, self.postponed, self.failed, self.excluded):
            ids.update(each[0] for each in moved)
        return ids

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit (what is in flight alone needs no commit)."""
        return not (
            self.captures
            or self.found
            or self.retries
            or self.postponed
            or self.failed
            or self.excluded
            or self.robots
            or self.dns_recorded
        )
