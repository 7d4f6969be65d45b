"""Backups of the database: made while others write, restored as a test, kept, sent to targets."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from healtharchive.cli.machine import checks_database
from healtharchive.cli.machine.checks import Level
from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import record
from healtharchive.model.tables import archive_jobs
from healtharchive.model.targets import declare_targets
from healtharchive.model.told import last_told
from healtharchive.steward.backup_files import DIGEST_END, FACTS_END, kept_in, read_facts
from healtharchive.steward.backups import MAKE, SEND, TRY, Backups
from healtharchive.steward.delegating import Interrupted
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Told, take_round
from healtharchive.storage.manifest import listings
from healtharchive.storage.places import place_for
from healtharchive.work.stopping import Stop
from tests.lab import objects
from tests.lab.archive import Archive
from tests.lab.queue import ACTOR, SetClock, SetDatabase, add_job, add_many_jobs
from tests.lab.workers import settings_for

DAY = 86_400.0


def means_for(directory: Path, database: Database, **settings: Any) -> StewardMeans:
    clock = SystemClock()
    return StewardMeans(
        settings=settings_for(directory, **settings),
        database=database,
        clock=clock,
        stop=Stop(clock),
        actor=ACTOR,
    )


def asked(means: StewardMeans, what: str, name: str = "") -> Told:
    (told,) = take_round(Backups(means, asked=what, asked_name=name), means)
    return told


def backed_up(means: StewardMeans) -> Path:
    told = asked(means, MAKE)
    assert told.outcome == "applied", told.why
    return means.settings.backup_dir / told.step.subject_id


@pytest.fixture
def means(tmp_path: Path, database: Database) -> StewardMeans:
    add_job(database, tmp_path, "hc")
    add_many_jobs(database, 50)
    return means_for(tmp_path, database)


def test_a_backup_restores_to_the_rows_that_were_there(means: StewardMeans) -> None:
    path = backed_up(means)
    assert path.stat().st_mode & 0o777 == 0o600
    backup = read_facts(path.parent, path.name)
    assert backup is not None
    assert backup.facts.counts["archive_jobs"] == 51
    check = ["sha256sum", "--check", "--quiet", f"{path.name}{DIGEST_END}"]
    assert subprocess.run(check, cwd=path.parent, check=False).returncode == 0
    tried = asked(means, TRY, path.name)
    assert tried.outcome == "applied", tried.why
    assert sorted(each.name for each in path.parent.iterdir()) == sorted(
        f"{path.name}{end}" for end in ("", FACTS_END, DIGEST_END)
    )
    with means.database.read() as connection:
        for what in (MAKE, TRY):
            told = last_told(connection, "database", (what,))
            assert told is not None
            assert told.subject_id == path.name


def test_nothing_of_a_restore_test_stays_on_the_server(means: StewardMeans) -> None:
    path = backed_up(means)
    assert asked(means, TRY, path.name).outcome == "applied"
    if means.database.is_sqlite:
        return
    with means.database.read() as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
    assert not [name for name in names if "restore_test" in name]


@pytest.mark.parametrize("lie", ["count", "sample", "revision"])
def test_a_restored_row_that_is_not_what_it_was_fails_the_test(
    means: StewardMeans, lie: str
) -> None:
    path = backed_up(means)
    facts = json.loads(Path(f"{path}{FACTS_END}").read_text())
    if lie == "count":
        facts["facts"]["counts"]["archive_jobs"] += 1
    elif lie == "sample":
        rows = facts["facts"]["samples"]["archive_jobs"]
        rows[next(iter(rows))] = "0" * 64
    else:
        facts["facts"]["revision"] = "0001"
    Path(f"{path}{FACTS_END}").write_text(json.dumps(facts))
    told = asked(means, TRY, path.name)
    assert told.outcome == "failed"
    assert "does not restore to what was backed up" in told.why
    with means.database.read() as connection:
        failed = last_told(connection, "database", ("restore_test_failed",))
    assert failed is not None
    assert failed.subject_id == path.name


def test_a_damaged_backup_is_named(means: StewardMeans) -> None:
    path = backed_up(means)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    told = asked(means, TRY, path.name)
    assert told.outcome == "failed"
    assert "damaged" in told.why
    assert path.exists()


def test_a_backup_is_of_one_moment_though_others_write_all_the_time(
    tmp_path: Path, database: Database
) -> None:
    """Two tables change in one transaction: no copy may have the one change without the other."""
    means = means_for(tmp_path, database)
    first = add_job(database, tmp_path, "hc")
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.002):
            with database.begin() as connection:
                now = database.now(connection)
                record(
                    connection, at=now, actor=ACTOR, subject="x", subject_id=1, what="tick", why="y"
                )
                connection.execute(
                    archive_jobs.update()
                    .where(archive_jobs.c.id == first)
                    .values(position=archive_jobs.c.position + 1)
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        path = backed_up(means)
    finally:
        over.set()
        writer.join(30)
    tried = asked(means, TRY, path.name)
    assert tried.outcome == "applied", tried.why


def test_without_room_nothing_is_begun_and_the_sentence_says_what_is_missing(
    means: StewardMeans, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from healtharchive.steward import backup_making
    from healtharchive.steward.backup_files import MakeOrder

    monkeypatch.setattr(backup_making, "KEPT_FREE_BYTES", 10**18)
    order = MakeOrder(str(tmp_path / "b"), "healtharchive-20260101T000000Z.dump", 3)
    with pytest.raises(SetupError, match="no room for a backup"):
        backup_making.make(order, means.database, lambda _: None)
    assert list((tmp_path / "b").iterdir()) == []


def test_what_a_killed_backup_left_is_removed_by_the_next(means: StewardMeans) -> None:
    directory = means.settings.backup_dir
    directory.mkdir()
    left = "healtharchive-20250101T000000Z.sqlite.gz"
    for name in (f"{left}.part", f"{left}.raw", f"{left}.raw-wal", f"{left}{FACTS_END}"):
        (directory / name).write_bytes(b"half")
    (directory / "notes.txt").write_text("an operator's own")
    path = backed_up(means)
    names = {each.name for each in directory.iterdir()}
    assert names == {"notes.txt", *(f"{path.name}{end}" for end in ("", FACTS_END, DIGEST_END))}


# -- PostgreSQL's own ---------------------------------------------------------------------------


def test_a_role_that_may_not_create_databases_gets_a_sentence_and_no_failed_test(
    means: StewardMeans,
) -> None:
    if means.database.is_sqlite:
        return
    with means.database.begin() as connection:
        connection.execute(text("CREATE ROLE modest_role LOGIN"))
        connection.execute(text("GRANT ALL ON SCHEMA public TO modest_role"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO modest_role"))
        connection.execute(text("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO modest_role"))
    url = means.database.engine.url.set(username="modest_role")
    modest = Database(url.render_as_string(hide_password=False), "the test")
    try:
        theirs = replace(means, database=modest)
        path = backed_up(theirs)
        told = asked(theirs, TRY, path.name)
        (checked,) = checks_database.restoring(modest)
    finally:
        modest.dispose()
    assert (checked.about, checked.level) == ("restore tests", Level.WARN)
    assert "ALTER ROLE modest_role CREATEDB" in checked.cure
    assert told.outcome == "refused"
    assert "ALTER ROLE modest_role CREATEDB" in told.why


# -- when -------------------------------------------------------------------------------------


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[StewardMeans, SetClock]]:
    """An archive whose time the test sets, with one event: it began."""
    clock = SetClock()
    database = SetDatabase(f"sqlite:///{tmp_path / 'archive.sqlite'}", clock)
    from healtharchive.model import schema

    schema.upgrade(database)
    add_job(database, tmp_path, "hc")
    means = means_for(tmp_path, database)
    yield replace(means, clock=clock), clock
    database.dispose()


def steps(means: StewardMeans) -> list[str]:
    return [each.what for each in Backups(means).plan()]


def test_a_backup_is_due_every_day_its_test_every_week(
    slow: tuple[StewardMeans, SetClock],
) -> None:
    means, clock = slow
    assert steps(means) == []  # ten minutes old: it has nothing to lose
    clock.advance(601)
    told = take_round(Backups(means), means)
    assert [(each.step.what, each.outcome) for each in told] == [(MAKE, "applied")]
    told = take_round(Backups(means), means)
    assert [(each.step.what, each.outcome) for each in told] == [(TRY, "applied")]
    assert steps(means) == []
    clock.advance(DAY - 1)
    assert steps(means) == []
    clock.advance(1)
    assert steps(means) == [MAKE]
    clock.advance(6 * DAY)
    assert steps(means) == [MAKE, TRY]


def test_a_clock_that_was_wrong_for_a_while_stops_no_backup(
    slow: tuple[StewardMeans, SetClock],
) -> None:
    means, clock = slow
    clock.advance(3650 * DAY)
    assert [each.outcome for each in take_round(Backups(means), means)] == ["applied"]
    clock.advance(-3649 * DAY)
    assert MAKE in steps(means)
    (made, *_) = take_round(Backups(means), means)
    assert (made.step.what, made.outcome) == (MAKE, "applied")
    assert MAKE not in steps(means)


def test_a_test_that_failed_is_due_again_after_six_hours_and_one_of_an_old_file_is_not(
    slow: tuple[StewardMeans, SetClock],
) -> None:
    means, clock = slow
    old = backed_up(means)
    clock.advance(60)
    newest = backed_up(means)
    assert asked(means, TRY, newest.name).outcome == "applied"
    old.write_bytes(b"damaged")
    assert asked(means, TRY, old.name).outcome == "failed"
    clock.advance(21_600)
    assert steps(means) == []
    newest.write_bytes(b"damaged")
    assert asked(means, TRY, newest.name).outcome == "failed"
    assert steps(means) == []
    clock.advance(21_600)
    assert steps(means) == [TRY]


def test_a_backup_that_failed_is_tried_again_after_a_quarter_of_an_hour_with_one_event_a_try(
    slow: tuple[StewardMeans, SetClock],
) -> None:
    means, clock = slow
    means.settings.backup_dir.write_text("a file where the directory should be")
    clock.advance(601)
    (told,) = take_round(Backups(means), means)
    assert told.outcome == "failed"
    assert "HEALTHARCHIVE_BACKUP_DIR" in told.why
    assert steps(means) == []
    clock.advance(901)
    assert steps(means) == [MAKE]
    with means.database.read() as connection:
        failed = last_told(connection, "database", ("backup_failed",))
    assert failed is not None
    assert failed.why == told.why


def test_a_backup_goes_to_every_target_and_older_ones_leave_it_again(
    slow: tuple[StewardMeans, SetClock], tmp_path: Path
) -> None:
    means, clock = slow
    means = replace(means, settings=replace(means.settings, backups_kept=2))
    cold = objects.local(tmp_path / "cold")
    with means.database.begin() as connection:
        declare_targets(means.database, connection, [cold.definition], actor=ACTOR)
    made = []
    for _ in range(4):
        clock.advance(DAY)
        made.append(asked(means, MAKE).step.subject_id)
        told = take_round(Backups(means), means)
        sent = [each for each in told if each.step.what == SEND]
        assert [each.outcome for each in sent] == ["applied"], sent
        assert SEND not in steps(means)
    names = [name for name in cold.files.names() if name.startswith("_backups/")]
    there = [name.rpartition("/")[2] for name in names]
    assert sorted(each for each in there if each.endswith(".gz")) == made[-2:]
    manifest = next(cold.files.get(name) for name in names if name.endswith("manifest.jsonl"))
    lines = [json.loads(line) for line in (manifest or b"").splitlines()]
    assert sorted(line["name"] for line in lines) == made[-2:]
    with contextlib.closing(place_for(cold.definition, {})) as place:
        assert list(listings(place)) == []  # no job directory to a rebuild
    local = (means.settings.backup_dir / made[-1]).read_bytes()
    assert cold.files.get(next(name for name in names if name.endswith(made[-1]))) == local


def test_a_steward_that_is_stopped_in_the_midst_leaves_no_failure(
    slow: tuple[StewardMeans, SetClock],
) -> None:
    means, clock = slow
    made = asked(means, MAKE).step.subject_id
    means.stop.ask("SIGTERM from the test")
    for what in (MAKE, TRY):
        clock.advance(10)
        with pytest.raises(Interrupted):
            asked(means, what, made)
    with means.database.read() as connection:
        failed = last_told(connection, "database", ("backup_failed", "restore_test_failed"))
    assert failed is None
    assert kept_in(means.settings.backup_dir)[0].name == made


# -- the commands -----------------------------------------------------------------------------


def test_the_commands_make_list_and_try(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a")
    archive.set_up()
    assert "There is no backup" in archive.run("backup", "list")
    assert archive.run("backup", "test", codes=(4,)) == ""
    made = archive.ask("backup", "now")
    assert archive.ask("backup", "test")["name"] == made["name"]
    (listed,) = archive.ask("backup", "list")
    assert (listed["name"], listed["whole"], listed["tried_well"]) == (made["name"], True, True)
    assert made["name"] in archive.run("backup", "list")
    assert archive.run("backup", "test", "healtharchive-x", codes=(4,)) == ""


def test_rows_are_restored_by_hand_as_the_page_says(tmp_path: Path) -> None:
    """The way of docs/backups.md, for SQLite."""
    archive = Archive(tmp_path / "a")
    archive.set_up()
    made = archive.ask("backup", "now")["name"]
    database = tmp_path / "a" / "healtharchive.sqlite"
    for end in ("", "-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)
    packed = tmp_path / "a" / "backups" / made
    with database.open("wb") as out:
        subprocess.run(["gzip", "--decompress", "--stdout", packed], stdout=out, check=True)
    archive.run("db", "upgrade")
    assert archive.ask("list-jobs") == []
    found = Database(f"sqlite:///{database}")
    with found.read() as connection:
        assert connection.execute(select(archive_jobs.c.id)).all() == []
    found.dispose()


def test_each_of_these_reconcilers_can_be_asked_what_it_would_do(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", {"CERTIFICATES": str(tmp_path / "none.pem")})
    archive.set_up()
    for name in ("spool", "backups", "lagging", "drift"):
        assert archive.run("steward", "run", name, "--dry-run") == "Nothing to do.\n"
    said = archive.run("steward", "run", "expiry")
    assert said.startswith(f"unseen expiry certificate:{tmp_path / 'none.pem'}"[:100])
    assert archive.run("steward", "run", "expiry") == "Nothing to do.\n"
