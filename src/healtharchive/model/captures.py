"""What an index attempt writes: the captures and snapshots of a job's sealed segments.

Everything is told apart by (segment, offset), so that writing the same again changes nothing.
What the archive holds, as a reader asks for it, is in `holdings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.jobs import Job
from healtharchive.model.journal import Actor, record
from healtharchive.model.leases import check_fence
from healtharchive.model.pictures import Picture, store_pictures
from healtharchive.model.states import JobStatus, SegmentState
from healtharchive.model.suppression import apply_rules
from healtharchive.model.tables import archive_jobs, captures, segments, snapshots

# An open or suspect file may still change; its confirmed records arrive in a sealed one.
READABLE = tuple(
    state for state in SegmentState if state not in (SegmentState.OPEN, SegmentState.SUSPECT)
)
ROWS_A_QUESTION = 500  # SQLite takes 999 parameters a statement in its oldest builds


@dataclass(frozen=True, slots=True)
class SegmentToIndex:
    """A sealed WARC file whose captures are not all in the database yet."""

    id: int
    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One response or revisit record. `record_length` is of its compressed member."""

    record_offset: int
    record_length: int
    record_type: str
    url: str
    url_key: str
    captured_at: datetime
    status_code: int | None
    mime: str | None
    payload_digest: str | None
    payload_bytes: int | None
    truncated: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read off one captured page."""

    capture: Capture
    title: str
    language: str
    text_chars: int
    text_digest: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The numbers that rows have by now: captures by offset, snapshots by their capture's."""

    captures: Mapping[int, int]
    snapshots: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """Where a record lies, and the media type it was served with."""

    path: str
    offset: int
    length: int


def segments_to_index(connection: Connection, job_id: int) -> list[SegmentToIndex]:
    """The job's sealed segments that are not indexed, in the order they were made."""
    query = (
        select(segments.c.id, segments.c.name, segments.c.path)
        .where(
            segments.c.job_id == job_id,
            segments.c.indexed_at.is_(None),
            segments.c.state.in_(READABLE),
        )
        .order_by(segments.c.id)
    )
    return [SegmentToIndex(*row) for row in connection.execute(query)]


def store(
    database: Database,
    connection: Connection,
    job: Job,
    fence: int,
    segment: SegmentToIndex,
    found: Sequence[Capture],
    pages: Sequence[Snapshot],
    pictures: Sequence[tuple[Capture, Picture]] = (),
) -> Stored:
    """Add captures, snapshots and pictures; those that are there already are brought up to date.

    What a suppression meets is stored like all others, but not shown. LeaseLost when the token is
    no longer the job's.
    """
    check_fence(connection, job.id, fence)
    shared = {"segment_id": segment.id, "job_id": job.id, "source_id": job.source_id}
    if found:
        rows = [{**shared, **asdict(each)} for each in found]
        connection.execute(database.insert_ignore(captures), rows)
    known = _numbers(connection, segment.id, [each.record_offset for each in found])
    placed = {each.record_offset: each.url_key for each in found}
    apply_rules(connection, segment.name, placed, known)
    by_capture = _store_snapshots(connection, job, known, pages)
    of_captures = [(known[capture.record_offset], picture) for capture, picture in pictures]
    store_pictures(database, connection, of_captures)
    return Stored(
        known,
        {
            each.capture.record_offset: by_capture[known[each.capture.record_offset]]
            for each in pages
        },
    )


def mark_indexed(
    database: Database,
    connection: Connection,
    job: Job,
    fence: int,
    segment: SegmentToIndex,
    *,
    crc32: int,
    unreadable: int,
    evidence: Mapping[str, Any],
    actor: Actor,
) -> None:
    """Say that all of a segment is indexed, with its event; LeaseLost as in `store`."""
    check_fence(connection, job.id, fence)
    now = database.now(connection)
    connection.execute(
        update(segments)
        .where(segments.c.id == segment.id)
        .values(indexed_at=now, crc32=crc32, unreadable_records=unreadable)
    )
    record(
        connection,
        at=now,
        actor=actor,
        subject="segment",
        subject_id=segment.name,
        what="indexed",
        why=f"job {job.id} is indexed by attempt {fence}",
        evidence=evidence,
    )


def mark_unindexed(connection: Connection, job_id: int | None = None) -> int:
    """Have the segments of a job, or of all, indexed and compared once more; how many they are."""
    query = update(segments).where(segments.c.indexed_at.is_not(None)).values(indexed_at=None)
    anew = update(archive_jobs).values(compared_upto=0)
    if job_id is not None:
        query = query.where(segments.c.job_id == job_id)
        anew = anew.where(archive_jobs.c.id == job_id)
    connection.execute(anew)
    return int(connection.execute(query).rowcount)


def is_indexed_by(connection: Connection, job_id: int, fence: int) -> bool:
    """Whether this attempt is the one that indexes the job now."""
    query = select(archive_jobs.c.id).where(
        archive_jobs.c.id == job_id,
        archive_jobs.c.fence == fence,
        archive_jobs.c.status == JobStatus.INDEXING,
    )
    return connection.execute(query).one_or_none() is not None


def responses_with(connection: Connection, payload_digest: str, limit: int) -> list[StoredRecord]:
    """The newest response records that hold a payload: what a revisit of it refers to."""
    query = (
        select(segments.c.path, captures.c.record_offset, captures.c.record_length)
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(captures.c.payload_digest == payload_digest, captures.c.record_type == "response")
        .order_by(captures.c.id.desc())
        .limit(limit)
    )
    return [StoredRecord(*row) for row in connection.execute(query)]


def _numbers(connection: Connection, segment_id: int, offsets: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for some in _portions(offsets):
        query = select(captures.c.record_offset, captures.c.id).where(
            captures.c.segment_id == segment_id, captures.c.record_offset.in_(some)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _store_snapshots(
    connection: Connection, job: Job, numbers: Mapping[int, int], pages: Sequence[Snapshot]
) -> dict[int, int]:
    """Snapshot ids by capture id. A capture keeps its snapshot's number when it is read again."""
    wanted = {numbers[each.capture.record_offset]: _columns(each) for each in pages}
    known = _snapshot_numbers(connection, list(wanted))
    changed = [{"of": key, **wanted[key]} for key in known]
    fresh = [
        {
            "capture_id": key,
            "job_id": job.id,
            "source_id": job.source_id,
            "campaign_id": job.campaign_id,
            **columns,
        }
        for key, columns in wanted.items()
        if key not in known
    ]
    if changed:
        connection.execute(
            update(snapshots).where(snapshots.c.capture_id == bindparam("of")), changed
        )
    if fresh:
        connection.execute(insert(snapshots), fresh)
    return _snapshot_numbers(connection, list(wanted))


def _snapshot_numbers(connection: Connection, capture_ids: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for some in _portions(capture_ids):
        query = select(snapshots.c.capture_id, snapshots.c.id).where(
            snapshots.c.capture_id.in_(some)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _columns(page: Snapshot) -> dict[str, Any]:
    return {
        "url": page.capture.url,
        "url_key": page.capture.url_key,
        "captured_at": page.capture.captured_at,
        "status_code": page.capture.status_code,
        "mime": page.capture.mime,
        "payload_digest": page.capture.payload_digest,
        "title": page.title,
        "language": page.language or None,
        "text_chars": page.text_chars,
        "text_digest": page.text_digest,
    }


def _portions(values: Sequence[int]) -> Iterable[Sequence[int]]:
    for at in range(0, len(values), ROWS_A_QUESTION):
        yield values[at : at + ROWS_A_QUESTION]
