"""What changed between two editions: found once, whatever dies meanwhile, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, select

from healtharchive.model.changes import ListedChange, Place, Wish, compared_upto, list_changes
from healtharchive.model.database import Database
from healtharchive.model.errors import LeaseLost
from healtharchive.model.orders import IndexOrder
from healtharchive.model.samples import sample_of_job
from healtharchive.model.tables import changes
from healtharchive.search.compare import edition
from healtharchive.search.compare.edition import compare_after
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.search.rebuild import rebuild
from healtharchive.warc.cdxj import stored_key
from tests.lab.captured import (
    FIRST_MOMENT,
    SITE,
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.queue import ACTOR

TEXT = (
    "Adults take 5 mg once daily with a glass of water. Ask a doctor before you give the medicine "
    "to children. You should not drive after taking it. Some people feel dizzy for a while."
)
EDITS = {
    "/dose": TEXT.replace("5 mg", "50 mg"),
    "/negation": TEXT.replace("should not", "should"),
    "/sentence": TEXT.replace(" Some people feel dizzy for a while.", ""),
    "/wording": TEXT.replace("a glass of water", "a cup of water"),
    "/same": TEXT,
}
REDIRECT = (("Location", "/elsewhere"),)
LATER = FIRST_MOMENT + timedelta(days=365)


class Killed(Exception):
    """The attempt ends here."""


@dataclass
class Archive:
    database: Database
    root: Path
    index_dir: Path

    def tools(self, check: Callable[[], None] = lambda: None) -> Tools:
        return Tools(self.database, SearchIndex(self.index_dir), ACTOR, lambda _: None, check)

    def capture(self, campaign: str, *pages: Page) -> IndexOrder:
        order = completed_job(self.database, self.root, "lab", campaign)
        add_segment(order, [page_record(each) for each in pages])
        return order

    def work(self, order: IndexOrder, check: Callable[[], None] = lambda: None) -> int:
        """Index the job and compare it."""
        held, order = claim_index(self.database, order)
        index_job(order, self.tools())
        found = compare_after(order, self.tools(check))
        finish_index(self.database, held)
        return found

    def edition(self, campaign: str, *pages: Page) -> IndexOrder:
        order = self.capture(campaign, *pages)
        self.work(order)
        return order

    def changes(self, **wish: object) -> list[ListedChange]:
        with self.database.read() as connection:
            return list_changes(connection, replace(Wish(limit=500), **wish))  # type: ignore[arg-type]

    def told(self) -> dict[str, tuple[str, float]]:
        """Kind and score by path."""
        return {each.url.removeprefix(SITE): (each.kind, each.score) for each in self.changes()}


def page(path: str, text: str, moment: datetime = FIRST_MOMENT, **more: object) -> Page:
    # A page says what it is of: what most pages have in common would be no content.
    body = html_page("Medicine", f"{text} This is the page {path}.")
    return Page(path, body, moment=moment, **more)  # type: ignore[arg-type]


FIRST = tuple(page(path, TEXT) for path in EDITS)
SECOND = tuple(page(path, text, LATER) for path, text in EDITS.items())


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Archive:
    return Archive(database, tmp_path / "jobs", tmp_path / "search")


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database meanwhile, with its parameters."""
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(connection, "before_cursor_execute", note)


def test_a_sample_is_spread_over_the_job_and_fetches_no_more_than_itself(archive: Archive) -> None:
    pages = [page(f"/{number:03}", f"{TEXT} Page {number}.") for number in range(60)]
    job_id = archive.edition("annual-2026", *pages).job_id
    with archive.database.read() as connection:
        with statements(connection) as said:
            chosen = sample_of_job(connection, job_id, 10)
        fetched = sum(
            connection.exec_driver_sql(f"SELECT count(*) FROM ({statement}) AS asked", parameters)
            .scalars()
            .one()
            for statement, parameters in said
        )
        whole = sample_of_job(connection, job_id, 60)
    assert len(whole) == 60
    assert fetched <= 1 + 10 + 10
    offsets = [int(key.rpartition(":")[2]) for key in whole]
    offsets.sort()
    places = sorted(offsets.index(int(key.rpartition(":")[2])) for key in chosen)
    assert len(places) == 10
    assert all(place // 6 == step for step, place in enumerate(places))


def plan_of(archive: Archive, url: str) -> str:
    """How the database finds the changes of a page, as an index would let it."""
    with archive.database.read() as connection:
        with statements(connection) as said:
            assert list_changes(connection, Wish(url=url, url_key=stored_key(url)))
        if not archive.database.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if archive.database.is_sqlite else "EXPLAIN"
        ((statement, parameters),) = said
        return str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())


def test_the_changes_of_a_page_are_found_by_its_key(archive: Archive) -> None:
    archive.edition("annual-2026", *FIRST)
    archive.edition("annual-2027", *SECOND)
    assert "ix_changes_url_key" in plan_of(archive, SITE + "/dose")


