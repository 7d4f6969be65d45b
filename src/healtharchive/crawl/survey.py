"""The evidence for a crawl's quality: what its frontier, its records and the database say.

The frontier is only read, in one transaction: a crawl that runs meanwhile is not disturbed.
"""

from __future__ import annotations

import io
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection

from healtharchive.crawl import frontier_schema as schema
from healtharchive.crawl.batch import Kind
from healtharchive.crawl.ending import Ending, Outcome, final_ending
from healtharchive.crawl.frontier import Frontier, url_key
from healtharchive.crawl.frontier_schema import DONE, EXCLUDED, FAILED, IN_FLIGHT, QUEUED
from healtharchive.crawl.quality import (
    NEVER_FOUND,
    OUTSIDE,
    Became,
    Coverage,
    Culprit,
    Evidence,
    Fate,
    HostReport,
    Sample,
    SeedEnd,
    SegmentFacts,
    SitemapRead,
    by_exclusion,
    by_failure,
    by_status,
)
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.sitemaps import parse as parse_sitemap
from healtharchive.crawl.urls import canonicalize
from healtharchive.model.attempts import list_attempts
from healtharchive.model.editions import count_captures, last_edition, pages_of, segment_states
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.jobs import Job
from healtharchive.model.replays import last_replays
from healtharchive.model.source import SourceDefinition
from healtharchive.model.states import JobStatus, SegmentState
from healtharchive.warc.decoding import decode_content
from healtharchive.warc.payload import http_head, payload_stream
from healtharchive.warc.reader import read_record

ENDED = (JobStatus.COMPLETED, JobStatus.INDEXING, JobStatus.INDEXED, JobStatus.INDEX_FAILED)
VERIFIED = (SegmentState.VERIFIED, SegmentState.RELEASED)
SAMPLES = 5  # of each fate and culprit
MOST_HOPS = 20
ROWS = (
    "SELECT urls.id, urls.url, urls.state, urls.reason, captures.status FROM urls"
    " LEFT JOIN captures ON captures.url_id = urls.id"
)


class FrontierUnreadable(HealthArchiveError):
    """The job's frontier is not on this machine, or is damaged: nothing can be judged."""


class Records(Protocol):
    """The job's WARC records, wherever they lie. HealthArchiveError when one cannot be had."""

    def at(self, segment: str, offset: int, length: int) -> bytes:
        """The record of a segment, as its bytes lie in the file."""

    def holding(self, payload_digest: str) -> bytes:
        """A response of this or an earlier edition that holds a payload."""


