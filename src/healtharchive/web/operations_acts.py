"""What a person does from the operations pages or through the admin API.

Each act is the very one of the command line, behind the same gates, and its event names the token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from healtharchive.crawl.sources import load_all
from healtharchive.model import journal, operator, reader_reports
from healtharchive.model.campaigns import create_campaign
from healtharchive.model.captures import mark_unindexed
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.pausing import declare_pause, end_pauses
from healtharchive.model.reader_reports import ReportState
from healtharchive.model.services import Service
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JOB_TRANSITIONS, JobEvent, JobStatus
from healtharchive.web.operations_admission import Visitor
from healtharchive.web.trouble import Missing, Unusable
from healtharchive.web.visit import Site

LONGEST_WHY = 500
LONGEST_PAUSE_HOURS = 24 * 90

JOB_ACTS: Mapping[str, Callable[..., Job]] = {
    "pause": operator.pause_job,
    "resume": operator.resume_job,
    "cancel": operator.cancel_job,
    "retry": operator.retry_job,
    "reindex": operator.reindex_job,
}


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: the event that says so."""

    event_id: int
    subject: str
    subject_id: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Edition:
    """A campaign and the jobs that were added to it."""

    campaign: str
    added: tuple[int, ...]


def acts_for(job: Job) -> tuple[str, ...]:
    """What may be done to a job as it stands. Pure."""
    asked = job.requested_stop in (JobEvent.PAUSE, JobEvent.CANCEL)
    if job.status is JobStatus.RUNNING:
        return ("resume",) if asked else ("pause", "cancel")
    return tuple(act for act in JOB_ACTS if (job.status, JobEvent(act)) in JOB_TRANSITIONS)


def reason(given: str) -> str:
    """A reason as the journal takes it; Unusable when there is none."""
    said = journal.legible(" ".join(given.split()))
    if not 0 < len(said) <= LONGEST_WHY:
        raise Unusable("operations.why.needed", most=LONGEST_WHY)
    return said


def act_on_job(site: Site, visitor: Visitor, job_id: int, act: str, why: str) -> Done:
    """Pause, resume, cancel, retry or index a job again. Missing; BadInput where it cannot be."""
    said = reason(why)
    database = site.database
    with database.begin() as connection:
        try:
            get_job(connection, job_id)
        except NotFound:
            raise Missing("trouble.404.job", id=job_id) from None
        JOB_ACTS[act](database, connection, job_id, actor=visitor.actor, why=said)
        if act == "reindex":
            mark_unindexed(connection, job_id)
        return _newest(connection, "job", job_id)


def pause_worker(
    site: Site, visitor: Visitor, why: str, hours: float | None = None, *, let_finish: bool = False
) -> Done:
    """Declare that no worker claims anything. BadInput when that was declared already."""
    said = reason(why)
    database = site.database
    with database.begin() as connection:
        declare_pause(
            database,
            connection,
            who=f"token {visitor.name}",
            why=said,
            actor=visitor.actor,
            until=database.now(connection) + timedelta(hours=hours) if hours else None,
            let_finish=let_finish,
        )
        return _newest(connection, Service.WORKER, "all")


def resume_worker(site: Site, visitor: Visitor, why: str) -> Done:
    """End every declared pause of the workers. BadInput when there is none."""
    said = reason(why)
    database = site.database
    with database.begin() as connection:
        ended = end_pauses(database, connection, said, actor=visitor.actor)
        if not ended:
            raise BadInput(
                "No pause of the workers is declared.", "`healtharchive status` shows what is."
            )
        return _newest(connection, Service.WORKER, ended[-1].host or "all")


def settle_report(site: Site, visitor: Visitor, number: int, state: ReportState, note: str) -> Done:
    """Say what became of a reader's report. Missing; BadInput when that was said before."""
    said = reason(note)
    database = site.database
    with database.begin() as connection:
        try:
            reader_reports.get_report(connection, number)
        except NotFound:
            raise Missing("trouble.404.report", id=number) from None
        reader_reports.settle(
            database,
            connection,
            number,
            state,
            note=said,
            who=f"token {visitor.name}",
            actor=visitor.actor,
        )
        return _newest(connection, "report", number)


def make_campaign(
    site: Site, visitor: Visitor, kind: str, year: int, sources: tuple[str, ...]
) -> Edition:
    """A campaign with one job a source; asked again, it adds what is missing."""
    database, settings = site.database, site.settings
    with database.begin() as connection:
        declared = load_all(settings.sources_dir)
        for definition in declared.values():
            upsert_source(database, connection, definition, actor=visitor.actor)
        campaign, added = create_campaign(
            database,
            connection,
            kind,
            year,
            jobs_root=str(settings.jobs_root),
            actor=visitor.actor,
            sources=sources or declared,
            retry_budget=settings.retry_budget,
        )
    return Edition(campaign.name, tuple(job.id for job in added))


def _newest(connection: Any, subject: str, subject_id: int | str) -> Done:
    (event,) = journal.read(connection, subject=subject, subject_id=subject_id, limit=1)
    return Done(event.id, event.subject, event.subject_id, event.what, event.why)
