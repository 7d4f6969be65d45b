"""`why`: the story of a job, a target, a campaign and a worker, and what comes next."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.attempts import Ending, Work
from healtharchive.model.campaigns import create_campaign
from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.model.leases import claim, finish
from healtharchive.model.services import HoldKind, Service, end_hold, hold, note_start
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JobEvent, TargetEvent
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.model.targets import change_target, declare_targets
from healtharchive.work.holder import this_holder
from tests.lab.archive import Archive
from tests.lab.commands import in_process
from tests.lab.processes import kill_tree, wait_for
from tests.lab.queue import ACTOR, add_job, source_named, terms_of

BOX = TargetDefinition("box", TargetKind.MOUNT, "/mnt/box", mount_command=("false",))
Why = Callable[..., str]


@pytest.fixture
def why(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Why:
    """What `why` prints."""
    archive = Archive(tmp_path, {"DATABASE_URL": database_url})
    (tmp_path / "backend.env").touch()
    run = in_process(archive, monkeypatch, capsys)

    def command(*words: str, code: int = 0) -> str:
        ended, printed, complained = run("why", *words)
        assert ended == code
        return printed if code == 0 else complained

    return command


def coming(text: str) -> list[str]:
    """What it says is next."""
    return [line.removeprefix("Next: ") for line in text.splitlines() if line.startswith("Next: ")]


def steward_runs(database: Database) -> None:
    with database.begin() as connection:
        note_start(database, connection, Service.STEWARD, this_holder(), "1", actor=this_process())


def trip(
    database: Database, event: TargetEvent, why: str, verdict: Verdict = Verdict.STALE
) -> None:
    with database.begin() as connection:
        columns = {"verdict": verdict, "last_error": why}
        change_target(database, connection, "box", event, actor=ACTOR, why=why, columns=columns)


def parked_on_box(database: Database, tmp_path: Path) -> int:
    """A job that was parked because the mount it writes to had gone stale."""
    with database.begin() as connection:
        declare_targets(database, connection, [BOX], actor=ACTOR)
    job_id = add_job(database, tmp_path)
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(target="box"))
        held = claim(database, connection, Work.CRAWL, terms_of("w1"))
        assert held is not None
    trip(database, TargetEvent.TRIP, "stat /mnt/box: errno 107")
    with database.begin() as connection:
        reason = "stale mount (errno 107)"
        later = database.now(connection) + timedelta(minutes=5)
        ending = Ending(
            JobEvent.PARK,
            "infra",
            "target",
            reason,
            107,
            {"not_before": later, "parked_reason": reason},
        )
        finish(database, connection, held, ending, actor=ACTOR)
    return job_id


def test_a_parked_job_is_told_with_the_trip_of_the_target_that_parked_it(
    why: Why, database: Database, tmp_path: Path
) -> None:
    job_id = parked_on_box(database, tmp_path)
    told = why("job", str(job_id))
    steps = [
        "job 1 claim",
        "target box trip: closed → open. stat /mnt/box: errno 107",
        "job 1 park",
    ]
    places = [told.index(each) for each in steps]
    assert places == sorted(places)
    assert coming(told) == [
        "it waits, and spends no retry, until that is over: target box is stale: stat /mnt/box: "
        "errno 107."
    ]


def test_a_target_is_told_with_its_next_look(why: Why, database: Database, tmp_path: Path) -> None:
    parked_on_box(database, tmp_path)
    (after,) = coming(why("target", "box"))
    assert after.startswith("nobody looks at it: no steward is running")
    steward_runs(database)
    told = why("target", "box")
    (after,) = coming(told)
    assert after.startswith("the steward looks at it every 4 s and more often while it is down")
    assert "\nOnly you: look at the other side: does its server answer" in told
    trip(database, TargetEvent.PROBE_OK, "3 good looks", Verdict.HEALTHY)
    told = why("target", "box")
    assert "target box probe ok: open → half_open. 3 good looks" in told
    assert coming(told)[0].startswith("it looks well: one of 1 waiting jobs tries it")


def test_a_campaign_is_told_with_the_failures_of_its_jobs_and_what_is_missing(
    why: Why, database: Database
) -> None:
    with database.begin() as connection:
        upsert_source(database, connection, source_named("lab"), actor=ACTOR)
        upsert_source(database, connection, source_named("other"), actor=ACTOR)
        create_campaign(
            database,
            connection,
            "annual",
            2026,
            jobs_root="/jobs",
            actor=ACTOR,
            sources=["lab", "other"],
        )
        held = claim(database, connection, Work.CRAWL, terms_of("w1"))
        assert held is not None
        ending = Ending(JobEvent.FAIL, "failed", "job", "no seed leads anywhere")
        finish(database, connection, held, ending, actor=ACTOR)
    told = why("campaign", "annual-2026")
    assert "campaign annual-2026 created" in told
    assert "fail: running → failed. no seed leads anywhere" in told
    failed, waits = coming(told)
    assert f"`healtharchive retry-job --id {held.job.id}` tries again" in failed
    assert "waits to be captured. Then: a worker claims it, but none is running" in waits


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a schema and nothing in it."""
    made = Archive(tmp_path / "data")
    made.set_up()
    return made


