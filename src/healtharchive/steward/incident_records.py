"""Everything that an incident document is made of, read from the database in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from healtharchive.model import incident
from healtharchive.model.actions import Action
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.incident import AlertThen, JobThen, SampleThen
from healtharchive.model.journal import Event
from healtharchive.model.retention import RetiredFile, retired_files
from healtharchive.model.services import Process, Service
from healtharchive.model.targets import list_targets
from healtharchive.settings import Settings

MOST_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class TargetToday:
    """A target as it is when the document is written."""

    name: str
    state: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The span from `since` to `until`. `causes` are earlier events that led to events in it."""

    since: datetime
    until: datetime
    now: datetime
    host: str
    version: str
    events: tuple[Event, ...]
    causes: tuple[Event, ...] = ()
    alerts: tuple[AlertThen, ...] = ()
    actions: tuple[Action, ...] = ()
    lives: tuple[Process, ...] = ()
    first_serve: datetime | None = None  # when pages were first served, ever
    samples: tuple[SampleThen, ...] = ()
    jobs: tuple[JobThen, ...] = ()
    job_states: Mapping[str, str] = field(default_factory=dict)  # at `since`, by the job's id
    target_states: Mapping[str, str] = field(default_factory=dict)  # at `since`
    targets_today: tuple[TargetToday, ...] = ()
    suspect_today: tuple[str, ...] = ()
    notifies: bool = True
    has_heartbeat: bool = True
    evidence_dir: str = ""
    retired: tuple[RetiredFile, ...] = ()  # where events of the span are that the journal lacks


def gather(
    database: Database,
    settings: Settings,
    since: datetime,
    until: datetime,
    *,
    host: str,
    version: str,
) -> Records | None:
    """The records of a span; None when the journal has nothing in it."""
    with database.read() as connection:
        told = incident.events_between(connection, since, until, limit=MOST_EVENTS + 1)
        if not told:
            return None
        if len(told) > MOST_EVENTS:
            raise BadInput(f"The span has more than {MOST_EVENTS:,} events.", "Give a shorter one.")
        return Records(
            since=since,
            until=until,
            now=database.now(connection),
            host=host,
            version=version,
            events=tuple(told),
            causes=tuple(incident.causes_of(connection, told)),
            alerts=tuple(incident.alerts_between(connection, since, until)),
            actions=tuple(incident.actions_between(connection, since, until)),
            lives=tuple(incident.lives_between(connection, since, until)),
            first_serve=incident.first_start(connection, Service.SERVE),
            samples=tuple(incident.samples_between(connection, since, until)),
            jobs=tuple(incident.jobs_before(connection, until)),
            job_states=incident.states_before(connection, "job", since),
            target_states=incident.states_before(connection, "target", since),
            targets_today=tuple(
                TargetToday(each.name, each.state, each.verdict or "")
                for each in list_targets(connection)
            ),
            suspect_today=tuple(incident.suspect_segments(connection)),
            notifies=bool(settings.notify_urls),
            has_heartbeat=bool(settings.heartbeat_url),
            evidence_dir=str(settings.evidence_dir),
            retired=tuple(retired_files(connection, since, until)),
        )