def test_the_second_edition_is_compared_with_the_first(archive: Archive) -> None:
    archive.edition("annual-2026", *FIRST)
    assert archive.changes() == []  # nothing is new when all is
    archive.edition("annual-2027", *SECOND, page("/fresh", "A page about something else.", LATER))
    found = archive.told()
    assert set(found) == {*EDITS, "/fresh"} - {"/same"}
    facts = min(found["/dose"][1], found["/negation"][1])
    assert facts > found["/sentence"][1] > found["/wording"][1] > 0
    assert found["/fresh"][0] == "new"
    (dose,) = archive.changes(url=SITE + "/dose")
    assert (dose.added_words, dose.removed_words, dose.changed_sentences) == (2, 2, 1)
    assert dose.from_at == FIRST_MOMENT
    example = dose.examples[0]
    assert example["new"] == "Adults take 50 mg once daily with a glass of water."
    assert example["facts"] == ["dose"]


def test_what_stands_on_most_pages_is_no_content(archive: Archive) -> None:
    paths = [f"/page-{number}" for number in range(12)]
    texts = [f"This page is about the topic number {path[6:]} of many." for path in paths]
    menu = "</p><p>Free shuttle buses to every clinic</p><p>"
    archive.edition("annual-2026", *map(page, paths, texts))
    archive.edition(
        "annual-2027",
        *(page(path, menu + text, LATER) for path, text in zip(paths, texts, strict=True)),
    )
    assert {each.kind for each in archive.changes()} == {"boilerplate"}
    assert {each.score for each in archive.changes()} == {0.0}
    assert archive.changes(least_score=0.01) == []


def test_pages_that_go_away_fail_and_come_back(archive: Archive) -> None:
    paths = ("/gone", "/moved", "/broken", "/still")
    archive.edition("annual-2026", *(page(path, TEXT) for path in paths))
    archive.edition(
        "annual-2027",
        page("/gone", "Not here.", LATER, status="404 Not Found"),
        page("/moved", "", LATER, status="301 Moved", more=REDIRECT),
        page("/broken", "", LATER, status="500 Oops"),
        page("/still", TEXT, LATER),
    )
    kinds = {path: kind for path, (kind, _) in archive.told().items()}
    assert kinds == {"/gone": "gone", "/moved": "redirect", "/broken": "error"}
    again = LATER + timedelta(days=365)
    archive.edition(
        "annual-2028",
        page("/gone", TEXT, again),
        page("/broken", EDITS["/dose"], again),  # compared with the page before the failure
        page("/moved", "", again, status="301 Moved", more=REDIRECT),
    )
    latest = {each.url.removeprefix(SITE): each.kind for each in archive.changes(since=again)}
    assert latest == {"/gone": "new", "/broken": "content"}


def test_an_attempt_that_dies_is_continued_and_nothing_is_told_twice(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edition, "BATCH", 1)
    archive.edition("annual-2026", *FIRST)
    order = archive.capture("annual-2027", *SECOND)
    held, order = claim_index(archive.database, order)
    index_job(order, archive.tools())
    looked = 0

    def die() -> None:
        nonlocal looked
        looked += 1
        if looked == 3:
            raise Killed

    with pytest.raises(Killed):
        compare_after(order, archive.tools(die))
    before = {each.id for each in archive.changes()}
    assert len(before) == 2
    assert compare_after(order, archive.tools()) == 2
    assert before < {each.id for each in archive.changes()}
    assert compare_after(order, archive.tools()) == 0
    finish_index(archive.database, held)
    with archive.database.read() as connection:
        targets = list(connection.execute(select(changes.c.to_capture)).scalars())
    assert len(targets) == len(set(targets)) == 4


def test_an_attempt_without_the_lease_writes_nothing(archive: Archive) -> None:
    archive.edition("annual-2026", *FIRST)
    order = archive.capture("annual-2027", *SECOND)
    held, order = claim_index(archive.database, order)
    index_job(order, archive.tools())
    with pytest.raises(LeaseLost):
        compare_after(replace(order, fence=order.fence + 1), archive.tools())
    assert archive.changes() == []
    with archive.database.read() as connection:
        assert compared_upto(connection, order.job_id) == 0
    finish_index(archive.database, held)


def test_a_late_edition_comes_between(archive: Archive) -> None:
    """An older capture indexed last: the newer one is compared with it, no longer across it."""
    archive.edition("annual-2026", *FIRST)
    archive.edition("annual-2028", *SECOND)
    across = archive.told()
    between = FIRST_MOMENT + timedelta(days=100)
    archive.edition("annual-2027", *(replace(each, moment=between) for each in SECOND))
    assert {each.at for each in archive.changes()} == {between}
    assert archive.told() == across


def test_a_rebuild_finds_the_same(archive: Archive) -> None:
    archive.edition("annual-2026", *FIRST)
    archive.edition("annual-2027", *SECOND)
    before = archive.told()
    with archive.database.begin() as connection:
        connection.execute(delete(changes))
    rebuild(archive.tools(), archive.root, lambda: 0.0)
    assert archive.told() == before


@pytest.mark.parametrize("order", ["time", "score"])
def test_a_list_stays_the_same_while_changes_arrive(archive: Archive, order: str) -> None:
    archive.edition("annual-2026", *FIRST)
    archive.edition("annual-2027", *SECOND)
    whole = [each.to_capture for each in archive.changes(order=order)]
    seen: list[int] = []
    after: Place | None = None
    while some := archive.changes(order=order, limit=1, after=after):
        seen += [each.to_capture for each in some]
        if len(seen) == 1 and order == "time":
            newest = [replace(each, moment=LATER + timedelta(days=9)) for each in FIRST]
            archive.edition("annual-2028", *newest)
        after = Place(some[0].at if order == "time" else some[0].score, some[0].id)
    assert seen == whole