def test_why_did_the_worker_stop_names_who_sent_the_signal_and_who_starts_it_again(
    archive: Archive,
) -> None:
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
    worker = archive.start_worker()
    try:
        wait_for(lambda: archive.ask("status")["workers"], what="the worker is there")
        assert "Next: it runs, since" in archive.run("why", "worker")
        killer = subprocess.Popen(["bash", "-c", f"kill -TERM {worker.pid}; sleep 30 & wait"])
        try:
            assert worker.wait(30.0) == 0
        finally:
            killer.kill()
            killer.wait()
    finally:
        kill_tree(worker)
    add_job(database, archive.data_dir / "jobs")
    told = archive.run("why", "worker")
    sender = f"SIGTERM from bash -c kill -TERM {worker.pid}; sleep 30 & wait (pid {killer.pid}, "
    ended, after = coming(told)
    assert sender in ended
    assert f"sender_pid: {killer.pid}" in told
    assert after.startswith("nobody starts it again: no steward is running; start it: ")
    steward_runs(database)
    assert "the steward starts it again" in coming(archive.run("why", "worker", str(worker.pid)))[1]
    with database.begin() as connection:
        pause = hold(
            database,
            connection,
            Service.WORKER,
            HoldKind.PAUSE,
            who="ada",
            why="the disk is changed",
            actor=ACTOR,
        )
    told = archive.run("why", "worker")
    assert "worker all paused. the disk is changed" in told
    assert coming(told)[1].startswith("ada paused it (the disk is changed): it stays down until")
    with database.begin() as connection:
        assert end_hold(database, connection, pause, "it is changed", actor=ACTOR)
    assert "worker all resumed. it is changed" in archive.run("why", "worker")
    database.dispose()


def test_a_pause_declared_before_any_worker_ran_is_told(archive: Archive) -> None:
    archive.run("worker", "pause", "--reason", "the rack is moved")
    told = archive.ask("why", "worker")
    assert [each["what"] for each in told["events"]] == ["paused"]
    assert told["next"][0].startswith("it never ran; ")
    assert told["only_you"] is None
    assert "(the rack is moved): it stays down until" in told["next"][0]
    archive.run("worker", "resume")
    assert "the first start of a worker is a person's" in archive.run("why", "worker")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("worker",), 4, "No worker has ever run here."),
        (("worker", "4711"), 4, "The journal has nothing about worker 4711."),
        (("job",), 2, "Which job is not said."),
        (("job", "seven"), 4, "The journal has nothing about job seven."),
        (("campaign", "annual-1999"), 4, "There is no campaign 'annual-1999'."),
        (("target", "bax"), 4, "The journal has nothing about target bax."),
    ],
)
def test_what_nobody_knows_is_one_sentence(
    why: Why, words: tuple[str, ...], code: int, said: str
) -> None:
    complaint = why(*words, code=code)
    assert said in complaint
    assert len(complaint.splitlines()) == 1