class KeptFrontier(Frontier):
    """A job's frontier, only to be asked: no attempt, no fence, and nothing is made or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fence = 0
        if not path.exists():
            raise FrontierUnreadable(f"The job's frontier is not on this machine: {path}.")
        try:
            self._reader = schema.connect(path, readonly=True)
            self._reader.execute("BEGIN")
            (sound,) = self._reader.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            raise FrontierUnreadable(f"The frontier {path} cannot be read: {error}.") from error
        if sound != "ok":
            raise FrontierUnreadable(f"The frontier {path} is damaged: {sound}.")

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def became(self, url: str) -> Became:
        """What became of a URL in its canonical form."""
        rows = self.ask(f"{ROWS} WHERE urls.key = ?", (url_key(url),))
        return _became(*rows[0][2:]) if rows else NEVER_FOUND


def survey(
    connection: Connection,
    job: Job,
    source: SourceDefinition,
    frontier_path: Path,
    records: Records,
    *,
    indexed: bool = False,
) -> Evidence:
    """All that is known of a crawl. FrontierUnreadable when there is nothing to go by.

    `indexed`: all of its captures should be in the index, though its status does not say so yet.
    """
    indexed = indexed or job.status is JobStatus.INDEXED
    with closing(KeptFrontier(frontier_path)) as frontier:
        try:
            return _survey(connection, job, source, frontier, records, indexed=indexed)
        except sqlite3.Error as error:
            raise FrontierUnreadable(
                f"The frontier {frontier_path} cannot be read: {error}."
            ) from error


def _survey(
    connection: Connection,
    job: Job,
    source: SourceDefinition,
    frontier: KeptFrontier,
    records: Records,
    *,
    indexed: bool,
) -> Evidence:
    attempts = list_attempts(connection, job.id)
    crawls = [each for each in attempts if each.work == "crawl"]
    finished = job.status in ENDED and job.outcome is not None
    # Only a crawl that called itself complete may have nothing queued any more.
    claimed: Outcome = "complete" if finished and job.outcome == "complete" else "limit"
    ending = final_ending(Ending(claimed), frontier)
    scope = Scope(source.scope)
    sitemaps = _Sitemaps(frontier, records)
    listed = _cover(frontier, scope, sitemaps.pages())
    last_job = last_edition(connection, job)
    last = pages_of(connection, last_job) if last_job is not None else iter(())
    return Evidence(
        status=job.status,
        finished=finished,
        outcome=job.outcome or "",
        ending=crawls[0].reason if crawls else "",
        counts=frontier.count(),
        reported=job.counts,
        astray=_astray(frontier),
        objection=(ending.blame, ending.reason) if ending.outcome == "failed" else None,
        seeds=tuple(_seeds(frontier)),
        sitemaps=tuple(sitemaps.read),
        sitemap=listed,
        last_job=last_job,
        last=_cover(frontier, scope, last),
        hosts=tuple(_hosts(frontier)),
        segments=_segments(connection, job, frontier),
        attempts=dict(Counter(_how(each.exit, each.blame) for each in crawls)),
        indexed_captures=count_captures(connection, job.id) if indexed else None,
        replays=last_replays(connection, job.id),
    )


def _how(exit: str, blame: str) -> str:
    return f"{exit or 'running'} ({blame})" if blame else exit or "running"


def _became(state: int, reason: str | None, status: int | None) -> Became:
    if state == DONE:
        return by_status(status)
    if state == FAILED:
        return by_failure(reason or "")
    if state == EXCLUDED:
        return by_exclusion(reason or "")
    return Became(Fate.NEVER_ASKED, Culprit.US, "queued", reason or "it is still queued")


def _astray(frontier: KeptFrontier) -> int:
    """Done URLs that have no capture, and captures whose URL is not done or not there."""
    (done,) = frontier.ask(
        "SELECT count(*) FROM urls WHERE state = ?"
        " AND NOT EXISTS (SELECT 1 FROM captures WHERE url_id = urls.id)",
        (DONE,),
    )
    (captured,) = frontier.ask(
        "SELECT count(*) FROM captures LEFT JOIN urls ON urls.id = url_id"
        " WHERE url_id IS NOT NULL AND (urls.id IS NULL OR state <> ?)",
        (DONE,),
    )
    return int(done[0]) + int(captured[0])


# -- seeds -----------------------------------------------------------------------------------


def _seeds(frontier: KeptFrontier) -> Iterator[SeedEnd]:
    for row in frontier.ask(f"{ROWS} WHERE urls.kind = ?", (Kind.SEED,)):
        yield SeedEnd(row[1], _where_it_led(frontier, row))


def _where_it_led(frontier: KeptFrontier, row: tuple[Any, ...]) -> str:
    """Why a seed does not lead to a captured page, over whatever redirects; empty when it does."""
    seed = row[1]
    for _ in range(MOST_HOPS):
        url_id, url, *standing = row
        became = _became(*standing)
        if became.fate is not Fate.REDIRECTED:
            break
        onward = frontier.ask("SELECT target FROM redirects WHERE url_id = ?", (url_id,))
        rows = (
            frontier.ask(f"{ROWS} WHERE urls.key = ?", (url_key(onward[0][0]),)) if onward else []
        )
        if not rows:
            where = f"{onward[0][0]}, which is out of scope" if onward else "nowhere"
            return f"{seed} leads to {where}"
        row = rows[0]
    if became.fate is Fate.CAPTURED:
        return ""
    said = became.detail or became.kind or "leads in a circle"
    return f"{seed}: {said}" if url == seed else f"{seed} leads to {url}: {said}"


# -- lists of pages --------------------------------------------------------------------------


@dataclass(slots=True)
class _Sitemaps:
    """The sitemaps that the job captured; `read` fills while `pages` are taken."""

    frontier: KeptFrontier
    records: Records
    read: list[SitemapRead] = field(default_factory=list)

    def pages(self) -> Iterator[str]:
        """Every page that they list, as written there."""
        rows = self.frontier.ask(
            "SELECT urls.url, urls.state, urls.reason, captures.status, captures.kind, segment,"
            " record_offset, record_length, payload_digest FROM urls"
            " LEFT JOIN captures ON captures.url_id = urls.id WHERE urls.kind = ?"
            " ORDER BY urls.id",
            (Kind.SITEMAP,),
        )
        for url, state, reason, status, *place in rows:
            became = _became(state, reason, status)
            if became.fate is Fate.CAPTURED:
                yield from self._listed(url, *place)
            elif became.fate is not Fate.REDIRECTED:
                said = f"could not be had ({became.detail or became.kind})"
                self.read.append(SitemapRead(url, 0, said, became.missing))

    def _listed(
        self, url: str, kind: str, segment: str, offset: int, length: int, digest: str
    ) -> Iterator[str]:
        try:
            if kind == "revisit":
                record = self._original(digest)
            else:
                record = self.records.at(segment, offset, length)
            sitemap = parse_sitemap(body_of(record))
        except HealthArchiveError as error:
            said = f"cannot be read back: {error.what}"
            self.read.append(SitemapRead(url, 0, said.rstrip("."), fault=True))
            return
        problem = f"was not understood whole: {sitemap.problem}" if sitemap.problem else ""
        self.read.append(SitemapRead(url, len(sitemap.pages), problem))
        pages = (canonicalize(raw, url) for raw, _ in sitemap.pages)
        yield from (page for page in pages if page is not None)

    def _original(self, digest: str) -> bytes:
        """The record that a revisit refers to: of this job, or of an earlier edition."""
        rows = self.frontier.ask(
            "SELECT segment, record_offset, record_length FROM captures"
            " WHERE payload_digest = ? AND kind = 'response' LIMIT 1",
            (digest,),
        )
        return self.records.at(*rows[0]) if rows else self.records.holding(digest)


def body_of(record: bytes) -> bytes:
    """The body of a stored response, its content codings taken off. BadInput when damaged."""
    read = read_record(io.BytesIO(record), 0, len(record))
    head = http_head(read)
    codings = ",".join(head.headers.all("Content-Encoding")) if head else ""
    return decode_content(b"".join(payload_stream(read)), codings).data


def _cover(frontier: KeptFrontier, scope: Scope, pages: Iterable[str]) -> Coverage:
    """What became of each of these pages, each counted once."""
    fates: Counter[Fate] = Counter()
    missing: Counter[Culprit] = Counter()
    samples: defaultdict[tuple[Fate, Culprit | None], list[Sample]] = defaultdict(list)
    seen: set[bytes] = set()
    for page in pages:
        url = canonicalize(page) or page
        decision = scope.decide(url)
        key = url_key(decision.url)
        if key in seen:
            continue
        seen.add(key)
        became = frontier.became(decision.url) if decision.in_scope else OUTSIDE
        fates[became.fate] += 1
        if became.missing and became.culprit is not None:
            missing[became.culprit] += 1
        group = samples[became.fate, became.culprit]
        if became.fate is not Fate.CAPTURED and len(group) < SAMPLES:
            detail = decision.rule if became is OUTSIDE else became.detail or became.kind
            group.append(Sample(decision.url, became.fate, became.culprit, detail))
    flat = tuple(sample for group in samples.values() for sample in group)
    return Coverage(sum(fates.values()), dict(fates), dict(missing), flat)


# -- hosts -----------------------------------------------------------------------------------


def _hosts(frontier: KeptFrontier) -> Iterator[HostReport]:
    """Each host's pages and requisites; robots.txt and sitemaps are not counted."""
    asked: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    failures: defaultdict[str, defaultdict[str, Counter[str]]]
    failures = defaultdict(lambda: defaultdict(Counter))
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for origin, became, number in _by_host(frontier):
        if became.fate is Fate.EXCLUDED:
            left_out[origin][became.kind] += number
            continue
        asked[origin] += number
        gone[origin] += number * (became.fate is Fate.NOT_FOUND)
        if became.missing:
            failures[origin][str(became.culprit)][became.kind] += number
    for origin in sorted({*asked, *left_out}):
        kinds = {culprit: dict(each) for culprit, each in failures[origin].items()}
        yield HostReport(origin, asked[origin], kinds, gone[origin], dict(left_out[origin]))


