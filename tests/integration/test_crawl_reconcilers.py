"""Progress, stalls, campaigns' places and editions: rounds on a real database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from healtharchive.model.attempts import Ending, Work, list_attempts
from healtharchive.model.campaigns import create_campaign, readiness
from healtharchive.model.database import Database
from healtharchive.model.errors import LeaseLost
from healtharchive.model.leases import claim, finish, heartbeat
from healtharchive.model.operator import cancel_job, pause_job
from healtharchive.model.orders import Wait
from healtharchive.model.progress import note_wait
from healtharchive.model.progress_samples import samples_of, take_samples
from healtharchive.model.restarts import request_restart
from healtharchive.model.running_crawls import running_crawls
from healtharchive.model.source import Politeness, StallRules
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JobEvent, JobStatus, TargetState
from healtharchive.model.tables import archive_jobs, targets
from healtharchive.model.tables_operation import progress_samples
from healtharchive.steward.concurrency import Concurrency
from healtharchive.steward.editions import Editions
from healtharchive.steward.progress import LOOK_SECONDS, Progress
from healtharchive.steward.rounds import take_round
from healtharchive.steward.stalls import Stalls
from healtharchive.work.policy import Exit, Moment, Outcome, ending_of
from tests.lab import quiet_child
from tests.lab.processes import wait_for
from tests.lab.queue import (
    ACTOR,
    SetClock,
    SetDatabase,
    add_job,
    claim_now,
    source_named,
    terms_of,
)
from tests.lab.stewards import events_about, means_for
from tests.lab.workers import job_of, stub_worker, working

QUIET_CHILD = Path(quiet_child.__file__)
POLITE = Politeness(max_delay_seconds=0.1, timeout_seconds=0.1)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def simulated(database_url: str, clock: SetClock) -> Iterator[SetDatabase]:
    made = SetDatabase(database_url, clock)
    yield made
    made.dispose()


# -- progress ------------------------------------------------------------------------------


def test_running_crawls_are_sampled_and_nothing_else(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    progress = Progress(means_for(tmp_path, simulated, clock))
    first, second = add_job(simulated, tmp_path), add_job(simulated, tmp_path)
    assert take_round(progress, progress.means) == []
    held = claim_now(simulated)
    assert held is not None
    assert held.job.id == first
    with simulated.begin() as connection:
        counts = {"urls_done": 7, "urls_queued": 3, "urls_failed": 1, "bytes_written": 99}
        connection.execute(update(archive_jobs).values(counts))
    (told,) = take_round(progress, progress.means, dry_run=True)
    assert told.step.sentence == "sample progress jobs: 1 crawl is running: job 1"
    take_round(progress, progress.means)
    clock.advance(30)
    take_round(progress, progress.means)
    with simulated.read() as connection:
        samples = samples_of(connection, first)
        assert samples_of(connection, second) == []
    assert [(each.urls_done, each.urls_failed, each.bytes_written) for each in samples] == [
        (7, 1, 99)
    ] * 2
    assert [each.fence for each in samples] == [1, 1]
    assert events_about(simulated, "progress") == []


def test_samples_are_kept_in_full_for_two_days_then_one_in_ten_minutes_then_none(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    job_id = add_job(simulated, tmp_path)
    progress = Progress(means_for(tmp_path, simulated, clock))
    now = clock.now()
    ages = [timedelta(days=100), timedelta(days=10), timedelta(days=1)]
    starts = [now - age for age in ages]
    rows = [
        {
            "job_id": job_id,
            "at": start + timedelta(seconds=30 * number),
            "fence": 1,
            "urls_queued": 0,
            "urls_done": number,
            "urls_failed": 0,
            "bytes_written": 0,
        }
        for start in starts
        for number in range(1200)  # ten hours of each
    ]
    with simulated.begin() as connection:
        connection.execute(insert(progress_samples), rows)
    (told,) = take_round(progress, progress.means)
    with simulated.read() as connection:
        left = [
            len(samples_of(connection, job_id, since=start, before=start + timedelta(hours=11)))
            for start in starts
        ]
    assert left[0] == 0
    assert 60 <= left[1] <= 61
    assert left[2] == 1200
    assert told.why == f"{3600 - sum(left)} samples were removed"
    assert take_round(progress, progress.means) == []
    clock.advance(LOOK_SECONDS)
    assert take_round(progress, progress.means) == []


# -- stalls --------------------------------------------------------------------------------


def test_a_stalled_crawl_is_started_anew_from_its_frontier_and_its_neighbour_goes_on(
    database: Database, tmp_path: Path
) -> None:
    sick, well = add_job(database, tmp_path, "sick"), add_job(database, tmp_path, "well")
    (tmp_path / str(sick)).write_text("stall")
    (tmp_path / str(well)).write_text("run")
    rules = StallRules(seconds=5.0, error_share=0.0, restarts_per_day=1)
    with database.begin() as connection:
        for code in ("sick", "well"):
            definition = replace(source_named(code), stall=rules, politeness=POLITE)
            upsert_source(database, connection, definition, actor=ACTOR)
    means = means_for(tmp_path, database)
    progress, stalls = Progress(means), Stalls(means)

    def told_of_sick() -> list[str]:
        take_round(progress, means)
        told = take_round(stalls, means)
        assert all(each.step.subject_id == str(sick) for each in told)
        return [each.outcome for each in told]

    crawl = (sys.executable, "-S", str(QUIET_CHILD), str(tmp_path))
    worker = stub_worker(tmp_path, database, commands={Work.CRAWL: crawl, Work.INDEX: crawl})
    with working(worker):
        assert wait_for(told_of_sick, what="the stall is seen", every=0.3) == ["applied"]
        wait_for(
            lambda: job_of(database, sick).fence == 2, what="the crawl was started anew", every=0.1
        )
        stalls.caps = replace(stalls.caps, cooldown_seconds=0.0)
        assert wait_for(told_of_sick, what="it stalls again", every=0.3) == ["refused"]
        assert not (tmp_path / f"{well}.told").exists()
    job = job_of(database, sick)
    assert (job.retry_count, job.park_count, job.rescue_count) == (0, 0, 0)
    with database.read() as connection:
        first = list_attempts(connection, sick)[-1]
    assert (first.exit, first.reason) == ("stopped", "a new start was asked for")
    (refusal,) = events_about(database, "job", what="restart_stalled_refused")
    assert "a person must look: it was started anew 1 times" in refusal.why


def test_a_polite_wait_is_no_stall_before_its_end_and_what_is_silent_after_it_is(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    """A host asked to be left alone for an hour; the profile's patience is ten minutes."""
    job_id = add_job(simulated, tmp_path)
    held = claim_now(simulated)
    assert held is not None
    means = means_for(tmp_path, simulated, clock, stall_seconds=600)
    progress, stalls = Progress(means), Stalls(means)
    until = clock.now() + timedelta(hours=1)
    wait = Wait("lab.example", until.isoformat(), "it asked to be left alone (Retry-After)")

    def minutes_pass(minutes: int) -> list[str]:
        told = []
        for _ in range(2 * minutes):
            clock.advance(30)
            with simulated.begin() as connection:
                heartbeat(simulated, connection, job_id, held.fence, 60.0)
            take_round(progress, means)
            told += [each.step.why for each in take_round(stalls, means)]
        return told

    with simulated.begin() as connection:
        note_wait(simulated, connection, job_id, held.fence, wait)
    assert minutes_pass(69) == []
    assert job_of(simulated, job_id).due_at == until
    assert minutes_pass(2) == ["lab has stalled: no URL was settled for 10 min"]


