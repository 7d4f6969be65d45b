"""A queue to test with: sources, jobs, and a database whose clock the test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from healtharchive.model.attempts import Work
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job
from healtharchive.model.journal import Actor
from healtharchive.model.leases import Claim, ClaimTerms, claim
from healtharchive.model.source import ScopeRules, Seed, SourceDefinition
from healtharchive.model.sources import source_id, upsert_source
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs

ACTOR = Actor("test.service", 1, "lab")
BEGINNING = datetime(2026, 1, 24, 2, 59, tzinfo=UTC)


class SetClock:
    """A clock that only moves when the test moves it."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds


class SetDatabase(Database):
    """A database that goes by the test's clock."""

    def __init__(self, url: str, clock: SetClock) -> None:
        super().__init__(url, "the test")
        self._clock = clock

    def now(self, connection: Connection) -> datetime:
        return self._clock.now()


def source_named(code: str, order: int = 100) -> SourceDefinition:
    """A source that nobody will ask for pages."""
    host = f"{code}.example"
    return SourceDefinition(
        code, code, (Seed(f"https://{host}/"),), ScopeRules((host,)), order=order
    )


def add_job(
    database: Database, root: object, code: str = "lab", config: Mapping[str, Any] | None = None
) -> int:
    """A queued job of a source, which is added when it is not there."""
    with database.begin() as connection:
        upsert_source(database, connection, source_named(code), actor=ACTOR)
        job = create_job(
            database, connection, source=code, jobs_root=str(root), actor=ACTOR, config=config
        )
        return job.id


def add_many_jobs(database: Database, number: int) -> list[int]:
    """That many queued jobs, quickly and without their events."""
    with database.begin() as connection:
        upsert_source(database, connection, source_named("lab"), actor=ACTOR)
        owner = source_id(connection, "lab")
        now = database.now(connection)
        rows: Iterable[dict[str, Any]] = (
            {
                "source_id": owner,
                "status": JobStatus.QUEUED,
                "output_dir": f"/nowhere/{each}",
                "created_at": now,
            }
            for each in range(number)
        )
        made = connection.execute(insert(archive_jobs).returning(archive_jobs.c.id), list(rows))
        return [int(each) for each in made.scalars()]


def terms_of(worker: str, *, lease_seconds: float = 60.0, job_id: int | None = None) -> ClaimTerms:
    """The terms of a test's worker."""
    return ClaimTerms(worker, ACTOR, lease_seconds, 6, job_id)


def claim_now(database: Database, worker: str = "w1", work: Work = Work.CRAWL) -> Claim | None:
    """Claim the next job."""
    with database.begin() as connection:
        return claim(database, connection, work, terms_of(worker))
