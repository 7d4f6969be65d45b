"""Whether an insert that ignores a conflict has added its row: events hang on the answer."""

from __future__ import annotations

from healtharchive.model.campaigns import create_campaign
from healtharchive.model.database import Database
from healtharchive.model.journal import read
from healtharchive.model.sources import upsert_source
from healtharchive.model.tables import campaigns
from tests.lab.queue import ACTOR, source_named


def test_an_insert_that_ignores_a_conflict_says_whether_it_added_its_row(
    database: Database,
) -> None:
    for expected in (1, 0):
        with database.begin() as connection:
            row = {"name": "a", "kind": "annual", "created_at": database.now(connection)}
            added = connection.execute(database.insert_ignore(campaigns).values(row))
            assert added.rowcount == expected


def test_a_new_campaign_is_an_event_and_asking_for_it_again_is_none(database: Database) -> None:
    for _ in range(2):
        with database.begin() as connection:
            upsert_source(database, connection, source_named("lab"), actor=ACTOR)
            create_campaign(
                database,
                connection,
                "annual",
                2026,
                jobs_root="/jobs",
                actor=ACTOR,
                sources=["lab"],
            )
    with database.read() as connection:
        told = read(connection, subject="campaign", subject_id="annual-2026")
    assert [each.what for each in told] == ["created"]
