"""Collections: what a job, a source or a campaign has of WARC files, pages and originals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from healtharchive.model.captures import READABLE
from healtharchive.model.errors import NotFound
from healtharchive.model.tables import (
    BIGGEST_ID,
    SHOWN,
    archive_jobs,
    campaigns,
    captures,
    pictures,
    segments,
    snapshots,
    sources,
)

ROWS_AT_ONCE = 1000
REDIRECTS = (300, 399)
# The few that are not shown, by their index: "is not null" alone has SQLite read all captures.
HIDDEN = captures.c.id.in_(select(captures.c.id).where(captures.c.suppressed_by > 0))


class CollectionKind(StrEnum):
    """What the WARC files of a collection have in common."""

    JOB = "job"
    SOURCE = "source"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class CollectionName:
    """A job by its number, a source by its code, or a campaign by its name."""

    kind: CollectionKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSegment:
    """A sealed and indexed WARC file. `crc32` is None when nobody has computed it yet."""

    id: int
    job_id: int
    name: str
    path: str
    output_dir: str
    size_bytes: int
    sha256: str
    crc32: int | None
    sealed_at: datetime | None
    indexed_at: datetime


@dataclass(frozen=True, slots=True)
class Original:
    """A record outside a collection that holds what one of its revisits refers to."""

    segment: str
    path: str
    offset: int
    length: int


def collection_segments(
    connection: Connection, collection: CollectionName
) -> list[CollectionSegment]:
    """The collection's WARC files by name; those that are not sealed and indexed do not count.

    NotFound when there is no such job, source or campaign.
    """
    numbers = _jobs(connection, collection)
    query = (
        select(
            segments.c.id,
            segments.c.job_id,
            segments.c.name,
            segments.c.path,
            archive_jobs.c.output_dir,
            segments.c.size_bytes,
            segments.c.sha256,
            segments.c.crc32,
            segments.c.sealed_at,
            segments.c.indexed_at,
        )
        .join(archive_jobs, archive_jobs.c.id == segments.c.job_id)
        .where(segments.c.job_id.in_(numbers), *_indexed())
        .order_by(segments.c.name)
    )
    return [CollectionSegment(**row._mapping) for row in connection.execute(query)]


def collections_of_job(connection: Connection, job_id: int) -> list[CollectionName]:
    """The collections that a job belongs to, its own first."""
    row = connection.execute(
        select(sources.c.code, campaigns.c.name)
        .select_from(archive_jobs)
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(archive_jobs.c.id == job_id)
    ).one()
    found = [
        CollectionName(CollectionKind.JOB, str(job_id)),
        CollectionName(CollectionKind.SOURCE, row.code),
    ]
    if row.name is not None:
        found.append(CollectionName(CollectionKind.CAMPAIGN, row.name))
    return found


def describe(connection: Connection, collection: CollectionName) -> str:
    """The collection's title for people who open it elsewhere."""
    if collection.kind is CollectionKind.CAMPAIGN:
        return collection.name
    query = select(sources.c.name, campaigns.c.name.label("campaign")).select_from(sources)
    if collection.kind is CollectionKind.SOURCE:
        title = select(sources.c.name).where(sources.c.code == collection.name)
        return str(connection.execute(title).scalar_one())
    row = connection.execute(
        query.join(archive_jobs, archive_jobs.c.source_id == sources.c.id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(archive_jobs.c.id == int(collection.name))
    ).one()
    return f"{row.name}, {row.campaign}" if row.campaign else f"{row.name}, job {collection.name}"


def count_captures(connection: Connection, collection: CollectionName) -> int:
    """How many captures the collection has: what preparing it costs."""
    numbers = _jobs(connection, collection)
    query = select(func.count()).select_from(captures).where(captures.c.job_id.in_(numbers))
    return int(connection.execute(query).scalar_one())


def pages_of(
    connection: Connection, collection: CollectionName
) -> Iterator[tuple[str, datetime, str]]:
    """Every page with text: its URL, moment and title. Those near the front of a site come first.

    Read row by row, however many there are.
    """
    status = snapshots.c.status_code
    query = (
        select(snapshots.c.url, snapshots.c.captured_at, snapshots.c.title)
        .join(captures, captures.c.id == snapshots.c.capture_id)
        .where(
            captures.c.segment_id.in_(_segment_ids(_jobs(connection, collection))),
            status.is_(None) | ~status.between(*REDIRECTS),
            SHOWN,
        )
        .order_by(
            func.length(snapshots.c.url),
            snapshots.c.url,
            snapshots.c.captured_at,
            snapshots.c.capture_id,
        )
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for url, captured_at, title in connection.execute(query):
        yield url, captured_at, title or url


def originals_elsewhere(connection: Connection, collection: CollectionName) -> Iterator[Original]:
    """The responses that revisits of the collection refer to and that it does not have itself.

    A crawl refers to the first capture of a payload that its source had indexed: the lowest number.
    What is not shown counts as not there: a file to take away has no record of it.
    """
    inside = _segment_ids(_jobs(connection, collection))
    held = captures.alias("held")
    lost = (
        select(captures.c.payload_digest, captures.c.source_id)
        .where(
            captures.c.segment_id.in_(inside),
            captures.c.record_type == "revisit",
            captures.c.payload_digest.is_not(None),
            SHOWN,
            ~select(held.c.id)
            .where(
                held.c.payload_digest == captures.c.payload_digest,
                held.c.record_type == "response",
                held.c.segment_id.in_(inside),
                held.c.suppressed_by.is_(None),
            )
            .exists(),
        )
        .distinct()
        .subquery()
    )
    first = (
        select(func.min(held.c.id))
        .join(
            lost,
            (lost.c.payload_digest == held.c.payload_digest)
            & (lost.c.source_id == held.c.source_id),
        )
        .where(held.c.record_type == "response", held.c.suppressed_by.is_(None))
        .group_by(held.c.payload_digest, held.c.source_id)
    )
    query = (
        select(segments.c.name, segments.c.path, captures.c.record_offset, captures.c.record_length)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(captures.c.id.in_(first))
        .order_by(segments.c.name, captures.c.record_offset)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for row in connection.execute(query):
        yield Original(*row)


def hidden_elsewhere(
    connection: Connection, collection: CollectionName
) -> tuple[tuple[str, int], ...]:
    """Segment and offset of what is not shown of the collection's sources and lies outside it.

    Any of these may once have been an original of one of its revisits.
    """
    jobs = _jobs(connection, collection)
    of = select(archive_jobs.c.source_id).where(archive_jobs.c.id.in_(jobs))
    query = (
        select(segments.c.name, captures.c.record_offset)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(
            HIDDEN,
            captures.c.source_id.in_(of),
            captures.c.segment_id.not_in(_segment_ids(jobs)),
        )
        .order_by(segments.c.name, captures.c.record_offset)
    )
    return tuple((name, offset) for name, offset in connection.execute(query))


def span_start(connection: Connection, segment_name: str, offset: int) -> int:
    """Where the capture before the one at `offset` ends in its segment; 0 when it is the first."""
    end = func.max(captures.c.record_offset + captures.c.record_length)
    query = (
        select(end)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(segments.c.name == segment_name, captures.c.record_offset < offset)
    )
    return int(connection.execute(query).scalar() or 0)


def span_stop(connection: Connection, segment_name: str, offset: int) -> int | None:
    """Where the capture behind the one at `offset` begins; None when it is the last."""
    query = (
        select(func.min(captures.c.record_offset))
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(segments.c.name == segment_name, captures.c.record_offset > offset)
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def spans_left_out(
    connection: Connection, collection: CollectionName
) -> dict[str, list[tuple[int, int]]]:
    """Which (offset, length) spans of the collection's WARC files are not shown, by their names.

    A capture's span begins where the one before it ends: what accompanies it stands before it.
    Pictures have a place of their own, wherever another crawler has put them.
    """
    before = captures.alias("before")
    start = (
        select(before.c.record_offset + before.c.record_length)
        .where(
            before.c.segment_id == captures.c.segment_id,
            before.c.record_offset < captures.c.record_offset,
        )
        .order_by(before.c.record_offset.desc())
        .limit(1)
        .correlate(captures)
        .scalar_subquery()
    )
    begin = func.coalesce(start, 0)
    length = captures.c.record_offset + captures.c.record_length - begin
    inside = _segment_ids(_jobs(connection, collection))
    query = (
        select(segments.c.name, begin, length)
        .select_from(captures)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(HIDDEN, captures.c.segment_id.in_(inside))
    )
    seen = (
        select(segments.c.name, pictures.c.record_offset, pictures.c.record_length)
        .join(captures, captures.c.id == pictures.c.capture_id)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(HIDDEN, captures.c.segment_id.in_(inside))
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for name, offset, length in (*connection.execute(query), *connection.execute(seen)):
        found.setdefault(name, []).append((offset, length))
    return found


def captured_in(connection: Connection, segment_id: int) -> dict[int, bool]:
    """Where in a WARC file its captures and their pictures lie: True for what is not shown."""
    hidden = captures.c.suppressed_by.is_not(None)
    own = select(captures.c.record_offset, hidden).where(captures.c.segment_id == segment_id)
    seen = (
        select(pictures.c.record_offset, hidden)
        .join(captures, captures.c.id == pictures.c.capture_id)
        .where(captures.c.segment_id == segment_id)
    )
    found: dict[int, bool] = {}
    for offset, is_hidden in (*connection.execute(own), *connection.execute(seen)):
        found[offset] = found.get(offset, False) or bool(is_hidden)
    return found


def note_crc32(connection: Connection, segment_id: int, crc32: int) -> None:
    """Write down a segment's CRC-32, which never changes."""
    changed = update(segments).where(segments.c.id == segment_id)
    connection.execute(changed.values(crc32=crc32))


def _jobs(connection: Connection, collection: CollectionName) -> Select[Any]:
    """The question for the numbers of the collection's jobs. NotFound when there is none."""
    if collection.kind is CollectionKind.JOB:
        name = collection.name
        number = int(name) if name.isascii() and name.isdecimal() and len(name) < 20 else 0
        known = select(archive_jobs.c.id).where(archive_jobs.c.id == min(number, BIGGEST_ID))
        found = known
    elif collection.kind is CollectionKind.SOURCE:
        known = select(sources.c.id).where(sources.c.code == collection.name)
        found = select(archive_jobs.c.id).where(archive_jobs.c.source_id.in_(known))
    else:
        known = select(campaigns.c.id).where(campaigns.c.name == collection.name)
        found = select(archive_jobs.c.id).where(archive_jobs.c.campaign_id.in_(known))
    if connection.execute(known).first() is None:
        cure = f"`healtharchive {_LISTED_BY[collection.kind]}` shows those there are."
        raise NotFound(f"There is no {collection}.", cure)
    return found


_LISTED_BY = {
    CollectionKind.JOB: "list-jobs",
    CollectionKind.SOURCE: "source list",
    CollectionKind.CAMPAIGN: "campaign list",
}


def _segment_ids(job_ids: Select[Any]) -> Select[Any]:
    return select(segments.c.id).where(segments.c.job_id.in_(job_ids), *_indexed())


def _indexed() -> tuple[ColumnElement[bool], ...]:
    return segments.c.indexed_at.is_not(None), segments.c.state.in_(READABLE)
