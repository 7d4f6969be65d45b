"""The reconciler of what lags behind the captures: their indexing, and their comparison.

Indexing is the workers' work: a delay is told with its cause, and a job that was given up for a
reason of this machine's is tried once more. Comparisons that were missed are made here, by a child.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from healtharchive.model.actions import done_within
from healtharchive.model.blame import Blame
from healtharchive.model.lags import (
    IndexFailed,
    Uncompared,
    Unindexed,
    index_failures,
    index_once_more,
    uncompared,
    unindexed,
)
from healtharchive.model.services import Service, processes
from healtharchive.settings import Settings
from healtharchive.steward.delegating import Patience, delegate
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

CHILD = "healtharchive.search.compare.backlog"
INDEX, AGAIN, COMPARE = "index", "index_again", "compare"
EVERY_SECONDS = 120.0
COOLED_SECONDS = 3600.0  # after an index attempt that ended of what this machine did
ONCE_IN = timedelta(days=30)
SILENT_SECONDS = 120.0  # a worker that has not said for so long that it lives
COMPARED_A_ROUND = 3
PATIENCE = Patience(deadline_seconds=3600.0, silence_seconds=600.0)
NOT_ITS_OWN = (Blame.HOST, Blame.TARGET)


@dataclass(frozen=True, slots=True)
class CompareJob:
    """What the comparing child is told."""

    job_id: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A job whose indexing was given up, and how often it was tried once more of late."""

    failure: IndexFailed
    tried_again: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a plan needs to know."""

    now: datetime
    worker_lives: bool
    waiting: Sequence[Unindexed] = ()
    given_up: Sequence[GivenUp] = ()
    behind: Sequence[Uncompared] = ()


def plan(observed: Observed, settings: Settings) -> list[Step]:
    """What is late and what may be done about it. Pure."""
    late = [_late(each, observed, settings) for each in observed.waiting]
    again = [_again(each, observed.now) for each in observed.given_up]
    compare = [
        Step(COMPARE, "job", str(each.job_id), f"{each.captures} captures of it are not compared")
        for each in observed.behind[:COMPARED_A_ROUND]
    ]
    return [each for each in (*late, *again) if each is not None] + compare


def _late(job: Unindexed, observed: Observed, settings: Settings) -> Step | None:
    """A job that waits for too long though a worker lives; nothing is done but told."""
    waited = (observed.now - job.since).total_seconds()
    if waited <= settings.index_lag_seconds or not observed.worker_lives:
        return None  # without a worker, that is what is told
    why = f"it is captured since {job.since:%Y-%m-%dT%H:%MZ} and not searchable"
    return Step(INDEX, "job", str(job.job_id), why, held=_cause(job, observed, settings))


def _cause(job: Unindexed, observed: Observed, settings: Settings) -> str:
    """Why it waits: the part before the colon stays the same as time goes by."""
    look = f"`healtharchive why job {job.job_id}`"
    if job.began_at is not None:
        got_on = max(job.began_at, job.indexed_at or job.began_at)
        if (observed.now - got_on).total_seconds() > settings.index_lag_seconds:
            return (
                f"its index attempt by {job.worker} is stuck: no segment was indexed since "
                f"{got_on:%H:%MZ}; {look}, and restart that worker if it does not go on"
            )
        return f"it is being indexed: the last segment at {got_on:%H:%MZ}"
    busy = next((each for each in observed.waiting if each.began_at is not None), None)
    if job.not_before is not None and job.not_before > observed.now:
        return f"it waits for its next try: {job.not_before:%Y-%m-%dT%H:%MZ}, {job.why}"
    if busy is not None:
        return f"a worker indexes one job at a time: job {busy.job_id} is before it"
    return f"no worker takes it, perhaps because of a target: {look}"


def _again(job: GivenUp, now: datetime) -> Step | None:
    """One more try when the cause was this machine's and is over; else a person is told."""
    failure = job.failure
    why = f"its indexing was given up: {failure.reason or 'for no reason that is known'}"
    number = str(failure.job_id)
    cure = f"mend it and run `healtharchive retry-job --id {number}`"
    if failure.blame not in NOT_ITS_OWN:
        return Step(AGAIN, "job", number, why, held=f"the cause is its own: {cure}")
    if job.tried_again:
        return Step(AGAIN, "job", number, why, held=f"it was tried once more already: {cure}")
    if failure.target_open or (now - failure.at).total_seconds() < COOLED_SECONDS:
        return None
    return Step(AGAIN, "job", number, why, evidence={"blame": failure.blame})


@dataclass(slots=True)
class Lagging:
    """Tells what is late, and catches up with comparisons."""

    means: StewardMeans
    name: str = "lagging"
    caps: Caps = field(default_factory=lambda: Caps(cooldown_seconds=900.0, per_day=20))

    def every_seconds(self) -> float:
        """How often."""
        return EVERY_SECONDS

    def plan(self) -> list[Step]:
        """See `plan`."""
        return plan(self.observe(), self.means.settings)

    def observe(self) -> Observed:
        """What lags, from the database alone."""
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            workers = processes(connection, Service.WORKER)
            return Observed(
                now=now,
                worker_lives=any(
                    (now - each.beat_at).total_seconds() < SILENT_SECONDS for each in workers
                ),
                waiting=unindexed(connection),
                given_up=[
                    GivenUp(
                        each,
                        done_within(connection, "job", str(each.job_id), AGAIN, ONCE_IN, now),
                    )
                    for each in index_failures(connection)
                ],
                behind=uncompared(connection, COMPARED_A_ROUND),
            )

    def apply(self, step: Step) -> str:
        """Do one step; what was done. SetupError when the child could not."""
        job_id = int(step.subject_id)
        if step.what == COMPARE:
            facts = delegate(CHILD, CompareJob(job_id), self.means, PATIENCE)
            return f"its captures are compared: {facts['changes']} changes"
        with self.means.database.begin() as connection:
            index_once_more(
                self.means.database, connection, job_id, actor=self.means.actor, why=step.why
            )
        return "it is indexed once more"
