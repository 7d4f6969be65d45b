"""Jobs: one capture of one source each. Their record, their questions, and their changes.

Every change of a job's state goes through `transition`: the table of states decides, and the event
is written in the same transaction. Claims are in `leases`, a person's commands in `operator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, LeaseLost, NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.orders import Counts
from healtharchive.model.sources import get_source, source_id
from healtharchive.model.states import HELD, JOB_TRANSITIONS, JobEvent, JobStatus, Quality, step
from healtharchive.model.tables import BIGGEST_ID, archive_jobs, campaigns, sources, targets
from healtharchive.model.target import SPOOL

DEFAULT_RETRY_BUDGET = 3
SETTLED = (
    JobStatus.INDEXED,
    JobStatus.INDEX_FAILED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
    JobStatus.PAUSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of `archive_jobs` with the names of its source and campaign.

    `retry_count` is spent by the job's own failures, `park_count` counts the world's and
    `rescue_count` lost workers; `park_streak` is how often in a row the wait has doubled.
    """

    id: int
    source_id: int
    source: str
    campaign_id: int | None
    campaign: str | None
    status: JobStatus
    position: int
    engine: str
    config: Mapping[str, Any]
    output_dir: str
    not_before: datetime | None
    parked_reason: str | None
    parked_target: str | None
    target: str | None
    hot_path: str | None
    retry_count: int
    retry_budget: int
    index_retry_count: int
    park_count: int
    park_streak: int
    rescue_count: int
    attempt_count: int
    fence: int
    lease_owner: str | None
    lease_expires_at: datetime | None
    heartbeat_at: datetime | None
    requested_stop: str | None
    counts: Counts
    progress_at: datetime | None
    outcome: str | None
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    indexed_at: datetime | None
    quality: Quality | None = None  # None: nobody has judged it
    quality_reasons: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether nothing happens to it any more unless a person asks."""
        return self.status in SETTLED

    @property
    def due_at(self) -> datetime | None:
        """Until when it waits: for its next try, or while it runs, politely; None when it does not.

        A running crawl keeps the moment at which its last polite wait was over.
        """
        got_on = self.status in HELD and self.parked_reason is None
        return None if got_on else self.not_before


# The columns that a record takes as they are; the others come from joins or are put together.
_MADE = ("source", "campaign", "status", "counts", "quality", "quality_reasons")
_PLAIN = tuple(each.name for each in fields(Job) if each.name not in _MADE)


# -- questions -----------------------------------------------------------------------------


def get_job(connection: Connection, job_id: int) -> Job:
    """One job; NotFound when the id is not there."""
    row = None
    if 0 < job_id <= BIGGEST_ID:
        row = connection.execute(_jobs().where(archive_jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.", "`healtharchive list-jobs` shows them.")
    return _job(row)


def list_jobs(
    connection: Connection,
    *,
    statuses: Sequence[JobStatus] = (),
    source: str | None = None,
    campaign: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Job]:
    """The jobs that match, in the order they are claimed."""
    query = _jobs()
    if statuses:
        query = query.where(archive_jobs.c.status.in_(statuses))
    if source is not None:
        query = query.where(sources.c.code == source)
    if campaign is not None:
        query = query.where(campaigns.c.name == campaign)
    query = query.order_by(archive_jobs.c.position, archive_jobs.c.id)
    query = query.limit(limit).offset(offset)
    return [_job(row) for row in connection.execute(query)]


def waiting_jobs(connection: Connection, *, limit: int | None = None) -> list[Job]:
    """The jobs that wait for a time, the next to be released first."""
    waiting = (JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)
    query = _jobs().where(
        archive_jobs.c.status.in_(waiting), archive_jobs.c.not_before.is_not(None)
    )
    query = query.order_by(archive_jobs.c.not_before, archive_jobs.c.id).limit(limit)
    return [_job(row) for row in connection.execute(query)]


def count_jobs(connection: Connection, *, campaign: str | None = None) -> dict[JobStatus, int]:
    """How many jobs stand in each state that any job is in."""
    query = select(archive_jobs.c.status, func.count()).group_by(archive_jobs.c.status)
    if campaign is not None:
        query = query.join(campaigns).where(campaigns.c.name == campaign)
    return {JobStatus(status): number for status, number in connection.execute(query)}


def _jobs() -> Select[Any]:
    return (
        select(
            archive_jobs,
            sources.c.code.label("source_code"),
            campaigns.c.name.label("campaign_name"),
        )
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
    )


def _job(row: Row[Any]) -> Job:
    states = (
        row.urls_queued,
        row.urls_in_flight,
        row.urls_done,
        row.urls_failed,
        row.urls_excluded,
    )
    counts = Counts(
        sum(states), *states, row.captures_written, row.revisits_written, row.bytes_written
    )
    plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    return Job(
        source=row.source_code,
        campaign=row.campaign_name,
        status=JobStatus(row.status),
        counts=counts,
        quality=Quality(row.quality) if row.quality else None,
        quality_reasons=tuple(row.quality_reasons or ()),
        **plain,
    )


# -- changes -------------------------------------------------------------------------------


def create_job(
    database: Database,
    connection: Connection,
    *,
    source: str,
    jobs_root: str,
    actor: Actor,
    campaign: str | None = None,
    retry_budget: int = DEFAULT_RETRY_BUDGET,
    config: Mapping[str, Any] | None = None,
    position: int = 0,
    why: str = "an operator asked",
) -> Job:
    """Queue a capture of a source. `config` overrides the source's limits: {"limits": {…}}.

    NotFound for an unknown source or campaign; BadInput when the campaign has this source already.
    """
    owner_id = source_id(connection, source)
    campaign_id = _campaign_id(connection, campaign)
    if campaign_id is not None:
        _refuse_second(connection, source, owner_id, str(campaign), campaign_id)
    now = database.now(connection)
    output_dir = _output_dir(connection, jobs_root, source, campaign, now)
    result = connection.execute(
        insert(archive_jobs).values(
            source_id=owner_id,
            campaign_id=campaign_id,
            status=JobStatus.QUEUED,
            position=position,
            engine=get_source(connection, source).engine,
            config=dict(config or {}),
            output_dir=output_dir,
            target=target_of(connection, output_dir),
            retry_budget=retry_budget,
            created_at=now,
        )
    )
    assert result.inserted_primary_key is not None
    job = get_job(connection, int(result.inserted_primary_key[0]))
    record(
        connection,
        at=now,
        actor=actor,
        subject="job",
        subject_id=job.id,
        what="created",
        to_state=job.status,
        why=why,
        evidence={"source": source, "campaign": campaign, "output_dir": job.output_dir},
    )
    return job


def transition(
    database: Database,
    connection: Connection,
    job_id: int,
    event: JobEvent,
    *,
    actor: Actor,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    fence: int | None = None,
    caused_by: int | None = None,
    columns: Mapping[str, Any] | None = None,
) -> int:
    """Take a job one legal step and write its event; the event's id.

    IllegalTransition when the table has no such step. With `fence` the step belongs to an attempt:
    LeaseLost when the job has another token by now. `columns` change in the same statement.
    """
    row = connection.execute(
        select(archive_jobs.c.status, archive_jobs.c.fence)
        .where(archive_jobs.c.id == job_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.", "`healtharchive list-jobs` shows them.")
    if fence is not None and row.fence != fence:
        raise LeaseLost(f"Job {job_id} has token {row.fence} by now; this attempt has {fence}.")
    before = JobStatus(row.status)
    after = step(JOB_TRANSITIONS, before, event)
    changed = connection.execute(
        update(archive_jobs)
        .where(
            archive_jobs.c.id == job_id,
            archive_jobs.c.status == before,
            archive_jobs.c.fence == row.fence,
        )
        .values(status=after, **(columns or {}))
    )
    if changed.rowcount != 1:
        raise LeaseLost(f"Job {job_id} was changed by somebody else meanwhile.")
    return record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job_id,
        what=event,
        from_state=before,
        to_state=after,
        why=why,
        evidence=evidence,
        caused_by=caused_by,
    )


# -- making a job --------------------------------------------------------------------------


def _campaign_id(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    found = connection.execute(select(campaigns.c.id).where(campaigns.c.name == name)).scalar()
    if found is None:
        raise NotFound(
            f"There is no campaign '{name}'.", "`healtharchive campaign list` shows them."
        )
    return int(found)


def _refuse_second(
    connection: Connection, source: str, owner_id: int, campaign: str, campaign_id: int
) -> None:
    taken = connection.execute(
        select(archive_jobs.c.id).where(
            archive_jobs.c.campaign_id == campaign_id, archive_jobs.c.source_id == owner_id
        )
    ).scalar()
    if taken is not None:
        raise BadInput(
            f"Campaign '{campaign}' already captures source '{source}': job {taken}.",
            f"`healtharchive show-job --id {taken}` shows it.",
        )


def target_of(connection: Connection, path: str) -> str | None:
    """The declared target that a path lies on: the one with the longest root above it.

    None for the spool's own disk, which every job needs.
    """
    query = select(targets.c.name, targets.c.root).where(targets.c.declared)
    rows = connection.execute(query.where(targets.c.name != SPOOL)).all()
    above = [row for row in rows if f"{path}/".startswith(row.root.rstrip("/") + "/")]
    return max(above, key=lambda row: len(row.root)).name if above else None


def _output_dir(
    connection: Connection, jobs_root: str, source: str, campaign: str | None, now: datetime
) -> str:
    """jobs_root/hc/20260101T000502Z__hc-annual-2026, numbered when that one is taken."""
    base = f"{jobs_root.rstrip('/')}/{source}/{now:%Y%m%dT%H%M%SZ}__{source}-{campaign or 'crawl'}"
    taken = set(
        connection.execute(
            select(archive_jobs.c.output_dir).where(
                archive_jobs.c.output_dir.startswith(base, autoescape=True)
            )
        ).scalars()
    )
    number = 1
    path = base
    while path in taken:
        number += 1
        path = f"{base}-{number}"
    return path
