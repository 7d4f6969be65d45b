"""Targets and the queue on both databases: who is passed over, who tries, who is let go."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.attempts import Ending, Work
from healtharchive.model.database import Database
from healtharchive.model.errors import NotFound
from healtharchive.model.jobs import Job
from healtharchive.model.journal import Event, read
from healtharchive.model.leases import RELEASE_WINDOW, Claim, ClaimTerms, any_due, claim, finish
from healtharchive.model.rescues import list_leases, rescue
from healtharchive.model.states import JobEvent, JobStatus, TargetState
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import SPOOL, TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import Target, declare_targets, get_target, list_targets
from healtharchive.storage.breaker import BreakerPolicy
from healtharchive.storage.register import note_look, note_trouble
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job
from tests.lab.workers import job_of

POLICY = BreakerPolicy()
ROUNDS = 12
THREAD_SECONDS = 60.0
BOX = TargetDefinition("box", TargetKind.MOUNT, "/mnt/box", mount_command=("false",))
BARN = replace(BOX, name="barn", root="/mnt/barn")
DISK = TargetDefinition(SPOOL, TargetKind.LOCAL, "/jobs")
RELEASED = Ending(JobEvent.RELEASE, "stopped")


def hot(name: str) -> TargetDefinition:
    return TargetDefinition(name, TargetKind.BIND, f"/jobs/{name}", parent="box", backing=name)


@dataclass
class Lab:
    """A database by the test's clock, with two mounts and the spool."""

    database: SetDatabase
    clock: SetClock
    root: Path

    def job(self, code: str, target: str | None = "box", hot_path: str | None = None) -> int:
        """A queued job that needs these."""
        job_id = add_job(self.database, self.root, code)
        self.set(job_id, target=target, hot_path=hot_path)
        return job_id

    def set(self, job_id: int, **columns: object) -> None:
        with self.database.begin() as connection:
            query = update(archive_jobs).where(archive_jobs.c.id == job_id)
            connection.execute(query.values(**columns))

    def look(self, name: str, verdict: Verdict = Verdict.HEALTHY, seconds: float = 0.0) -> None:
        """Time passes, then somebody looks."""
        self.clock.advance(seconds)
        with self.database.begin() as connection:
            note_look(
                self.database,
                connection,
                name,
                verdict,
                error="" if verdict is Verdict.HEALTHY else "it is bad",
                evidence={},
                policy=POLICY,
                actor=ACTOR,
            )

    def open(self, *names: str) -> None:
        for name in names:
            self.look(name, Verdict.STALE, 1.0)
            assert self.target(name).state is TargetState.OPEN

    def half_open(self, name: str) -> None:
        for _ in range(60):
            if self.target(name).state is not TargetState.OPEN:
                break
            self.look(name, seconds=4.0)
        assert self.target(name).state is TargetState.HALF_OPEN

    def close(self, name: str) -> None:
        """Closed again, through a trial that gets on."""
        self.half_open(name)
        held = self.claim()
        assert held is not None
        self.clock.advance(1.0)
        self.set(held.job.id, progress_at=self.clock.now())
        self.look(name)
        assert self.target(name).state is TargetState.CLOSED
        self.finish(held)

    def claim(self, work: Work = Work.CRAWL) -> Claim | None:
        with self.database.begin() as connection:
            return claim(self.database, connection, work, TERMS)

    def claimed(self, work: Work = Work.CRAWL) -> int | None:
        held = self.claim(work)
        return None if held is None else held.job.id

    def finish(self, held: Claim, ending: Ending = RELEASED) -> None:
        with self.database.begin() as connection:
            finish(self.database, connection, held, ending, actor=ACTOR)

    def target(self, name: str) -> Target:
        with self.database.read() as connection:
            return get_target(connection, name)

    def jobs(self, *ids: int) -> list[Job]:
        return [job_of(self.database, each) for each in ids]

    def events(self, subject: str) -> list[Event]:
        with self.database.read() as connection:
            return read(connection, subject=subject, limit=1000)


TERMS = ClaimTerms("w1", ACTOR, 1e6, 1000)


@pytest.fixture
def lab(database_url: str, tmp_path: Path) -> Iterator[Lab]:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    with database.begin() as connection:
        definitions = [DISK, BOX, BARN, hot("hot-a"), hot("hot-b")]
        declare_targets(database, connection, definitions, actor=ACTOR)
    yield Lab(database, clock, tmp_path)
    database.dispose()