def _by_host(frontier: KeptFrontier) -> Iterator[tuple[str, Became, int]]:
    rows = frontier.ask(
        "SELECT origin, state, reason, status, count(*) FROM urls"
        " JOIN hosts ON hosts.id = host_id LEFT JOIN captures ON captures.url_id = urls.id"
        " WHERE urls.kind >= ? AND state NOT IN (?, ?) GROUP BY origin, state, reason, status",
        (Kind.SEED, QUEUED, IN_FLIGHT),
    )
    for origin, state, reason, status, number in rows:
        yield origin, _became(state, reason, status), number


# -- segments --------------------------------------------------------------------------------


def _segments(connection: Connection, job: Job, frontier: KeptFrontier) -> SegmentFacts:
    kept = segment_states(connection, job.id)
    rows = frontier.ask(
        "SELECT name, state, segments.records, coalesce(sum(captures.records), 0) FROM segments"
        " LEFT JOIN captures ON captures.segment = name GROUP BY name"
    )
    ours = {name: SegmentState(state) for name, state, *_ in rows}
    mismatches = [
        f"WARC file {name} has {records} records, its captures say {counted}"
        for name, _, records, counted in rows
        if records != counted
    ]
    if job.status in ENDED:
        mismatches += _unlike(ours, kept)
    sealed = [state for state, _ in kept.values() if state is not SegmentState.SUSPECT]
    return SegmentFacts(
        sealed=len(sealed),
        open=sum(state is SegmentState.OPEN for state in ours.values()),
        suspect=len(kept) - len(sealed),
        unverified=sum(state not in VERIFIED for state in sealed),
        unreadable_records=sum(number for _, number in kept.values()),
        mismatches=tuple(mismatches),
    )


def _unlike(ours: Mapping[str, SegmentState], kept: Mapping[str, object]) -> Iterator[str]:
    """The WARC files that only the frontier or only the database knows as sealed."""
    sealed = {name for name, state in ours.items() if state is SegmentState.SEALED}
    for name in sorted(sealed - set(kept)):
        yield f"WARC file {name} is unknown to the database"
    for name in sorted(set(kept) - set(ours)):
        yield f"WARC file {name} is unknown to the frontier"
