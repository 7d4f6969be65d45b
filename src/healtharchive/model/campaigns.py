"""Campaigns: one edition over several sources, and whether it is ready for search."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, select

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.jobs import DEFAULT_RETRY_BUDGET, Job, count_jobs, create_job, list_jobs
from healtharchive.model.journal import Actor, record
from healtharchive.model.source import SourceDefinition
from healtharchive.model.sources import list_sources
from healtharchive.model.states import JobStatus, Quality
from healtharchive.model.tables import campaigns
from healtharchive.model.verdicts import in_short

KINDS = ("annual",)
FIRST_YEAR, LAST_YEAR = 1990, 2200

# What keeps a job's pages out of the search, by where the job stands.
_WHY_NOT: Mapping[JobStatus, str] = {
    JobStatus.QUEUED: "waits to be captured",
    JobStatus.RUNNING: "is being captured",
    JobStatus.PARKED: "is parked",
    JobStatus.RETRYABLE: "failed and will be tried again",
    JobStatus.PAUSED: "is paused",
    JobStatus.COMPLETED: "is captured and waits to be indexed",
    JobStatus.INDEXING: "is being indexed",
    JobStatus.INDEX_FAILED: "could not be indexed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "was cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One row of `campaigns`."""

    id: int
    name: str
    kind: str
    year: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a campaign is not ready for search: which job, and what about it.

    `quality` is set where the job is indexed and was judged not to be good enough.
    """

    job_id: int | None
    source: str
    status: JobStatus | None
    reason: str
    quality: Quality | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is missing of a job, and an operator accepted: a note, and no obstacle."""

    job_id: int
    source: str
    missing: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether all of a campaign can be searched, every reason why not, and what was accepted."""

    campaign: Campaign
    jobs: tuple[Job, ...]
    obstacles: tuple[Obstacle, ...]
    notes: tuple[Accepted, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.obstacles

    @property
    def verdict(self) -> str:
        """YES or NO, as it is printed."""
        return "YES" if self.ready else "NO"


def create_campaign(
    database: Database,
    connection: Connection,
    kind: str,
    year: int,
    *,
    jobs_root: str,
    actor: Actor,
    sources: Collection[str],
    retry_budget: int = DEFAULT_RETRY_BUDGET,
) -> tuple[Campaign, list[Job]]:
    """The campaign and the jobs this call added to it: one a source, in the sources' order.

    Asking again adds only what is missing, so it may be asked any number of times. `sources` are
    codes: the database also knows what `healtharchive crawl URL` made, which belongs to no edition
    unless it is named.
    """
    campaign = _find_or_add(database, connection, kind, year, actor)
    chosen = _chosen(connection, sources)
    present = {job.source for job in list_jobs(connection, campaign=campaign.name)}
    added = [
        create_job(
            database,
            connection,
            source=source.code,
            jobs_root=jobs_root,
            actor=actor,
            campaign=campaign.name,
            retry_budget=retry_budget,
            position=source.order,
            why=f"campaign {campaign.name} captures every source once",
        )
        for source in chosen
        if source.code not in present
    ]
    return campaign, added


def get_campaign(connection: Connection, name: str) -> Campaign:
    """One campaign; NotFound when there is none of this name."""
    row = connection.execute(select(campaigns).where(campaigns.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no campaign '{name}'.", "`healtharchive campaign list` shows them."
        )
    return _campaign(row)


def list_campaigns(connection: Connection) -> list[Campaign]:
    """Every campaign, the newest first."""
    query = select(campaigns).order_by(campaigns.c.created_at.desc(), campaigns.c.id.desc())
    return [_campaign(row) for row in connection.execute(query)]


def readiness(connection: Connection, name: str) -> Readiness:
    """Whether a campaign is ready for search; NotFound when there is none of this name."""
    campaign = get_campaign(connection, name)
    jobs = tuple(list_jobs(connection, campaign=name))
    obstacles = [found for found in map(_obstacle, jobs) if found is not None]
    if not jobs:
        obstacles.append(Obstacle(None, "", None, "it has no jobs"))
    notes = tuple(
        Accepted(job.id, job.source, in_short(job.quality_reasons))
        for job in jobs
        if job.status is JobStatus.INDEXED and job.quality is Quality.ACCEPTED
    )
    return Readiness(campaign, jobs, tuple(obstacles), notes)


def progress(connection: Connection, name: str) -> dict[JobStatus, int]:
    """How many of a campaign's jobs stand in each state."""
    return count_jobs(connection, campaign=name)


def _obstacle(job: Job) -> Obstacle | None:
    """What keeps a job's pages, or enough of them, out of the search; None when nothing does."""
    if job.status is JobStatus.INDEXED:
        return _flaw(job)
    reason = _WHY_NOT[job.status]
    detail = job.parked_reason or (job.last_error if job.status in _FAULTY else None)
    if detail:
        reason = f"{reason}: {detail}"
    if job.due_at is not None:
        reason = f"{reason} (not before {job.due_at:%Y-%m-%dT%H:%M:%SZ})"
    return Obstacle(job.id, job.source, job.status, reason)


def _flaw(job: Job) -> Obstacle | None:
    """What an indexed job was judged to lack. One that nobody judged is taken as it is."""
    if job.quality is None or job.quality not in _FLAWED:
        return None
    reason = f"{_FLAWED[job.quality]}: {in_short(job.quality_reasons)}"
    return Obstacle(job.id, job.source, job.status, reason, job.quality)


_FLAWED: Mapping[Quality, str] = {
    Quality.INCOMPLETE: "is incomplete",
    Quality.REFUSED: "cannot be judged",
}
_FAULTY = (JobStatus.RETRYABLE, JobStatus.FAILED, JobStatus.INDEX_FAILED)


def _chosen(connection: Connection, codes: Collection[str]) -> list[SourceDefinition]:
    known = list_sources(connection)
    missing = sorted(set(codes) - {source.code for source in known})
    if missing:
        raise NotFound(
            f"There is no source '{missing[0]}'.",
            "`healtharchive source list` shows those there are.",
        )
    chosen = [source for source in known if source.code in codes]
    if not chosen:
        raise BadInput(
            "There is no source to capture.", "Add one with `healtharchive source add FILE`."
        )
    return chosen


def _find_or_add(
    database: Database, connection: Connection, kind: str, year: int, actor: Actor
) -> Campaign:
    if kind not in KINDS:
        raise BadInput(f"There is no kind of campaign '{kind}'.", f"There is: {', '.join(KINDS)}.")
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise BadInput(
            f"The year {year} is not one of a campaign.",
            f"Give one from {FIRST_YEAR} to {LAST_YEAR}.",
        )
    name = f"{kind}-{year}"
    now = database.now(connection)
    added = connection.execute(
        database.insert_ignore(campaigns).values(name=name, kind=kind, year=year, created_at=now)
    )
    if added.rowcount == 1:
        record(
            connection,
            at=now,
            actor=actor,
            subject="campaign",
            subject_id=name,
            what="created",
            why="an operator asked",
        )
    # Two that create the same campaign at once take turns here, each seeing the other's jobs.
    connection.execute(select(campaigns.c.id).where(campaigns.c.name == name).with_for_update())
    return get_campaign(connection, name)


def _campaign(row: Row[tuple[object, ...]]) -> Campaign:
    return Campaign(
        id=row.id, name=row.name, kind=row.kind, year=row.year, created_at=row.created_at
    )