# -- claims ----------------------------------------------------------------------------------


def test_an_open_target_parks_nobody_and_its_jobs_are_passed_over(lab: Lab) -> None:
    sick, also = lab.job("sick"), lab.job("also", "box", "hot-a")
    other, local = lab.job("other", "barn"), lab.job("local", None)
    before = len(lab.events("job"))
    lab.open("box")
    assert [lab.claimed(), lab.claimed(), lab.claimed()] == [other, local, None]
    assert [each.status for each in lab.jobs(sick, also)] == [JobStatus.QUEUED] * 2
    assert [each.attempt_count for each in lab.jobs(sick, also)] == [0, 0]
    assert len(lab.events("job")) == before + 2, "one row changed, no job's"


def test_an_open_target_is_asked_for_indexing_too(lab: Lab) -> None:
    on_box, on_barn = lab.job("a"), lab.job("b", "barn")
    for each in (on_box, on_barn):
        lab.set(each, status=JobStatus.COMPLETED)
    lab.open("box")
    assert [lab.claimed(Work.INDEX), lab.claimed(Work.INDEX)] == [on_barn, None]


def test_row_18_the_spool_stops_every_crawl_but_no_indexing(lab: Lab) -> None:
    queued, done = lab.job("a", None), lab.job("b", None)
    lab.set(done, status=JobStatus.COMPLETED)
    lab.look(SPOOL, Verdict.FULL)
    assert (lab.claimed(), lab.claimed(Work.INDEX)) == (None, done)
    lab.half_open(SPOOL)
    lab.look(SPOOL)
    assert lab.target(SPOOL).state is TargetState.CLOSED, "no trial is needed: every job would do"
    assert lab.claimed() == queued


def test_a_hot_path_that_fails_holds_its_siblings_until_the_target_is_looked_at(lab: Lab) -> None:
    first, second = lab.job("a", "box", "hot-a"), lab.job("b", "box", "hot-b")
    straight, other = lab.job("c", "box"), lab.job("d", "barn")
    lab.look("box")
    lab.open("hot-a")
    assert [lab.claimed(), lab.claimed()] == [other, None], "the target may be dead too"
    lab.look("box", seconds=1.0)
    assert [lab.claimed(), lab.claimed(), lab.claimed()] == [second, straight, None]
    assert lab.jobs(first)[0].status is JobStatus.QUEUED


def test_half_open_lets_one_trial_through(lab: Lab) -> None:
    first, second, other = lab.job("a"), lab.job("b", "box", "hot-a"), lab.job("c", "barn")
    lab.open("box")
    lab.half_open("box")
    trial = lab.claim()
    assert trial is not None
    assert trial.job.id == first
    assert [lab.claimed(), lab.claimed()] == [other, None]
    lab.look("box", seconds=4.0)
    assert lab.target("box").state is TargetState.HALF_OPEN, "it has not captured anything yet"
    lab.finish(trial)
    lab.set(first, status=JobStatus.PAUSED)
    again = lab.claim()
    assert again is not None
    assert again.job.id == second
    lab.clock.advance(1.0)
    lab.set(second, progress_at=lab.clock.now())
    lab.look("box")
    assert lab.target("box").state is TargetState.CLOSED
    assert lab.events("target")[-1].why == "its trial captures again"


def test_a_trial_that_fails_opens_again_for_longer(lab: Lab) -> None:
    lab.job("a")
    lab.open("box")
    lab.half_open("box")
    held = lab.claim()
    assert held is not None
    with lab.database.begin() as connection:
        note_trouble(
            lab.database,
            connection,
            "box",
            definite=False,
            why="job 1: write: Input/output error",
            policy=POLICY,
            actor=ACTOR,
            caused_by=held.event_id,
        )
    box = lab.target("box")
    assert (box.state, box.trip_streak) == (TargetState.OPEN, 1)
    lab.look("box", seconds=1.0)
    assert lab.target("box").state is TargetState.OPEN
    told = lab.events("target")[-1]
    assert (told.what, told.caused_by) == ("trial_failed", held.event_id)


