"""Segments as files: what is needed to ship, check and restore them, and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection, Row, select, update

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.layout import WARCS_NAME
from healtharchive.model.states import SEGMENT_TRANSITIONS, SegmentEvent, SegmentState, step
from healtharchive.model.tables import archive_jobs, campaigns, segments, sources

COUNTS = (
    "urls_queued",
    "urls_in_flight",
    "urls_done",
    "urls_failed",
    "urls_excluded",
    "captures_written",
    "revisits_written",
    "bytes_written",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFile:
    """A segment with what is needed to ship, check or restore it. `name` is below a target's root.

    `verified_on` are the targets that have a verified copy.
    """

    id: int
    job_id: int
    name: str
    state: SegmentState
    path: str
    size_bytes: int
    sha256: str
    records: int
    fence: int
    sealed_at: datetime | None
    verified_on: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.name).name


def segment_files() -> Any:
    """The question for segments with the names around them; `file_of` reads its rows."""
    return select(
        segments.c.id,
        segments.c.job_id,
        segments.c.name,
        segments.c.state,
        segments.c.path,
        segments.c.size_bytes,
        segments.c.sha256,
        segments.c.records,
        segments.c.fence,
        segments.c.sealed_at,
        archive_jobs.c.output_dir,
        sources.c.code.label("source"),
    ).select_from(segments.join(archive_jobs).join(sources))


def segment_files_of(connection: Connection) -> list[SegmentFile]:
    """Every segment there is, the oldest first."""
    query = segment_files().order_by(segments.c.sealed_at, segments.c.id)
    return [file_of(row) for row in connection.execute(query)]


def file_of(row: Row[Any], on: tuple[str, ...] = ()) -> SegmentFile:
    """A row of `segment_files` as a record."""
    directory = PurePosixPath(row.output_dir).name
    return SegmentFile(
        id=row.id,
        job_id=row.job_id,
        name=f"{row.source}/{directory}/{WARCS_NAME}/{row.name}",
        state=SegmentState(row.state),
        path=row.path,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        records=row.records,
        fence=row.fence,
        sealed_at=row.sealed_at,
        verified_on=on,
    )


def job_facts(connection: Connection, job_id: int) -> dict[str, Any]:
    """What `job.json` on a target says of the job, for a rebuild from the target alone."""
    row = connection.execute(
        select(
            archive_jobs,
            sources.c.code.label("source"),
            sources.c.definition,
            campaigns.c.name.label("campaign"),
            campaigns.c.kind.label("campaign_kind"),
            campaigns.c.year.label("campaign_year"),
        )
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(archive_jobs.c.id == job_id)
    ).one()
    moments = ("created_at", "started_at", "finished_at")
    return {
        "job": row.id,
        "source": row.source,
        "definition": row.definition,
        "campaign": row.campaign,
        "campaign_kind": row.campaign_kind,
        "campaign_year": row.campaign_year,
        "config": row.config,
        "outcome": row.outcome,
        "counts": {name: getattr(row, name) for name in COUNTS},
        **{name: value.isoformat() if (value := getattr(row, name)) else None for name in moments},
    }


def change_segment(
    database: Database,
    connection: Connection,
    segment: SegmentFile,
    event: SegmentEvent,
    *,
    actor: Actor,
    why: str,
) -> None:
    """Take a segment one legal step and write its event."""
    row = connection.execute(
        select(segments.c.state).where(segments.c.id == segment.id).with_for_update()
    ).one()
    before = SegmentState(row.state)
    after = step(SEGMENT_TRANSITIONS, before, event)
    connection.execute(update(segments).where(segments.c.id == segment.id).values(state=after))
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="segment",
        subject_id=segment.file_name,
        what=event,
        from_state=before,
        to_state=after,
        why=why,
        evidence={"job": segment.job_id},
    )
