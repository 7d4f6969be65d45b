"""What the archive holds for a reader: one capture, all of a page, the nearest to a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from healtharchive.model import wire
from healtharchive.model.copies import CopyState
from healtharchive.model.errors import NotFound
from healtharchive.model.states import SegmentState, TargetState
from healtharchive.model.tables import (
    BIGGEST_ID,
    SHOWN,
    archive_jobs,
    campaigns,
    captures,
    copies,
    segments,
    snapshots,
    sources,
    targets,
)
from healtharchive.model.target import SegmentCopy, TargetDefinition, TargetKind
from healtharchive.model.withheld import LISTED, Suppressed

FIRST_REDIRECT_STATUS = 300
FIRST_ERROR_STATUS = 400
RESPONSE = "response"
REVISIT = "revisit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One capture with the names around it. `title` and `language` are the indexed page's, if any.

    The record is `record_length` bytes of the file `segment_path` from `record_offset` on. One
    with `suppressed_by` is only read for the body that another one refers to.
    """

    id: int
    url: str
    url_key: str
    captured_at: datetime
    source: str
    source_name: str
    campaign: str | None
    job_id: int
    title: str | None
    language: str | None
    status_code: int | None
    mime: str | None
    payload_digest: str | None
    payload_bytes: int | None
    truncated: str | None
    record_type: str
    record_offset: int
    record_length: int
    segment: str
    segment_path: str
    suppressed_by: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One moment at which a page was captured."""

    id: int
    captured_at: datetime
    status_code: int | None
    payload_digest: str | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One WARC file of a job."""

    name: str
    state: SegmentState
    size_bytes: int
    records: int
    unreadable_records: int
    sha256: str


