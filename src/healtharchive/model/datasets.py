"""What data sets are made of: captures, pages and changes of a collection, portion by portion.

A portion goes on from the last capture's number in its job, so that no question takes more memory
or time because there is more to export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, cast, func, select

from healtharchive.model.captures import READABLE
from healtharchive.model.collection import CollectionKind, CollectionName, count_captures
from healtharchive.model.database import Database
from healtharchive.model.tables import (
    SHOWN,
    archive_jobs,
    campaigns,
    captures,
    changes,
    segments,
    snapshots,
    sources,
    suppressions,
)

ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Extent:
    """The jobs of a collection, in order, and the greatest capture number when it was asked for."""

    jobs: tuple[int, ...]
    upto: int


@dataclass(frozen=True, slots=True)
class CaptureFacts:
    """One capture with the names around it; title and language are those of its page, if any."""

    id: int
    url: str
    captured_at: datetime
    payload_digest: str | None
    mime: str | None
    status_code: int | None
    source: str
    campaign: str | None
    language: str | None
    title: str | None
    segment: str
    record_offset: int
    record_length: int
    record_type: str
    truncated: str | None
    text_chars: int | None

    @property
    def key(self) -> str:
        """Its page's key in the search index."""
        return f"{self.segment}:{self.record_offset}"


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    """One change, with the place of the record of the later capture, which has the number `id`."""

    id: int
    url: str
    from_at: datetime | None
    at: datetime
    kind: str
    score: float
    added_words: int
    removed_words: int
    changed_sentences: int
    examples: list[dict[str, Any]]
    source: str
    language: str | None
    title: str | None
    segment: str
    record_offset: int


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The sealed and indexed WARC files of one job: what its WACZ file holds."""

    job_id: int
    source: str
    source_name: str
    campaign: str | None
    files: int
    size_bytes: int


def extent_of(connection: Connection, name: CollectionName) -> Extent:
    """What there is of a collection now. NotFound when there is no such collection."""
    count_captures(connection, name)  # knows whether there is such a collection
    newest = connection.execute(select(func.max(captures.c.id))).scalar()
    jobs = _jobs(name).order_by(archive_jobs.c.id)
    return Extent(tuple(connection.execute(jobs).scalars()), newest or 0)


def is_withdrawn(connection: Connection, name: CollectionName, since: datetime) -> bool:
    """Whether a capture of a collection was suppressed since then: what was exported shows it."""
    query = (
        select(captures.c.id)
        .join(suppressions, suppressions.c.id == captures.c.suppressed_by)
        .where(suppressions.c.at >= since, captures.c.job_id.in_(_jobs(name)))
        .limit(1)
    )
    return connection.execute(query).first() is not None


def captures_in(database: Database, extent: Extent) -> Iterator[list[CaptureFacts]]:
    """All captures of the extent, in the order of their jobs and numbers."""
    for rows in _portions(database, extent, _captures()):
        yield [CaptureFacts(*row) for row in rows]


def changes_in(database: Database, extent: Extent) -> Iterator[list[ChangeFacts]]:
    """All changes that led to a capture of the extent, in the order of those captures."""
    for rows in _portions(database, extent, _changes()):
        yield [ChangeFacts(*row) for row in rows]


def files_by_job(connection: Connection) -> list[JobFiles]:
    """Every job that has indexed WARC files, the newest first."""
    query = (
        select(
            archive_jobs.c.id.label("job_id"),
            sources.c.code.label("source"),
            sources.c.name.label("source_name"),
            campaigns.c.name.label("campaign"),
            func.count().label("files"),
            cast(func.sum(segments.c.size_bytes), BigInteger).label("size_bytes"),
        )
        .select_from(segments)
        .join(archive_jobs, archive_jobs.c.id == segments.c.job_id)
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(segments.c.indexed_at.is_not(None), segments.c.state.in_(READABLE))
        .group_by(archive_jobs.c.id, sources.c.code, sources.c.name, campaigns.c.name)
        .order_by(archive_jobs.c.id.desc())
    )
    return [JobFiles(**row._mapping) for row in connection.execute(query)]


def _portions(database: Database, extent: Extent, query: Select[Any]) -> Iterator[list[Any]]:
    """Rows whose first column is a capture's number. A connection is held for one portion only."""
    number = captures.c.id
    for job in extent.jobs:
        after = 0
        while True:
            portion = (
                query.where(captures.c.job_id == job, number > after, number <= extent.upto)
                .order_by(number)
                .limit(ROWS_AT_ONCE)
            )
            with database.read() as connection:
                rows = list(connection.execute(portion))
            if rows:
                yield rows
            if len(rows) < ROWS_AT_ONCE:
                break
            after = rows[-1][0]


def _jobs(name: CollectionName) -> Select[Any]:
    query = (
        select(archive_jobs.c.id)
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
    )
    if name.kind is CollectionKind.JOB:
        return query.where(archive_jobs.c.id == int(name.name))
    if name.kind is CollectionKind.SOURCE:
        return query.where(sources.c.code == name.name)
    return query.where(campaigns.c.name == name.name)


def _captures() -> Select[Any]:
    return (
        select(
            captures.c.id,
            captures.c.url,
            captures.c.captured_at,
            captures.c.payload_digest,
            captures.c.mime,
            captures.c.status_code,
            sources.c.code,
            campaigns.c.name,
            snapshots.c.language,
            snapshots.c.title,
            segments.c.name,
            captures.c.record_offset,
            captures.c.record_length,
            captures.c.record_type,
            captures.c.truncated,
            snapshots.c.text_chars,
        )
        .select_from(captures)
        .join(segments, segments.c.id == captures.c.segment_id)
        .join(sources, sources.c.id == captures.c.source_id)
        .join(archive_jobs, archive_jobs.c.id == captures.c.job_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
        .where(SHOWN)
    )


def _changes() -> Select[Any]:
    before = captures.alias("before")
    page_before = snapshots.alias("page_before")
    return (
        select(
            captures.c.id,
            changes.c.url,
            before.c.captured_at,
            changes.c.at,
            changes.c.kind,
            changes.c.score,
            changes.c.added_words,
            changes.c.removed_words,
            changes.c.changed_sentences,
            changes.c.examples,
            sources.c.code,
            func.coalesce(snapshots.c.language, page_before.c.language),
            func.coalesce(snapshots.c.title, page_before.c.title),
            segments.c.name,
            captures.c.record_offset,
        )
        .select_from(captures)
        .join(changes, changes.c.to_capture == captures.c.id)
        .join(segments, segments.c.id == captures.c.segment_id)
        .join(sources, sources.c.id == changes.c.source_id)
        .outerjoin(before, before.c.id == changes.c.from_capture)
        .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
        .outerjoin(page_before, page_before.c.capture_id == changes.c.from_capture)
        # Its sentences are those of both captures.
        .where(SHOWN, before.c.suppressed_by.is_(None))
    )
