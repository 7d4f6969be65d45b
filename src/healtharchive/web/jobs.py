"""The pages of jobs: all of them with their progress, and one with its attempts and its journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model import journal
from healtharchive.model.attempts import Attempt, Work, list_attempts
from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import Segment, segments_of_job
from healtharchive.model.jobs import count_jobs, get_job, list_jobs
from healtharchive.model.remarks import Remark, remarks_of
from healtharchive.model.states import Quality
from healtharchive.web import form
from healtharchive.web.progress import JobFacts, job_facts, refresh_seconds, source_names
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
MOST_ATTEMPTS = 50
MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class Jobs:
    """One page of all jobs, in the order they are claimed."""

    total: int
    page: int
    pages: int
    jobs: tuple[JobFacts, ...]


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One run of the job by a worker. `ended_at` is empty while it runs."""

    fence: int
    work: Work
    started_at: datetime
    ended_at: datetime | None
    exit: str
    reason: str


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One line of the job's journal."""

    at: datetime
    unit: str
    host: str
    pid: int
    what: str
    from_state: str | None
    to_state: str | None
    why: str


@dataclass(frozen=True, slots=True)
class JobStory:
    """One job with all that is known of it; attempts and events newest first.

    `quality` is what its crawl was judged to be, None before that.
    """

    job: JobFacts
    quality: Quality | None
    quality_reasons: tuple[str, ...]
    attempts: tuple[AttemptFacts, ...]
    segments: tuple[Segment, ...]
    events: tuple[EventFacts, ...]
    remarks: tuple[Remark, ...]


@router.get("/{language}/jobs")
def show_all(visit: VisitDep, site: SiteDep) -> Response:
    """A page of the jobs with their progress."""
    page = form.page_number({"page": visit.request.query_params.get("page") or "1"})
    with site.database.read() as connection:
        total = sum(count_jobs(connection).values())
        pages = max(1, -(-total // PER_PAGE))
        page = min(page or 1, pages)
        names = source_names(connection)
        found = list_jobs(connection, limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    jobs = tuple(job_facts(job, names) for job in found)
    return visit.answer(
        "jobs.html",
        Jobs(total, page, pages, jobs),
        page_link=lambda number: visit.link(page=str(number)),
        refresh_seconds=refresh_seconds(jobs, visit.request.query_params),
    )


@router.get("/{language}/job/{job_id}")
def show(job_id: int, visit: VisitDep, site: SiteDep) -> Response:
    """One job: counts, attempts, WARC files and journal."""
    with site.database.read() as connection:
        try:
            row = get_job(connection, job_id)
        except NotFound:
            raise Missing("trouble.404.job", id=job_id) from None
        job = job_facts(row, source_names(connection))
        attempts = list_attempts(connection, job_id, limit=MOST_ATTEMPTS)
        segments = segments_of_job(connection, job_id)
        events = journal.read(connection, subject="job", subject_id=job_id, limit=MOST_EVENTS)
        remarks = remarks_of(connection, job_id)
    story = JobStory(
        job,
        row.quality,
        row.quality_reasons,
        tuple(_attempt(each) for each in attempts),
        tuple(segments),
        tuple(_event(each) for each in reversed(events)),
        tuple(remarks),
    )
    refresh = refresh_seconds([job], visit.request.query_params)
    return visit.answer("job.html", story, job=job, refresh_seconds=refresh)


def _attempt(attempt: Attempt) -> AttemptFacts:
    return AttemptFacts(
        attempt.fence,
        attempt.work,
        attempt.started_at,
        attempt.ended_at,
        attempt.exit,
        attempt.reason,
    )


def _event(event: journal.Event) -> EventFacts:
    return EventFacts(
        event.at,
        event.actor.unit,
        event.actor.host,
        event.actor.pid,
        event.what,
        event.from_state,
        event.to_state,
        event.why,
    )
