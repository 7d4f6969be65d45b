"""`serve pause` and `serve resume`: the pages stay down for as long as an operator declared."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import update

from healtharchive.model.database import Database
from healtharchive.model.journal import this_process
from healtharchive.model.services import Service, open_holds, processes
from healtharchive.model.tables_operation import services as rows
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import take_round
from healtharchive.steward.services import Services
from tests.lab.archive import Archive
from tests.lab.postgres import free_port
from tests.lab.processes import wait_for
from tests.lab.stewards import events_about, means_for


@dataclass
class Started:
    """Who starts services: it only notes which."""

    units: list[str] = field(default_factory=list)

    def objection(self, service: str, unit: str) -> str:
        return ""

    def start(self, service: str, unit: str) -> str:
        self.units.append(unit)
        return f"the lab started {unit}"


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """An archive on either database."""
    (tmp_path / "backend.env").touch()
    return Archive(tmp_path, {"DATABASE_URL": database_url})


def served(database: Database) -> bool:
    with database.read() as connection:
        return bool(processes(connection, Service.SERVE))


def test_paused_pages_stop_and_stay_down_until_they_are_resumed(
    archive: Archive, database: Database, tmp_path: Path
) -> None:
    means = means_for(tmp_path, database, repay_seconds=1.0)
    means = StewardMeans(
        settings=means.settings,
        database=database,
        clock=means.clock,
        stop=means.stop,
        actor=this_process(),
    )
    starter = Started()
    steward = Services(means, starter=lambda: starter)
    with archive.serving(free_port()) as server:
        wait_for(lambda: served(database), what="the pages are served")
        told = archive.ask("serve", "pause", "--reason", "the disk is replaced", "--for", "2h")
        assert server.wait(30) in (0, -signal.SIGTERM)
    assert (told["service"], told["kind"], told["host"]) == ("serve", "pause", means.actor.host)
    assert not served(database)
    with database.begin() as connection:  # as if systemd had run them
        values = {"unit": "healtharchive-serve.service"}
        connection.execute(update(rows).where(rows.c.service == "serve").values(values))
    assert take_round(steward, means) == []
    assert "`healtharchive serve resume` ends that" in archive.run("why", "serve")
    assert archive.run("serve", "pause", "--reason", "again", codes=(2,)) == ""
    assert "The pause of" in archive.run("serve", "resume", "--reason", "it is in")
    wait_for(lambda: take_round(steward, means), what="the steward starts the pages")
    assert starter.units == ["healtharchive-serve.service"]
    whats = [each.what for each in events_about(database, "serve")]
    assert whats == ["started", "paused", "stop_signal", "stopped", "resumed", "start"]
    with database.read() as connection:
        assert open_holds(connection) == []
    archive.run("serve", "resume", codes=(2,))


def test_pages_that_nobody_serves_are_paused_all_the_same(archive: Archive) -> None:
    archive.set_up()
    said = archive.run("serve", "pause", "--reason", "the machine moves")
    assert "No web pages were served on this machine." in said
    assert "until `healtharchive serve resume`" in said
