"""Drift as it is seen: files on disk, the database, and processes that began before."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, read
from healtharchive.model.services import Service, note_start
from healtharchive.model.sources import upsert_source
from healtharchive.model.tables_operation import services
from healtharchive.settings import Settings, load
from healtharchive.steward.drift import Drift
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import take_round
from healtharchive.work.stopping import Stop
from tests.lab.queue import ACTOR, source_named

SOURCE = 'code = "lab"\nname = "Lab"\n[[seeds]]\nurl = "https://lab.example/"\n'
SOURCE += '[scope]\nhosts = ["lab.example"]\n'


class Lab:
    """An archive with an environment file, a source file, and processes that run."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.database = database
        self.env_file = directory / "backend.env"
        self.env_file.write_text(f"HEALTHARCHIVE_DATA_DIR={directory}\n")
        self.sources = directory / "sources"
        self.targets = directory / "targets.toml"
        clock = SystemClock()
        self.means = StewardMeans(
            settings=self.load(), database=database, clock=clock, stop=Stop(clock), actor=ACTOR
        )
        self.drift = Drift(self.means, self.load)

    def load(self) -> Settings:
        return load({}, env_file=self.env_file)

    def process(self, service: Service, *, version: str = "0.1.0", hours_ago: float = 1.0) -> None:
        unit = f"healtharchive-{service}.service"
        with self.database.begin() as connection:
            actor = Actor(unit, 7, ACTOR.host)
            note_start(self.database, connection, service, f"{service} 7", version, actor=actor)
            began = self.database.now(connection) - timedelta(hours=hours_ago)
            connection.execute(
                update(services).where(services.c.service == service).values(started_at=began)
            )

    def told(self) -> dict[str, str]:
        """A round: what was told of each kind."""
        return {
            each.step.subject_id: f"{each.step.what}: {each.why}"
            for each in take_round(self.drift, self.means)
        }


@pytest.fixture
def lab(tmp_path: Path, database: Database) -> Lab:
    made = Lab(tmp_path, database)
    old = made.env_file.stat().st_mtime - 86_400
    os.utime(made.env_file, (old, old))
    return made


def test_a_changed_env_file_is_told_once_and_over_after_the_restart(lab: Lab) -> None:
    lab.process(Service.WORKER)
    assert lab.told() == {}
    os.utime(lab.env_file)  # touched, not changed
    assert lab.told() == {}
    with lab.env_file.open("a") as file:
        file.write("HEALTHARCHIVE_WORKER_JOBS=3\n")
    said = lab.told()
    assert "systemctl restart healtharchive-worker.service" in said["env-file"]
    assert lab.told() == {}
    lab.process(Service.WORKER, hours_ago=-0.01)
    assert lab.told() == {"env-file": "over: it is as it should be again"}
    with lab.database.read() as connection:
        events = read(connection, subject="drift", subject_id="env-file")
    assert [each.what for each in events] == ["found", "over"]


def test_files_that_cannot_be_used_and_unknown_names_are_told(lab: Lab) -> None:
    lab.env_file.write_text("HEALTHARCHIVE_WORKERJOBS=3\n")
    lab.targets.write_text("[[target]]\nname = 'x'\n")
    lab.sources.mkdir()
    (lab.sources / "bad.toml").write_text("code = \n")
    settings = replace(lab.means.settings, targets_file=lab.targets, sources_dir=lab.sources)
    lab.drift.means = replace(lab.means, settings=settings)
    said = lab.told()
    assert "HEALTHARCHIVE_WORKER_JOBS?" in said["unknown-settings"]
    assert "targets.toml" in said["targets-file"]
    assert "bad.toml" in said["sources"]
    lab.env_file.write_text("no assignment\n")
    assert "Line 1" in lab.told()["env-file"]


def test_a_source_file_that_was_changed_after_it_was_loaded_is_told(lab: Lab) -> None:
    lab.sources.mkdir()
    (lab.sources / "lab.toml").write_text(SOURCE)
    from healtharchive.crawl.sources import load_all

    with lab.database.begin() as connection:
        loaded = load_all(lab.sources)["lab"]
        upsert_source(lab.database, connection, loaded, actor=ACTOR)
        upsert_source(lab.database, connection, source_named("crawled"), actor=ACTOR)
    assert lab.told() == {}
    (lab.sources / "lab.toml").write_text(SOURCE.replace('"Lab"', '"The lab"'))
    assert "source lab" in lab.told()["sources"]


def test_versions_side_by_side_and_another_schema_are_told(lab: Lab) -> None:
    lab.process(Service.WORKER, version="0.1.0")
    lab.process(Service.SERVE, version="0.2.0")
    with lab.database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    said = lab.told()
    assert "worker 0.1.0" in said["versions"]
    assert "newer than" in said["schema"]
