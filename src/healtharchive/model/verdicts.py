"""What a job was judged to be: written when it is indexed or replayed, accepted by a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import Actor, legible, record
from healtharchive.model.leases import check_fence
from healtharchive.model.states import JobStatus, Quality
from healtharchive.model.tables import archive_jobs

MOST_REASONS = 50  # that are kept; a hundred failed seeds say no more


def store_verdict(
    database: Database,
    connection: Connection,
    job_id: int,
    fence: int,
    found: Quality,
    reasons: Sequence[str],
    *,
    actor: Actor,
) -> Quality:
    """Write what an attempt found a job to be, with its event; what the job counts as from now on.

    What an operator accepted stays accepted while nothing else is missing. LeaseLost when the
    token is no longer the job's.
    """
    check_fence(connection, job_id, fence)
    return _store(database, connection, job_id, found, reasons, actor, {"fence": fence})


def restate_verdict(
    database: Database,
    connection: Connection,
    job_id: int,
    found: Quality,
    reasons: Sequence[str],
    *,
    actor: Actor,
) -> Quality | None:
    """As `store_verdict`, for an indexed job that nobody holds; None, and nothing is written, when
    it is none: its indexing will judge it."""
    jobs = archive_jobs.c
    query = select(jobs.id).where(jobs.id == job_id, jobs.status == JobStatus.INDEXED)
    if connection.execute(query.with_for_update()).one_or_none() is None:
        return None
    return _store(database, connection, job_id, found, reasons, actor, {})


def _store(
    database: Database,
    connection: Connection,
    job_id: int,
    found: Quality,
    reasons: Sequence[str],
    actor: Actor,
    evidence: Mapping[str, int],
) -> Quality:
    before = get_job(connection, job_id)
    kept = _kept(reasons)
    accepted = before.quality is Quality.ACCEPTED and set(kept) <= set(before.quality_reasons)
    now = Quality.ACCEPTED if accepted and found is Quality.INCOMPLETE else found
    _write(connection, job_id, now, kept)
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job_id,
        what="judged",
        why=sentence(found, kept) + (", which was accepted before" if now is not found else ""),
        evidence={"quality": now, "reasons": list(kept), **evidence},
    )
    return now


def accept_verdict(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str
) -> Job:
    """Take an incomplete job as it is, for the campaign's readiness; the job afterwards.

    BadInput when there is no reason why, or the job is not INCOMPLETE: a REFUSED one says nothing
    that could be accepted.
    """
    if not why.strip():
        raise BadInput(f"Job {job_id} is accepted for a reason.", 'Give one: `--accept "REASON"`.')
    get_job(connection, job_id)
    # Held until the end, so that what is accepted is what was read.
    connection.execute(
        select(archive_jobs.c.id).where(archive_jobs.c.id == job_id).with_for_update()
    )
    job = get_job(connection, job_id)
    if job.quality is not Quality.INCOMPLETE:
        raise _not_acceptable(job)
    _write(connection, job_id, Quality.ACCEPTED, job.quality_reasons)
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job_id,
        what="accepted",
        why=why.strip(),
        evidence={"reasons": list(job.quality_reasons)},
    )
    return get_job(connection, job_id)


def sentence(quality: Quality, reasons: Sequence[str]) -> str:
    """A verdict in one sentence: `INCOMPLETE because …, and 2 reasons more`."""
    return f"{quality} because {in_short(reasons)}" if reasons else str(quality)


def in_short(reasons: Sequence[str]) -> str:
    """The first reason, and how many more there are."""
    further = len(reasons) - 1
    more = f", and {further} reason{'s' if further > 1 else ''} more" if further > 0 else ""
    return f"{reasons[0]}{more}" if reasons else "nobody wrote why"


def _kept(reasons: Sequence[str]) -> tuple[str, ...]:
    left_out = len(reasons) - MOST_REASONS
    more = (f"{left_out} reasons more, which were not kept",) if left_out > 0 else ()
    return (*map(legible, reasons[:MOST_REASONS]), *more)


def _write(connection: Connection, job_id: int, quality: Quality, reasons: Sequence[str]) -> None:
    connection.execute(
        update(archive_jobs)
        .where(archive_jobs.c.id == job_id)
        .values(quality=quality, quality_reasons=list(reasons))
    )


def _not_acceptable(job: Job) -> BadInput:
    said = {
        None: "was not judged yet: that is done when it is indexed",
        Quality.COMPLETE: "is COMPLETE: there is nothing to accept",
        Quality.ACCEPTED: "is accepted already",
        Quality.REFUSED: "could not be judged, and what nobody knows cannot be accepted",
    }
    cure = f"`healtharchive why job {job.id}` tells how it came to that."
    if job.quality is Quality.REFUSED:
        cure = f"`healtharchive reindex-job --id {job.id}` has it judged again."
    return BadInput(f"Job {job.id} {said[job.quality]}.", cure)
