"""The jobs as their operator sees them: each with its log, its story, and what may be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from healtharchive.model.attempts import Attempt, list_attempts
from healtharchive.model.errors import NotFound
from healtharchive.model.jobs import count_jobs, get_job, list_jobs
from healtharchive.model.journal import Event, story
from healtharchive.model.states import JobStatus, Quality
from healtharchive.model.tokens import Scope
from healtharchive.web.cdx_query import Asked
from healtharchive.web.operations_acts import JOB_ACTS, act_on_job, acts_for
from healtharchive.web.operations_desk import DeskDep, page
from healtharchive.web.operations_entry import PageVisitor, SentDep
from healtharchive.web.operations_log import Tail
from healtharchive.web.progress import JobFacts, job_facts, source_names
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import Site, SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
LAST_PAGE = 100_000
MOST_ATTEMPTS = 50
MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class JobList:
    """One page of the jobs in one state, or of all, in the order they are claimed."""

    status: str
    by_status: dict[str, int]
    total: int
    page: int
    pages: int
    jobs: tuple[JobFacts, ...]


@dataclass(frozen=True, slots=True)
class JobView:
    """One job. `acts` is what may be done to it as it stands; events are newest first."""

    job: JobFacts
    engine: str
    target: str | None
    lease_owner: str | None
    heartbeat_at: datetime | None
    progress_at: datetime | None
    requested_stop: str | None
    quality: Quality | None
    quality_reasons: tuple[str, ...]
    acts: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]


def jobs_of(site: Site, status: str, number: int) -> JobList:
    """A page of the jobs."""
    statuses = (JobStatus(status),) if status else ()
    with site.database.read() as connection:
        counts = count_jobs(connection)
        total = counts.get(JobStatus(status), 0) if status else sum(counts.values())
        pages = max(1, -(-total // PER_PAGE))
        number = min(number, pages)
        names = source_names(connection)
        offset = (number - 1) * PER_PAGE
        found = list_jobs(connection, statuses=statuses, limit=PER_PAGE, offset=offset)
    by_status = {str(each): count for each, count in counts.items()}
    facts = tuple(job_facts(job, names) for job in found)
    return JobList(status, by_status, total, number, pages, facts)


def job_of(site: Site, job_id: int) -> JobView:
    """One job with its attempts and its story; Missing when there is none of this number."""
    with site.database.read() as connection:
        try:
            row = get_job(connection, job_id)
        except NotFound:
            raise Missing("trouble.404.job", id=job_id) from None
        facts = job_facts(row, source_names(connection))
        attempts = list_attempts(connection, job_id, limit=MOST_ATTEMPTS)
        events = story(connection, "job", job_id, limit=MOST_EVENTS)
    return JobView(
        facts,
        row.engine,
        row.target,
        row.lease_owner,
        row.heartbeat_at,
        row.progress_at,
        row.requested_stop,
        row.quality,
        row.quality_reasons,
        acts_for(row),
        tuple(attempts),
        tuple(reversed(events)),
    )


@router.get("/{language}/operations/jobs")
def show_all(visit: VisitDep, site: SiteDep, visitor: PageVisitor) -> Response:
    """A page of the jobs."""
    asked = Asked(visit.request.query_params.multi_items())
    status = asked.choice("status", ("", *JobStatus), "")
    found = jobs_of(site, status, asked.number("page", 1, LAST_PAGE) or 1)
    return page(
        visit,
        visitor,
        "jobs",
        "jobs.html",
        found,
        statuses=[each for each in JobStatus if found.by_status.get(each)],
        page_link=lambda number: visit.link(page=str(number)),
    )


@router.get("/{language}/operations/job/{job_id}")
def show(
    job_id: int, visit: VisitDep, site: SiteDep, visitor: PageVisitor, desk: DeskDep
) -> Response:
    """One job."""
    found = job_of(site, job_id)
    return page(
        visit,
        visitor,
        "jobs",
        "job.html",
        found,
        job_id=job_id,
        job=found.job,
        tail=tail_of_job(site, desk, job_id),
        choices=[(each, visit.say("operations.act." + each)) for each in found.acts],
    )


def tail_of_job(site: Site, desk: DeskDep, job_id: int) -> Tail:
    """The end of the job's log."""
    with site.database.read() as connection:
        job = get_job(connection, job_id)
    return desk.logs.tail(job)


@router.post("/{language}/operations/job/{job_id}/{act}")
def act(job_id: int, act: str, visit: VisitDep, site: SiteDep, sent: SentDep) -> Response:
    """Do something to a job, and show the event."""
    sent.require(Scope.JOBS)
    if act not in JOB_ACTS:
        raise Missing("trouble.404.page")
    done = act_on_job(site, sent.visitor, job_id, act, sent.fields.get("why", ""))
    where = f"/{visit.language}/operations/job/{job_id}?event={done.event_id}"
    return RedirectResponse(where, 303)