def test_a_crawl_that_says_nothing_of_a_wait_is_stalled_after_its_profiles_time(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    job_id = add_job(simulated, tmp_path)
    held = claim_now(simulated)
    assert held is not None
    means = means_for(tmp_path, simulated, clock, stall_seconds=600)
    progress, stalls = Progress(means), Stalls(means)
    with simulated.begin() as connection:
        for wait in (Wait("lab.example", "2026-01-24T09:00:00+00:00", "for long"), None):
            note_wait(simulated, connection, job_id, held.fence, wait)  # it was over early
    for seconds in (30, 540):
        clock.advance(seconds)
        take_round(progress, means)
    with simulated.begin() as connection:
        heartbeat(simulated, connection, job_id, held.fence, 60.0)
    assert take_round(stalls, means) == []
    clock.advance(30)
    take_round(progress, means)
    (told,) = take_round(stalls, means)
    assert (told.outcome, job_of(simulated, job_id).requested_stop) == ("applied", "release")


def test_what_a_polite_wait_left_is_gone_when_the_attempt_is(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    job_id = add_job(simulated, tmp_path)
    held = claim_now(simulated)
    assert held is not None
    until = (clock.now() + timedelta(hours=1)).isoformat()
    with simulated.begin() as connection:
        note_wait(simulated, connection, job_id, held.fence, Wait("lab.example", until, "why"))
        with pytest.raises(LeaseLost):
            note_wait(simulated, connection, job_id, held.fence + 1, None)
    assert job_of(simulated, job_id).parked_reason == "waits politely for lab.example: why"
    with simulated.begin() as connection:
        finish(simulated, connection, held, Ending(JobEvent.RELEASE, "stopped"), actor=ACTOR)
    job = job_of(simulated, job_id)
    assert (job.status, job.not_before, job.parked_reason) == (JobStatus.QUEUED, None, None)
    assert claim_now(simulated) is not None


def test_a_new_start_that_was_asked_for_leaves_what_the_attempt_came_to_by_itself(
    database: Database, tmp_path: Path
) -> None:
    add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        assert request_restart(database, connection, held.job.id, 1, actor=ACTOR, why="w")
        assert not request_restart(database, connection, held.job.id, 1, actor=ACTOR, why="w")
        assert not request_restart(database, connection, held.job.id, 2, actor=ACTOR, why="w")
    means = stub_worker(tmp_path, database).means
    with database.begin() as connection:
        moment = Moment(database.now(connection), 1.0, ())
        outcome = Outcome(Exit.INFRA, "stale", "host")
        ending = ending_of(held.job, Work.CRAWL, outcome, moment, means.policy, means.roll)
        assert ending is not None
        assert finish(database, connection, held, ending, actor=ACTOR) is JobStatus.PARKED


def test_an_operators_pause_goes_before_a_new_start(database: Database, tmp_path: Path) -> None:
    add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        pause_job(database, connection, held.job.id, actor=ACTOR)
        assert not request_restart(database, connection, held.job.id, 1, actor=ACTOR, why="w")
    assert job_of(database, held.job.id).requested_stop == "pause"
    with database.begin() as connection:
        cancel_job(database, connection, held.job.id, actor=ACTOR)
    assert job_of(database, held.job.id).requested_stop == "cancel"


def test_what_is_seen_of_a_running_crawl(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    held = claim_now(database)
    assert held is not None
    with database.begin() as connection:
        now = database.now(connection)
        (seen,) = running_crawls(connection, now)
        connection.execute(
            insert(targets).values(
                name="spool",
                kind="directory",
                root=str(tmp_path),
                definition={},
                state=TargetState.OPEN,
                since=now,
            )
        )
        (sick,) = running_crawls(connection, now)
    assert (seen.job_id, seen.fence, seen.starts_in_hour) == (job_id, 1, 1)
    assert (seen.source.code, seen.sick_target, sick.sick_target) == ("lab", False, True)


# -- concurrency ---------------------------------------------------------------------------


def test_a_campaigns_job_is_claimed_next_while_others_would_come_first(
    database: Database, tmp_path: Path
) -> None:
    others = [add_job(database, tmp_path) for _ in range(3)]
    with database.begin() as connection:
        upsert_source(database, connection, source_named("hc", order=10), actor=ACTOR)
        _, (job,) = create_campaign(
            database,
            connection,
            "annual",
            2026,
            jobs_root=str(tmp_path),
            actor=ACTOR,
            sources=["hc"],
        )
    running = claim_now(database)
    assert running is not None
    assert running.job.id == others[0]
    concurrency = Concurrency(means_for(tmp_path, database))
    (told,) = take_round(concurrency, concurrency.means)
    assert (told.step.what, told.step.subject_id) == ("prefer", str(job.id))
    assert take_round(concurrency, concurrency.means) == []
    with database.begin() as connection:
        next_one = claim(database, connection, Work.CRAWL, terms_of("w2"))
    assert next_one is not None
    assert next_one.job.id == job.id
    assert take_round(concurrency, concurrency.means) == []
    assert job_of(database, others[0]).requested_stop is None


# -- editions ------------------------------------------------------------------------------


def test_the_edition_is_created_once_on_its_day_with_a_job_for_each_source(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    editions = Editions(means_for(tmp_path, simulated, clock, edition_on="01-26"))
    assert take_round(editions, editions.means) == []  # it is the 24th
    clock.advance(2 * 86_400)
    (planned,) = take_round(editions, editions.means, dry_run=True)
    assert planned.step.subject_id == "annual-2026"
    (told,) = take_round(editions, editions.means)
    assert told.outcome == "applied"
    with simulated.read() as connection:
        made = readiness(connection, "annual-2026")
    assert [job.source for job in made.jobs] == ["hc", "phac", "cihr"]
    assert take_round(editions, editions.means) == []
    (event,) = events_about(simulated, "campaign", what="create_edition")
    assert "edition_on is 01-26" in event.evidence["because"]


def test_a_day_that_is_none_is_told_and_creates_nothing(
    simulated: SetDatabase, clock: SetClock, tmp_path: Path
) -> None:
    editions = Editions(means_for(tmp_path, simulated, clock, edition_on="26 January"))
    (told,) = take_round(editions, editions.means)
    assert told.outcome == "refused"
    assert "HEALTHARCHIVE_EDITION_ON is '26 January', which is no day of the year" in told.why


def test_two_samples_at_one_moment_are_one(simulated: SetDatabase, tmp_path: Path) -> None:
    add_job(simulated, tmp_path)
    claim_now(simulated)
    with simulated.begin() as connection:
        assert [take_samples(simulated, connection) for _ in range(2)] == [1, 0]
        assert len(connection.execute(select(progress_samples.c.id)).all()) == 1