def test_half_open_closes_when_nobody_waits(lab: Lab) -> None:
    lab.job("other", "barn")
    for name in ("box", "hot-a"):
        lab.look(name)
        lab.open(name)
        lab.half_open(name)
        lab.look(name)
        assert lab.target(name).state is TargetState.CLOSED
        assert lab.events("target")[-1].why == "nobody waits to try it"


def test_after_closing_the_jobs_come_one_by_one(lab: Lab) -> None:
    jobs = [lab.job(code) for code in "abcd"]
    other = lab.job("other", "barn")
    lab.open("box")
    lab.close("box")
    lab.clock.advance(10.0)
    assert lab.claimed() == jobs[0]
    assert [lab.claimed(), lab.claimed()] == [other, None]
    lab.clock.advance(1.9)
    assert lab.claimed() is None
    lab.clock.advance(0.2)
    assert [lab.claimed(), lab.claimed()] == [jobs[1], None]
    lab.clock.advance(RELEASE_WINDOW.total_seconds())
    assert [lab.claimed(), lab.claimed(), lab.claimed()] == [jobs[2], jobs[3], None]


def test_a_target_that_never_tripped_releases_at_once(lab: Lab) -> None:
    jobs = [lab.job(code) for code in "abc"]
    lab.look("box")
    assert [lab.claimed() for _ in jobs] == jobs


def test_whether_any_is_due_agrees_with_claiming(lab: Lab) -> None:
    lab.job("a")
    for change in (lambda: lab.open("box"), lambda: lab.half_open("box")):
        change()
        with lab.database.read() as connection:
            due = any_due(lab.database, connection, Work.CRAWL, TERMS)
        assert due == (lab.claimed() is not None)


# -- letting go ------------------------------------------------------------------------------


def parked(lab: Lab, code: str, target: str, hot_path: str | None = None) -> int:
    """A job that was parked for an hour because of its target."""
    job_id = lab.job(code, target, hot_path)
    later = lab.clock.now() + timedelta(hours=1)
    lab.set(
        job_id,
        status=JobStatus.PARKED,
        not_before=later,
        parked_target=target,
        retry_count=2,
        park_count=4,
    )
    return job_id


def test_half_open_lets_go_of_those_who_waited_for_it_and_spends_nothing(lab: Lab) -> None:
    mine, by_hot = parked(lab, "a", "box"), parked(lab, "b", "box", "hot-a")
    other, own_fault = parked(lab, "c", "barn"), parked(lab, "d", "box")
    lab.set(own_fault, status=JobStatus.RETRYABLE, parked_target=None)
    index = parked(lab, "e", "box")
    lab.set(index, status=JobStatus.COMPLETED)
    index_fault = parked(lab, "f", "box")
    lab.set(index_fault, status=JobStatus.COMPLETED, parked_target=None)
    lab.open("box")
    assert all(each.not_before for each in lab.jobs(mine, by_hot, other, own_fault, index))
    lab.half_open("box")
    assert [each.not_before for each in lab.jobs(mine, by_hot, index)] == [None] * 3
    assert all(each.not_before for each in lab.jobs(other, own_fault, index_fault))
    untouched = lab.jobs(mine, by_hot, other, own_fault, index)
    assert {(each.retry_count, each.park_count) for each in untouched} == {(2, 4)}
    held = lab.claim()
    assert held is not None
    assert (held.job.id, held.job.not_before, held.job.retry_count) == (mine, None, 2)


def test_a_hot_path_lets_go_of_its_own_job_only(lab: Lab) -> None:
    mine, sibling = parked(lab, "a", "box", "hot-a"), parked(lab, "b", "box", "hot-b")
    lab.look("hot-a")
    lab.open("hot-a")
    lab.half_open("hot-a")
    assert [each.not_before is None for each in lab.jobs(mine, sibling)] == [True, False]


# -- several at once -------------------------------------------------------------------------


def together(url: str, clock: SetClock, actions: Sequence[object]) -> list[object]:
    """What each action returns; all begin at the same time, each with connections of its own."""
    barrier = threading.Barrier(len(actions))

    def act(action: object) -> object:
        database = SetDatabase(url, clock)
        try:
            with database.read():
                barrier.wait(THREAD_SECONDS)
            assert callable(action)
            return action(database)
        finally:
            database.dispose()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions, timeout=THREAD_SECONDS))


