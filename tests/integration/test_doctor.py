"""`doctor` on a real machine: what the database tells, and how the command ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from healtharchive.cli.machine import checks_database
from healtharchive.cli.machine.checks import Checked, Level, Surroundings, ask
from healtharchive.cli.machine.examining import surroundings
from healtharchive.model import schema
from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.model.services import HoldKind, Service, hold, note_start
from healtharchive.model.tables import targets
from healtharchive.model.tables_operation import services, tokens
from healtharchive.model.targets import declare_targets
from healtharchive.storage.declared import load_targets
from tests.lab.archive import Archive
from tests.lab.workers import settings_for

TARGET = '[[target]]\nname = "cold"\nkind = "local"\nroot = "{}"\nship = true\n'


def machine(database: Database, directory: Path, **settings: Any) -> Surroundings:
    """This machine, with the test's database."""
    url = database.engine.url.render_as_string(hide_password=False)
    broken: list[Checked] = []
    found = surroundings(
        settings_for(directory, database_url=url, **settings),
        SystemClock(),
        ask,
        broken,
        booted=False,
    )
    assert broken == []
    return found


def levels(found: Iterable[Checked]) -> dict[str, Level]:
    return {each.about: each.level for each in found}


def test_a_database_that_is_well_and_one_without_its_schema(
    database: Database, tmp_path: Path
) -> None:
    found = levels(checks_database.database(machine(database, tmp_path)))
    assert found.pop("pg_dump", Level.OK) is Level.OK
    assert found.pop("restore tests", Level.OK) is Level.OK
    assert found == dict.fromkeys(("database", "schema", "database clock"), Level.OK)
    schema.downgrade(database, "0008")
    around = machine(database, tmp_path)
    assert around.condition is None
    found = levels(checks_database.database(around))
    assert found["schema"] is Level.FAIL
    assert levels(checks_database.services(around)) == {"services": Level.UNKNOWN}


def test_clocks_that_are_apart(database: Database, tmp_path: Path) -> None:
    class Wrong(SystemClock):
        def now(self) -> Any:
            return super().now() + timedelta(seconds=40)

    around = replace(machine(database, tmp_path), clock=Wrong())
    assert levels(checks_database.database(around))["database clock"] is Level.FAIL


def test_services_that_live_are_paused_silent_or_not_there(
    database: Database, tmp_path: Path
) -> None:
    around = machine(database, tmp_path)
    assert set(levels(checks_database.services(around)).values()) == {Level.WARN}
    actor = this_process()
    assert actor.host == socket.gethostname()
    with database.begin() as connection:
        note_start(database, connection, "worker", "w", "0.1.0", actor=actor)
        note_start(database, connection, "steward", "s", "0.1.0", actor=actor)
        connection.execute(
            update(services)
            .where(services.c.service == "steward")
            .values(beat_at=database.now(connection) - timedelta(hours=1))
        )
        hold(
            database, connection, Service.SERVE, HoldKind.PAUSE, who="me", why="disks", actor=actor
        )
    found = levels(checks_database.services(machine(database, tmp_path)))
    assert found == {"worker": Level.OK, "steward": Level.FAIL, "serve": Level.OK}


def test_a_target_is_well_only_when_it_was_seen_lately(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(TARGET.format(tmp_path / "cold"))

    def level() -> Level:
        return levels(checks_database.targets(machine(database, tmp_path)))["target cold"]

    assert level() is Level.UNKNOWN
    with database.begin() as connection:
        declare_targets(database, connection, load_targets(file), actor=this_process())
        now = database.now(connection)
        connection.execute(update(targets).values(probed_at=now, last_healthy_at=now))
    assert level() is Level.OK
    with database.begin() as connection:
        connection.execute(update(targets).values(last_healthy_at=now - timedelta(hours=1)))
    assert level() is Level.WARN
    with database.begin() as connection:
        connection.execute(update(targets).values(state="open", verdict="stale"))
    assert level() is Level.FAIL
    with database.begin() as connection:
        connection.execute(update(targets).values(state="open", verdict="healthy"))
    assert level() is Level.WARN  # mended, and not trusted yet


def test_operations_pages_without_a_token_and_a_token_that_ends(
    database: Database, tmp_path: Path
) -> None:
    def found() -> dict[str, Level]:
        around = machine(database, tmp_path, operations_port=9999)
        return levels([*checks_database.operations(around), *checks_database.ends(around)])

    assert found() == {"tokens": Level.WARN}
    with database.begin() as connection:
        now = database.now(connection)
        connection.execute(
            insert(tokens).values(
                name="me", digest="a" * 64, scopes=["admin"], created_at=now - timedelta(days=4),
                expires_at=now + timedelta(days=3),
            )
        )  # fmt: skip
    assert found() == {"tokens": Level.OK, "token me": Level.WARN}


def test_a_sqlite_database_on_a_remote_disk_is_not_opened(tmp_path: Path, monkeypatch: Any) -> None:
    table = f"30 1 0:50 / {tmp_path} rw - nfs4 box:/ rw\n1 1 8:1 / / rw - ext4 /dev/sda rw\n"
    real = checks_database.read_mounts
    monkeypatch.setattr(checks_database, "read_mounts", lambda: real(table))
    around = machine(Database(f"sqlite:///{tmp_path}/a.sqlite"), tmp_path)
    assert around.database is None
    (only,) = checks_database.database(around)
    assert only.level is Level.FAIL
    assert "nfs4" in only.sentence
    assert not (tmp_path / "a.sqlite").exists()


def test_the_command_tells_each_trouble_and_ends_with_2(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", {"EDITION_ON": "nonsense"})
    archive.set_up()
    (archive.data_dir / "targets.toml").write_text("[[target]]\nname = 7\n")
    found = json.loads(archive.run("doctor", "--json", codes=(2,)))
    failed = {each["about"] for each in found if each["level"] == "FAIL"}
    assert {"editions", "targets file"} <= failed
    assert "schema" in {each["about"] for each in found if each["level"] == "OK"}
    lines = archive.run("doctor", codes=(2,)).splitlines()
    assert any(line.startswith("FAIL     editions: ") for line in lines)
    assert any(line.startswith("         → Give month and day, such as 01-15") for line in lines)


def test_settings_that_cannot_be_read_are_one_line_and_the_rest_is_still_checked(
    tmp_path: Path,
) -> None:
    archive = Archive(tmp_path / "archive", {"WORKER_JOBS": "many"})
    found = json.loads(archive.run("doctor", "--json", codes=(2,)))
    assert [each["about"] for each in found if each["level"] == "FAIL"] == ["settings"]
    assert {"python", "packages", "sqlite"} <= {each["about"] for each in found}
