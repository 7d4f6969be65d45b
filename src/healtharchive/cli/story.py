"""The story of one thing: what happened, cause after cause, and what comes next by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from healtharchive.cli import messages
from healtharchive.cli.session import Session
from healtharchive.model import condition as asked
from healtharchive.model.campaigns import readiness
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import Event, story
from healtharchive.model.retention import RetiredFile, retired_files
from healtharchive.model.services import Process, Service
from healtharchive.model.states import JobEvent, JobStatus, TargetState
from healtharchive.model.targets import get_target, open_targets_of
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.next_jobs import after_job
from healtharchive.steward.next_services import after_service, before_first
from healtharchive.steward.next_storage import after_target, only_you
from healtharchive.steward.observing import service_now
from healtharchive.steward.observing_jobs import needs
from healtharchive.steward.observing_storage import target_now
from healtharchive.work.stopping import Stop

PARK_AFTER_TRIP = timedelta(minutes=1)  # a job may be parked before its target is called down
MOST_PARKS = 20
ALL_MACHINES = "all"


@dataclass(frozen=True, slots=True)
class Story:
    """The events, oldest first, and the sentences that follow from how things are now."""

    events: tuple[Event, ...]
    next: tuple[str, ...] = ()
    only_you: str = ""  # what a person alone can do
    retired: tuple[RetiredFile, ...] = ()  # where more of it may be, since its first event


def tell(session: Session, subject: str, subject_id: str = "") -> Story:
    """The story of one thing; NotFound when nobody knows of it.

    Without `subject_id` it is that of the newest process of a service.
    """
    with session.database.read() as connection:
        teller = _TELLERS.get(subject, _plain)
        told = _with_retired(connection, teller(session, connection, subject, subject_id))
    if not told.events:
        raise NotFound(
            f"The journal has nothing about {subject} {subject_id}.",
            "`healtharchive events --since 1d` shows what it has.",
        )
    return told


def _with_retired(connection: Connection, told: Story) -> Story:
    begun = min((each.at for each in told.events), default=None)
    files = retired_files(connection, begun) if begun is not None else ()
    return replace(told, retired=tuple(files))


def _plain(session: Session, connection: Connection, subject: str, subject_id: str) -> Story:
    if not subject_id:
        raise BadInput(
            f"Which {subject} is not said.",
            f"Give its number or name: `healtharchive why {subject} ID`.",
        )
    return Story(tuple(story(connection, subject, subject_id)))


def _joined(*parts: Iterable[Event]) -> tuple[Event, ...]:
    """Events of several stories as one, each once."""
    known = {each.id: each for part in parts for each in part}
    return tuple(known[key] for key in sorted(known))


# -- jobs and campaigns --------------------------------------------------------------------


def _job(session: Session, connection: Connection, subject: str, subject_id: str) -> Story:
    told = _plain(session, connection, subject, subject_id)
    if not told.events or not subject_id.isdecimal():
        return told
    job = get_job(connection, int(subject_id))
    parks = [each for each in told.events if each.what == JobEvent.PARK]
    by_target = [each for each in parks if each.evidence.get("blame") == "target"]
    trips = (
        asked.last_trip(connection, needs(job), each.at + PARK_AFTER_TRIP)
        for each in by_target[-MOST_PARKS:]
    )
    events = _joined(told.events, (each for each in trips if each is not None))
    return Story(events, (_after_job(session, connection, job),))


def _after_job(session: Session, connection: Connection, job: Job) -> str:
    now = session.database.now(connection)
    down = open_targets_of(connection, [job.id]).get(job.id)
    if down is not None and not job.settled:
        return f"it waits, and spends no retry, until that is over: {down}."
    if job.status is JobStatus.RUNNING and job.due_at is not None:
        until = messages.moment(job.due_at, now)
        return f"it {job.parked_reason}; it goes on by itself at {until}."
    workers = service_now(connection, Service.WORKER, now, session.settings)
    step = after_job(
        job.status,
        job.id,
        job.not_before,
        job.lease_expires_at,
        now,
        worker_alive=bool(workers.living),
    )
    return f"{step}."


def _campaign(session: Session, connection: Connection, subject: str, subject_id: str) -> Story:
    told = _plain(session, connection, subject, subject_id)
    found = readiness(connection, subject_id)
    jobs = {job.id: job for job in found.jobs}
    unready = [job_id for job_id, job in jobs.items() if job.status is not JobStatus.INDEXED]
    events = _joined(told.events, asked.last_failures(connection, unready))
    if found.ready:
        return Story(events, ("nothing; all of it is ready for search.",))
    coming = []
    for each in found.obstacles:
        if each.job_id is None:
            coming.append(f"it is not ready for search: {each.reason}.")
            continue
        after = _after_job(session, connection, jobs[each.job_id])
        coming.append(f"job {each.job_id} ({each.source}) {each.reason}. Then: {after}")
    return Story(events, tuple(coming))


# -- targets and processes -----------------------------------------------------------------


def _target(session: Session, connection: Connection, subject: str, subject_id: str) -> Story:
    told = _plain(session, connection, subject, subject_id)
    if not told.events:
        return told
    target = get_target(connection, subject_id)
    now = session.database.now(connection)
    means = StewardMeans(
        settings=session.settings,
        database=session.database,
        clock=session.clock,
        stop=Stop(session.clock),
    )
    found = target_now(connection, target, means.gates, now)
    after = after_target(
        found,
        steward_lives=bool(service_now(connection, Service.STEWARD, now, session.settings).living),
        settings=session.settings,
        now=now,
    )
    sick = found.state != TargetState.CLOSED
    return Story(told.events, (after,), only_you(found) if sick else "")


def _service(session: Session, connection: Connection, subject: str, subject_id: str) -> Story:
    service = Service(subject)
    process = asked.newest_process(connection, service, subject_id)
    if process is None:
        return _never_ran(session, connection, service, subject_id)
    now = session.database.now(connection)
    about = (process.holder[:128], process.host, ALL_MACHINES)
    events = _joined(*(_since(connection, subject, each, process) for each in about))
    after = after_service(
        service_now(connection, service, now, session.settings),
        process,
        jobs_waiting=asked.count_waiting(connection),
        stewards=service_now(connection, Service.STEWARD, now, session.settings).living,
        settings=session.settings,
        now=now,
    )
    return Story(events, after)


def _never_ran(
    session: Session, connection: Connection, service: Service, subject_id: str
) -> Story:
    """Of a service without a process: who declared a pause of it, or that it never ran."""
    if subject_id:
        return _plain(session, connection, service, subject_id)
    now = session.database.now(connection)
    found = service_now(connection, service, now, session.settings)
    about = {ALL_MACHINES, *(each.host or ALL_MACHINES for each in found.holds)}
    events = _joined(*(story(connection, service, each) for each in sorted(about)))
    if not events:
        raise NotFound(f"No {service} has ever run here.", f"Start it: `healtharchive {service}`.")
    return Story(events, (before_first(found, session.settings, now),))


def _since(
    connection: Connection, subject: str, subject_id: str, process: Process
) -> Iterable[Event]:
    """What happened to a process; or to its service on its machine, since that process began."""
    told = story(connection, subject, subject_id)
    if subject_id == process.holder[:128]:
        return told
    return [each for each in told if each.at >= process.started_at]


Teller = Callable[[Session, Connection, str, str], Story]
_TELLERS: Mapping[str, Teller] = {
    "job": _job,
    "campaign": _campaign,
    "target": _target,
    **{str(each): _service for each in Service},
}
