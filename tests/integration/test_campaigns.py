"""An edition is of the declared sources; what somebody captured once by its URL is none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.model.campaigns import create_campaign, readiness
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.sources import upsert_source
from healtharchive.steward.editions import Editions
from healtharchive.steward.rounds import take_round
from tests.lab.archive import Archive
from tests.lab.commands import Run, in_process
from tests.lab.queue import ACTOR, SetClock, SetDatabase, source_named
from tests.lab.stewards import means_for

DECLARED = ["hc", "phac", "cihr"]
AD_HOC = "some-site"  # as `healtharchive crawl https://some-site.example/` makes it


def add_ad_hoc(database: Database) -> None:
    with database.begin() as connection:
        upsert_source(database, connection, source_named(AD_HOC), actor=ACTOR)


def captured_by(database: Database, campaign: str) -> list[str]:
    """The sources that have a job in a campaign, in their order."""
    with database.read() as connection:
        return [job.source for job in readiness(connection, campaign).jobs]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "data")
    made.set_up()
    return made


@pytest.fixture
def run(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return in_process(archive, monkeypatch, capsys)


def test_the_command_takes_declared_sources_and_any_other_only_by_its_name(
    archive: Archive, run: Run
) -> None:
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the test")
    add_ad_hoc(database)
    code, out, _ = run("campaign", "create", "annual", "--year", "2026")
    assert (code, AD_HOC in out) == (0, False)
    assert captured_by(database, "annual-2026") == DECLARED
    code, out, _ = run("campaign", "create", "annual", "--year", "2026", "--source", AD_HOC)
    assert (code, AD_HOC in out) == (0, True)
    assert captured_by(database, "annual-2026") == [*DECLARED, AD_HOC]
    database.dispose()


def test_the_stewards_edition_takes_declared_sources(database_url: str, tmp_path: Path) -> None:
    clock = SetClock()
    database = SetDatabase(database_url, clock)
    add_ad_hoc(database)
    editions = Editions(means_for(tmp_path, database, clock, edition_on="01-24"))
    (told,) = take_round(editions, editions.means)
    assert told.outcome == "applied"
    assert captured_by(database, "annual-2026") == DECLARED
    database.dispose()


def test_a_campaign_of_nothing_is_refused(database: Database) -> None:
    with pytest.raises(BadInput, match="no source to capture"), database.begin() as connection:
        create_campaign(
            database, connection, "annual", 2026, jobs_root="/jobs", actor=ACTOR, sources=()
        )