def test_workers_at_the_same_time_never_run_two_trials(lab: Lab, database_url: str) -> None:
    for code in "abcd":
        lab.job(code)
    lab.open("box")
    lab.half_open("box")

    def take(database: Database) -> Claim | None:
        with database.begin() as connection:
            return claim(database, connection, Work.CRAWL, TERMS)

    for _ in range(ROUNDS):
        found = together(database_url, lab.clock, [take] * 4)
        held = [each for each in found if isinstance(each, Claim)]
        if not held:  # each locked another job's row, looked again and let it be
            assert lab.database.is_sqlite is False
            continue
        (trial,) = held
        lab.finish(trial)


def test_a_target_that_many_see_die_trips_once(lab: Lab, database_url: str) -> None:
    job_id = lab.job("a")

    def seen(database: Database) -> int | None:
        with database.begin() as connection:
            return note_look(
                database,
                connection,
                "box",
                Verdict.STALE,
                error="107",
                evidence={},
                policy=POLICY,
                actor=ACTOR,
            )

    def met(database: Database) -> int | None:
        with database.begin() as connection:
            why = f"job {job_id}: write: errno 107"
            return note_trouble(
                database, connection, "box", definite=True, why=why, policy=POLICY, actor=ACTOR
            )

    for number in range(1, ROUNDS + 1):
        told = together(database_url, lab.clock, [seen, met, seen, met])
        assert sum(each is not None for each in told) == 1, "one event, and no illegal step"
        assert lab.target("box").trip_streak == number - 1
        lab.half_open("box")


CRASHING = """
import os, sys
from healtharchive.model.attempts import Work
from healtharchive.model.database import Database
from healtharchive.model.leases import claim
from tests.lab.queue import terms_of
database = Database(sys.argv[1])
with database.begin() as connection:
    assert claim(database, connection, Work.CRAWL, terms_of("w", lease_seconds=0.0))
os.kill(os.getpid(), 9)
"""


def test_a_trial_whose_worker_died_is_rescued_and_tried_again(lab: Lab, database_url: str) -> None:
    job_id = lab.job("a")
    lab.open("box")
    lab.half_open("box")
    command = [sys.executable, "-c", CRASHING, database_url]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], timeout=THREAD_SECONDS, check=False
    )
    assert done.returncode == -9
    assert lab.claimed() is None
    with lab.database.begin() as connection:
        (lease,) = list_leases(connection)
        assert rescue(lab.database, connection, lease, actor=ACTOR, why="its worker is gone")
    assert lab.claimed() == job_id
    (job,) = lab.jobs(job_id)
    assert (job.retry_count, job.rescue_count) == (0, 1)


# -- declaring -------------------------------------------------------------------------------


def test_declaring_again_changes_what_is_declared_and_keeps_the_rest(lab: Lab) -> None:
    lab.look("barn")
    lab.open("box")
    moved = replace(BOX, root="/mnt/elsewhere", ship=True)
    for _ in range(2):
        with lab.database.begin() as connection:
            declare_targets(lab.database, connection, [DISK, moved], actor=ACTOR)
    box, barn = lab.target("box"), lab.target("barn")
    assert (box.definition, box.root, box.ship) == (moved, "/mnt/elsewhere", True)
    assert (box.state, box.trip_streak) == (TargetState.OPEN, 0)
    assert (barn.declared, barn.verdict) == (False, Verdict.HEALTHY)
    with lab.database.read() as connection:
        names = [each.name for each in list_targets(connection)]
        assert names == [SPOOL, "box", "hot-a", "hot-b"], "hot paths stay, after their parents"
        assert len(list_targets(connection, declared_only=False)) == 5
        with pytest.raises(NotFound, match="There is no target 'bax'"):
            get_target(connection, "bax")
    assert [each.what for each in lab.events("target")] == ["declared"] * 5 + ["trip"]


def test_a_declaration_that_only_adds_leaves_the_others(lab: Lab) -> None:
    with lab.database.begin() as connection:
        declare_targets(lab.database, connection, [hot("hot-c")], actor=ACTOR, only_add=True)
        names = [each.name for each in list_targets(connection)]
    assert names == [SPOOL, "box", "barn", "hot-a", "hot-b", "hot-c"]
