"""Processes that say that they live, and holds: why one is meant to be down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.pausing import declare_pause, end_pauses, pause_now
from healtharchive.model.service_past import last_words, newest_process
from healtharchive.model.services import (
    HoldKind,
    Service,
    end_hold,
    hold,
    last_stopped,
    note_beat,
    note_start,
    note_stop,
    open_holds,
    processes,
)
from healtharchive.work.presence import Presence
from healtharchive.work.signals import StopSignal
from healtharchive.work.stopping import Stop
from tests.lab.queue import ACTOR, BEGINNING, SetClock, SetDatabase, add_job
from tests.lab.stewards import events_about
from tests.lab.workers import stub_worker

HOLDER = "lab:42:4026531836:1000"


def test_a_process_lives_until_it_says_that_it_ended(database_url: str) -> None:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    with database.begin() as connection:
        note_start(database, connection, "worker", HOLDER, "1.0", actor=ACTOR)
        note_start(database, connection, "serve", HOLDER, "1.0", actor=ACTOR)
    clock.advance(10)
    with database.begin() as connection:
        note_beat(database, connection, "worker", HOLDER)
        worker, serve = processes(connection)
    assert (worker.service, worker.unit, worker.host) == ("worker", ACTOR.unit, ACTOR.host)
    assert worker.beat_at - worker.started_at == timedelta(seconds=10)
    assert serve.beat_at == serve.started_at
    with database.begin() as connection:
        note_stop(database, connection, "worker", HOLDER, "SIGTERM from anna")
        note_stop(database, connection, "worker", HOLDER, "twice")
        note_beat(database, connection, "worker", HOLDER)
        assert [each.service for each in processes(connection)] == ["serve"]
        ended = last_stopped(connection, Service.WORKER)
    assert ended is not None
    assert (ended.stop_reason, ended.stopped_at) == ("SIGTERM from anna", clock.now())
    with database.begin() as connection:
        note_start(database, connection, "worker", HOLDER, "1.1", actor=ACTOR)
        assert last_stopped(connection, Service.WORKER) is None
        assert newest_process(connection, Service.WORKER, "elsewhere") is None
        newest = newest_process(connection, Service.WORKER, ACTOR.host)
    assert newest is not None
    assert (newest.version, newest.stopped_at) == ("1.1", None)


def test_a_hold_is_open_until_it_is_ended_once_and_both_are_events(database: Database) -> None:
    with database.begin() as connection:
        until = database.now(connection) + timedelta(minutes=10)
        number = hold(
            database,
            connection,
            Service.WORKER,
            HoldKind.OWED,
            who="w",
            why="a mount is mended",
            actor=ACTOR,
            host="lab",
            until=until,
        )
        assert [each.id for each in open_holds(connection, Service.WORKER, host="lab")] == [number]
        assert open_holds(connection, Service.WORKER, host="elsewhere") == []
        assert open_holds(connection, Service.SERVE) == []
        assert end_hold(database, connection, number, "it is mended", actor=ACTOR)
        assert not end_hold(database, connection, number, "again", actor=ACTOR)
        assert open_holds(connection) == []
    owed, repaid = events_about(database, "worker")
    assert (owed.what, owed.subject_id, owed.evidence["who"]) == ("restart_owed", "lab", "w")
    assert (repaid.what, repaid.why) == ("restart_repaid", "it is mended")


def test_the_pause_that_is_in_force_is_one_and_ends_by_itself_at_its_time(
    database_url: str,
) -> None:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    until = BEGINNING + timedelta(hours=2)
    with database.begin() as connection:
        declare_pause(database, connection, who="anna", why="the disk", actor=ACTOR, until=until)
    with database.begin() as connection, pytest.raises(BadInput, match="already, by anna"):
        declare_pause(database, connection, who="ben", why="me too", actor=ACTOR)
    clock.advance(7200)
    with database.begin() as connection:
        assert pause_now(database, connection) is None
        declare_pause(database, connection, who="ben", why="now I", actor=ACTOR)
        held = pause_now(database, connection, "any-host")
        assert held is not None
        assert held.who == "ben"
        assert [each.who for each in end_pauses(database, connection, "done", actor=ACTOR)] == [
            "ben"
        ]
        assert pause_now(database, connection) is None
    whats = [(each.what, each.why) for each in events_about(database, "worker")]
    assert whats == [
        ("paused", "the disk"),
        ("resumed", "its time is over"),
        ("paused", "now I"),
        ("resumed", "done"),
    ]


def test_who_stopped_a_process_goes_before_that_it_stopped(
    database: Database, tmp_path: Path
) -> None:
    clock = SetClock()
    stop = Stop(clock)
    presence = Presence("worker", HOLDER, database, ACTOR)
    with presence.noted(stop):
        presence.on_signal(StopSignal("SIGTERM", 1, 0, "root", "/sbin/init", "init.scope"), stop)
        presence.note_signal()
    with database.read() as connection:
        process = newest_process(connection, Service.WORKER, ACTOR.host)
        assert process is not None
        words = last_words(connection, process)
    assert words is not None
    assert words.sentence == "SIGTERM from /sbin/init (pid 1, root) of init.scope"
    (signal,) = events_about(database, "worker", what="stop_signal")
    assert words.event_id == signal.id


def test_a_run_of_one_job_is_no_worker_of_the_queue(database: Database, tmp_path: Path) -> None:
    job_id = add_job(database, tmp_path)
    worker = stub_worker(tmp_path, database)
    worker.job_id = job_id
    worker.__post_init__()
    worker.work_on_one(until_settled=True)
    host = worker.means.actor.host
    with database.read() as connection:
        assert last_stopped(connection, Service.WORKER) is not None  # it is a process all the same
        assert newest_process(connection, Service.WORKER, host) is None
    told = [each.what for each in events_about(database, "worker")]
    assert told == ["started", "runs_one", "stopped"]
