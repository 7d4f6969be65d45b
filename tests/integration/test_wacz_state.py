"""What a collection has, and what is prepared of it, on both databases."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import pytest
from sqlalchemy import select, update

from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.model.database import Database
from healtharchive.model.orders import Report
from healtharchive.model.tables import segments
from healtharchive.search import collection_prepare
from healtharchive.search.collection_after import prepare_for
from healtharchive.search.collection_prepare import Prepared, prepare
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools
from tests.lab.kept_collections import Editions, editions
from tests.lab.queue import ACTOR

JOB, SOURCE = CollectionKind.JOB, CollectionKind.SOURCE


@pytest.fixture
def archive(database: Database, database_url: str, tmp_path: Path) -> Editions:
    return editions(database, database_url, tmp_path)


def made(archive: Editions, kind: CollectionKind, name: str) -> Prepared:
    return prepare(archive.database, archive.settings.wacz_dir, CollectionName(kind, name))


def test_pages_beyond_the_first_are_in_a_second_list(
    archive: Editions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_prepare, "FIRST_PAGES", 1)
    made = prepare(archive.database, archive.settings.wacz_dir, CollectionName(JOB, "1"))
    listed = [(made.directory / name).read_bytes().splitlines() for name in
              ("pages.jsonl", "extraPages.jsonl")]  # fmt: skip
    assert [len(each) for each in listed] == [2, 2]
    assert b"Front" in listed[0][1]
    assert b"Measles" in listed[1][1]


def test_the_index_child_computes_the_checksum_and_prepare_those_that_it_did_not(
    archive: Editions,
) -> None:
    def known() -> dict[str, int | None]:
        with archive.database.read() as connection:
            query = select(segments.c.name, segments.c.crc32).order_by(segments.c.name)
            return {row.name: row.crc32 for row in connection.execute(query)}

    right = {
        path.name: zlib.crc32(path.read_bytes())
        for order in (archive.first, archive.second)
        for path in archive.segments(order)
    }
    assert known() == right
    with archive.database.begin() as connection:
        connection.execute(update(segments).values(crc32=None))
    made(archive, SOURCE, "lab")
    assert known() == right


def test_old_states_and_abandoned_attempts_are_tidied_away(archive: Editions) -> None:
    home = made(archive, JOB, "1").directory.parent
    for number in range(5):
        (home / f"{number:032}").mkdir()
    with archive.database.begin() as connection:
        connection.execute(update(segments).values(indexed_at=archive.database.now(connection)))
    newest = made(archive, JOB, "1").directory
    left = {path.name for path in home.iterdir()}
    assert newest.name in left
    assert len(left) == 3


def test_an_index_attempt_leaves_its_collections_prepared(
    archive: Editions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in archive.environ.items():
        monkeypatch.setenv(name, value)
    reports: list[Report] = []
    index = SearchIndex(archive.settings.search_dir)
    tools = Tools(archive.database, index, ACTOR, reports.append, lambda: None)
    prepare_for(archive.second, tools)
    found = {path.parent.parent.name for path in archive.settings.wacz_dir.glob("*/*/layout.json")}
    assert (found, reports) == ({"job-2", "source-lab", "campaign-annual-2026"}, [])
    shutil.rmtree(archive.settings.wacz_dir)
    shutil.rmtree(Path(archive.second.output_dir) / "cdx")
    prepare_for(archive.second, tools)
    assert "reindex-job" not in str(reports)  # a reason, no cure: nothing failed
    assert "is not there" in str(reports)
