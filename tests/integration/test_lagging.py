"""What lags behind the captures: told with its cause, tried once more, compared by a child."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.jobs import get_job
from healtharchive.model.journal import read
from healtharchive.model.lags import uncompared
from healtharchive.model.services import Service, note_start
from healtharchive.model.states import JobStatus, TargetEvent
from healtharchive.model.suppression import Reason, rule_of_capture, suppress
from healtharchive.model.tables import archive_jobs, attempts, captures, changes
from healtharchive.model.targets import change_target, declare_targets
from healtharchive.steward.lagging import AGAIN, COMPARE, INDEX, Lagging
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Told, take_round
from healtharchive.storage.declared import spool
from healtharchive.work.stopping import Stop
from tests.lab.editions import build_editions
from tests.lab.queue import ACTOR, add_job
from tests.lab.workers import settings_for


@pytest.fixture
def means(tmp_path: Path, database: Database) -> StewardMeans:
    clock = SystemClock()
    return StewardMeans(
        settings=settings_for(tmp_path),
        database=database,
        clock=clock,
        stop=Stop(clock),
        actor=ACTOR,
    )


def a_worker(database: Database) -> None:
    with database.begin() as connection:
        note_start(database, connection, Service.WORKER, "w1", "0.1.0", actor=ACTOR)


def a_job(means: StewardMeans, status: JobStatus, hours_ago: float, **attempt: Any) -> int:
    """A job that came to this state so long ago; with an attempt to index it."""
    database = means.database
    number = add_job(database, means.settings.jobs_root, f"s{hours_ago:g}".replace(".", "-"))
    with database.begin() as connection:
        then = database.now(connection) - timedelta(hours=hours_ago)
        connection.execute(
            update(archive_jobs)
            .where(archive_jobs.c.id == number)
            .values(status=status, finished_at=then, fence=1, lease_owner=attempt.get("worker"))
        )
        if attempt:
            values = {
                "worker": "w1",
                "host": "lab",
                "pid": 1,
                "started_at": then,
                "ended_at": None if status is JobStatus.INDEXING else then,
                **attempt,
            }
            connection.execute(
                insert(attempts).values(job_id=number, fence=1, work="index", **values)
            )
    return number


def round_of(means: StewardMeans) -> list[Told]:
    return take_round(Lagging(means), means)


def test_a_delay_is_told_with_its_cause_once_and_only_while_a_worker_lives(
    means: StewardMeans,
) -> None:
    waiting = a_job(means, JobStatus.COMPLETED, 3)
    a_job(means, JobStatus.COMPLETED, 1)
    assert round_of(means) == []
    a_worker(means.database)
    for _ in range(3):
        (told,) = round_of(means)
        assert (told.step.what, told.step.subject_id) == (INDEX, str(waiting))
        assert "no worker takes it" in told.why
    with means.database.read() as connection:
        events = read(connection, subject="job", subject_id=waiting)
    assert [each.what for each in events].count("index_refused") == 1


def test_an_attempt_that_indexes_nothing_is_stuck_and_those_behind_it_name_it(
    means: StewardMeans,
) -> None:
    a_worker(means.database)
    stuck = a_job(means, JobStatus.INDEXING, 5, worker="w1")
    behind = a_job(means, JobStatus.COMPLETED, 4)
    said = {each.step.subject_id: each.why for each in round_of(means)}
    assert "stuck" in said[str(stuck)]
    assert f"job {stuck} is before it" in said[str(behind)]


def test_indexing_that_this_machine_ended_is_tried_once_more_and_no_oftener(
    means: StewardMeans,
) -> None:
    number = a_job(means, JobStatus.INDEX_FAILED, 2, blame="host", reason="ended by SIGKILL")
    with means.database.begin() as connection:
        connection.execute(update(archive_jobs).values(index_retry_count=3))
    (told,) = round_of(means)
    assert (told.step.what, told.outcome) == (AGAIN, "applied")
    with means.database.begin() as connection:
        job = get_job(connection, number)
        assert job.status is JobStatus.COMPLETED
        assert job.index_retry_count == 3  # one try, no new budget
        connection.execute(update(archive_jobs).values(status=JobStatus.INDEX_FAILED))
    (told,) = round_of(means)
    assert told.outcome == "refused"
    assert "tried once more already" in told.why


def test_a_failure_of_its_own_or_while_a_target_is_sick_is_left_alone(means: StewardMeans) -> None:
    a_job(means, JobStatus.INDEX_FAILED, 2, blame="bug", reason="KeyError")
    (told,) = round_of(means)
    assert told.outcome == "refused"
    assert "retry-job" in told.why
    with means.database.begin() as connection:
        connection.execute(update(attempts).values(blame="host"))
        declare_targets(means.database, connection, [spool(Path("/jobs"))], actor=ACTOR)
        change_target(means.database, connection, "spool", TargetEvent.TRIP, actor=ACTOR, why="x")
    assert round_of(means) == []


# -- comparisons ------------------------------------------------------------------------------


@pytest.fixture
def edited(tmp_path: Path, database_url: str) -> Iterator[StewardMeans]:
    """An archive whose captures are indexed and not compared."""
    made = build_editions(tmp_path, database_url)
    clock = SystemClock()
    yield StewardMeans(
        settings=made.settings,
        database=made.database,
        clock=clock,
        stop=Stop(clock),
        actor=ACTOR,
    )
    made.database.dispose()


def test_what_was_not_compared_after_indexing_is_compared_by_a_child(edited: StewardMeans) -> None:
    (told,) = round_of(edited)
    assert (told.step.what, told.outcome) == (COMPARE, "applied"), told.why
    with edited.database.read() as connection:
        assert connection.execute(select(changes.c.id)).first() is not None
        assert uncompared(connection, 5) == []
    assert round_of(edited) == []


def test_a_capture_that_is_not_shown_is_not_waited_for(edited: StewardMeans) -> None:
    with edited.database.begin() as connection:
        for number in connection.execute(select(captures.c.id)).scalars().all():
            rule = rule_of_capture(connection, number)
            suppress(
                edited.database,
                connection,
                rule,
                Reason(why="the test", who="the test"),
                actor=ACTOR,
            )
        connection.execute(update(archive_jobs).values(status=JobStatus.INDEXED, compared_upto=0))
        assert uncompared(connection, 5) == []


def test_asking_what_is_not_compared_reads_no_capture_that_is(edited: StewardMeans) -> None:
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if "compared_upto" in statement and not statement.startswith("EXPLAIN"):
            how = "QUERY PLAN " if edited.database.is_sqlite else ""
            cursor.execute(f"EXPLAIN {how}{statement}", given)
            plans.append("\n".join(str(row) for row in cursor.fetchall()))

    with edited.database.read() as connection:
        if not edited.database.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")  # of a few rows it would be best
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        event.listen(connection, "before_cursor_execute", explain)
        uncompared(connection, 5)
    (plan,) = plans
    both = "(job_id=? AND id>?)" if edited.database.is_sqlite else "Cond: ((job_id = "
    assert both in plan, plan


def test_a_job_that_is_claimed_meanwhile_is_left_to_its_own_attempt(edited: StewardMeans) -> None:
    lagging = Lagging(edited)
    (step,) = lagging.plan()
    with edited.database.begin() as connection:
        connection.execute(update(archive_jobs).values(status=JobStatus.COMPLETED))
    told = take_round(Fixed([step], lagging), replace(edited))
    assert [each.outcome for each in told] == ["failed"]
    assert "completed by now" in told[0].why


class Fixed(Lagging):
    """The reconciler with a plan made earlier."""

    def __init__(self, steps: list[Any], of: Lagging) -> None:
        super().__init__(of.means)
        self.steps = steps

    def plan(self) -> list[Any]:
        return self.steps