def get_holding(connection: Connection, capture_id: int) -> Holding:
    """One capture; NotFound when the id is not there, Suppressed when it is not shown."""
    row = None
    if 0 < capture_id <= BIGGEST_ID:
        row = connection.execute(_holdings().where(captures.c.id == capture_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no capture {capture_id}.", "`healtharchive search` finds those there are."
        )
    if row.suppressed_by is not None:
        raise Suppressed(f"The archive has capture {capture_id} but does not show it.", LISTED)
    return _holding(row)


def nearest_holding(
    connection: Connection, url_key: str, moment: datetime, url: str
) -> Holding | None:
    """The capture of a page nearest to a moment, one that is no error if there is any.

    A redirect of another spelling than `url` (http: for https:) leads to what was asked for, so it
    stands for it only where nothing else does.
    """
    well = captures.c.status_code < FIRST_ERROR_STATUS
    no_way_here = or_(captures.c.url == url, captures.c.status_code < FIRST_REDIRECT_STATUS)
    page = _sightings(url_key)
    return _nearest(connection, moment, page.where(well, no_way_here), page.where(well), page)


def nearest_answer(connection: Connection, url_key: str, moment: datetime) -> Holding | None:
    """The capture of a page nearest to a moment that is no redirect; no error if there is any."""
    status = captures.c.status_code
    page = _sightings(url_key)
    return _nearest(
        connection,
        moment,
        page.where(status < FIRST_REDIRECT_STATUS),
        page.where(status >= FIRST_ERROR_STATUS),
    )


def _nearest(connection: Connection, moment: datetime, *choices: Select[Any]) -> Holding | None:
    """The nearest capture of the first choice that has any."""
    for wanted in choices:
        found = _around(connection, wanted, moment, 1)
        if found:
            nearest = min(found, key=lambda each: abs(each.captured_at - moment))
            return get_holding(connection, nearest.id)
    return None


def payload_holding(connection: Connection, revisit: Holding) -> Holding | None:
    """The response that holds the body a revisit refers to, of the same page where there is one.

    One that is not shown is the last choice, but it is one: the revisit itself is shown, and what
    it says are these bytes.
    """
    if revisit.payload_digest is None:
        return None
    same_page: ColumnElement[bool] = captures.c.url_key == revisit.url_key
    query = (
        _holdings()
        .where(
            captures.c.payload_digest == revisit.payload_digest,
            captures.c.record_type == RESPONSE,
        )
        .order_by(SHOWN.desc(), same_page.desc(), captures.c.captured_at.desc())
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _holding(row)


def sightings_around(
    connection: Connection, url_key: str, moment: datetime, limit: int
) -> list[Sighting]:
    """The `limit` captures of a page nearest to a moment, oldest first."""
    found = _around(connection, _sightings(url_key), moment, limit)
    found.sort(key=lambda each: abs(each.captured_at - moment))
    return sorted(found[:limit], key=lambda each: (each.captured_at, each.id))


def count_sightings(connection: Connection, url_key: str) -> int:
    """How often a page was captured."""
    query = select(func.count()).select_from(captures).where(captures.c.url_key == url_key, SHOWN)
    return int(connection.execute(query).scalar_one())


def segments_of_job(connection: Connection, job_id: int) -> list[Segment]:
    """A job's WARC files, in the order they were made."""
    query = select(segments).where(segments.c.job_id == job_id).order_by(segments.c.id)
    return [_segment(row) for row in connection.execute(query)]


def segment_named(connection: Connection, name: str) -> Segment:
    """The WARC file of this name, which captures are in."""
    return _segment(connection.execute(select(segments).where(segments.c.name == name)).one())


def segment_place(connection: Connection, segment_name: str) -> tuple[str, int, str]:
    """The path of a WARC file, its size in bytes and its SHA-256; NotFound when there is none."""
    columns = segments.c.path, segments.c.size_bytes, segments.c.sha256
    query = select(*columns).where(segments.c.name == segment_name)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no WARC file {segment_name}.")
    return str(row.path), int(row.size_bytes), str(row.sha256)


def copies_of(connection: Connection, segment_name: str) -> tuple[SegmentCopy, ...]:
    """The verified copies of a segment on declared targets; those in directories come first."""
    query = (
        select(copies.c.name, targets.c.identity, targets.c.state, targets.c.definition)
        .join(segments, segments.c.id == copies.c.segment_id)
        .join(targets, targets.c.name == copies.c.target)
        .where(
            segments.c.name == segment_name,
            copies.c.state == CopyState.VERIFIED,
            targets.c.declared,
        )
        .order_by(targets.c.kind == TargetKind.OBJECT, copies.c.id)
    )
    return tuple(
        SegmentCopy(
            wire.from_plain(TargetDefinition, row.definition),
            row.identity or "",
            row.name,
            row.state != TargetState.CLOSED,
        )
        for row in connection.execute(query)
    )


def _segment(row: Row[Any]) -> Segment:
    return Segment(
        row.name,
        SegmentState(row.state),
        row.size_bytes,
        row.records,
        row.unreadable_records,
        row.sha256,
    )


def _sightings(url_key: str) -> Select[Any]:
    return select(
        captures.c.id, captures.c.captured_at, captures.c.status_code, captures.c.payload_digest
    ).where(captures.c.url_key == url_key, SHOWN)


def _around(
    connection: Connection, query: Select[Any], moment: datetime, limit: int
) -> list[Sighting]:
    """Up to `limit` captures on each side of the moment."""
    at = captures.c.captured_at
    before = query.where(at <= moment).order_by(at.desc(), captures.c.id.desc()).limit(limit)
    after = query.where(at > moment).order_by(at, captures.c.id).limit(limit)
    rows = [*connection.execute(before), *connection.execute(after)]
    return [Sighting(*row) for row in rows]


def _holdings() -> Select[Any]:
    return (
        select(
            captures,
            sources.c.code.label("source"),
            sources.c.name.label("source_name"),
            campaigns.c.name.label("campaign"),
            snapshots.c.title,
            snapshots.c.language,
            segments.c.name.label("segment"),
            segments.c.path.label("segment_path"),
        )
        .join(segments, segments.c.id == captures.c.segment_id)
        .join(sources, sources.c.id == captures.c.source_id)
        .join(archive_jobs, archive_jobs.c.id == captures.c.job_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
    )


def _holding(row: Row[Any]) -> Holding:
    return Holding(**{name: getattr(row, name) for name in Holding.__dataclass_fields__})
