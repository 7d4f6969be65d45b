"""What is not shown is in no WACZ: neither in a segment nor as another job's original."""

from __future__ import annotations

import gzip
import io
import zipfile
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event, select
from starlette.testclient import TestClient

from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.model.errors import BadInput
from healtharchive.model.suppression import Reason, rule_of_capture, suppress
from healtharchive.model.tables import captures
from healtharchive.search.collection import look
from healtharchive.search.collection_prepare import Prepared, prepare
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.wacz import Part
from healtharchive.warc.wacz_left_out import left_out
from healtharchive.warc.wacz_places import records_between
from healtharchive.web.app import create_app
from tests.lab import warcs
from tests.lab.captured import FIRST_MOMENT, SITE, Page, add_segment, html_page, page_record
from tests.lab.kept_collections import IMAGE, LATER, Editions, expect_right, index_of, on_sqlite
from tests.lab.queue import ACTOR
from tests.lab.wacz import LayoutFile


@pytest.fixture
def archive(tmp_path: Path) -> Editions:
    return on_sqlite(tmp_path)


def made(archive: Editions, name: str) -> Prepared:
    job = CollectionName(CollectionKind.JOB, name)
    return prepare(archive.database, archive.settings.wacz_dir, job)


def opened(archive: Editions, prepared: Prepared) -> zipfile.ZipFile:
    paths = {
        path.name: path
        for order in (archive.first, archive.second)
        for path in archive.segments(order)
    }

    def content(part: Part) -> bytes:
        if part.places:
            table = prepared.directory / part.places
            found = records_between(table, part.offset, part.offset + part.length)
            return b"".join(map(content, found))
        path = paths[part.segment] if part.segment else prepared.directory / part.derived
        return path.read_bytes()[part.offset : part.offset + part.length]

    return zipfile.ZipFile(LayoutFile(prepared.layout, content))  # type: ignore[arg-type]


def hide(archive: Editions, path: str) -> None:
    """The first capture of a URL is not shown any more."""
    database = archive.database
    with database.begin() as connection:
        query = select(captures.c.id).where(captures.c.url == SITE + path).order_by(captures.c.id)
        number = connection.execute(query.limit(1)).scalar_one()
        rule = rule_of_capture(connection, number)
        suppress(database, connection, rule, Reason(why="asked", who="op"), actor=ACTOR)


def uris_of(wacz: zipfile.ZipFile) -> list[tuple[str, str | None]]:
    """The kind and the URL of every record in it."""
    names = [name for name in wacz.namelist() if name.startswith("archive/")]
    found = [each for name in names for each in read_records(io.BytesIO(wacz.read(name)))]
    assert all(isinstance(each, WarcRecord) for each in found)
    return [(each.record_type, each.target_uri) for each in found if isinstance(each, WarcRecord)]


def test_an_original_that_is_hidden_leaves_the_other_jobs_wacz(archive: Editions) -> None:
    before = made(archive, "2")
    with opened(archive, before) as wacz:
        assert ("response", SITE + "/en/measles") in uris_of(wacz)
    hide(archive, "/en/measles")
    after = made(archive, "2")
    assert after.directory != before.directory
    with opened(archive, after) as wacz:
        expect_right(wacz)
        assert ("response", SITE + "/en/measles") not in uris_of(wacz)


def test_a_record_left_out_is_in_no_byte_of_it(archive: Editions) -> None:
    before = made(archive, "1")
    hide(archive, "/map.png")
    after = made(archive, "1")
    assert before.layout.size_bytes - after.layout.size_bytes > len(IMAGE)
    with opened(archive, after) as wacz:
        expect_right(wacz)
        assert [facts["url"] for _, _, facts in index_of(wacz)] == [
            SITE + "/",
            SITE + "/en/measles",
        ]


def test_a_segment_to_be_cut_is_compared_with_what_was_sealed(archive: Editions) -> None:
    hide(archive, "/map.png")
    path = archive.segments(archive.first)[1]
    content = bytearray(path.read_bytes())
    content[-10] ^= 1  # in the page that stays
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is not what was sealed"):
        made(archive, "1")


def request(page: Page, about: str = "WARC-Concurrent-To") -> bytes:
    """A page's request, linked with its response; with an empty `about` it is linked with nothing.

    Its response follows it or stands before it.
    """
    block = f"GET {page.path} HTTP/1.1\r\nX-Of: {page.path}\r\n\r\n".encode()
    linked = ((about, warcs.record_id(f"{page.url} {page.moment}")),) if about else ()
    common = warcs.common(f"request {page.url} {page.moment}", page.url, block, "application/http")
    return warcs.record("request", block, (*common, *linked))


@pytest.mark.parametrize("about", ["WARC-Concurrent-To", ""])
@pytest.mark.parametrize("first", ["response", "request"])
def test_the_request_that_leaves_is_the_hidden_captures_own(
    archive: Editions, first: str, about: str
) -> None:
    pages = [Page(f"/{name}", html_page(name, f"This is {name}.")) for name in ("a", "b", "c")]
    records = []
    for page in pages:
        both = [page_record(page), request(page, about)]
        records += both if first == "response" else both[::-1]
    add_segment(archive.first, records, 3)
    archive.index(archive.first)
    hide(archive, "/b")
    with opened(archive, made(archive, "1")) as wacz:
        expect_right(wacz)
        left = uris_of(wacz)
    for name, count in (("/a", 2), ("/b", 0), ("/c", 2)):
        assert len([uri for _, uri in left if uri == SITE + name]) == count


def test_another_capture_of_the_url_keeps_its_request() -> None:
    one, two = (Page("/a", b"a", moment=moment) for moment in (FIRST_MOMENT, LATER))
    records = [request(one), page_record(one), request(two), page_record(two)]
    members = [gzip.compress(record) for record in records]
    starts = [sum(map(len, members[:count])) for count in range(5)]
    file = io.BytesIO(b"".join(members))
    holes = left_out(read_records(file), {starts[1]: False, starts[3]: True})
    assert [(each.offset, each.length) for each in holes.holes] == [
        (starts[2], starts[4] - starts[2])
    ]


def test_a_page_alone_has_the_request_that_was_written_after_it(archive: Editions) -> None:
    pages = [Page(f"/{name}", html_page(name, f"This is {name}.")) for name in ("a", "b", "c")]
    records = [each for page in pages for each in (page_record(page), request(page))]
    add_segment(archive.first, records, 3)
    archive.index(archive.first)
    with archive.database.read() as connection:
        query = select(captures.c.id).where(captures.c.url.in_([SITE + "/b", SITE + "/c"]))
        numbers = list(connection.execute(query.order_by(captures.c.url)).scalars())
    with TestClient(create_app(archive.settings, archive.database)) as site:
        for number, url in zip(numbers, (SITE + "/b", SITE + "/c"), strict=True):
            with zipfile.ZipFile(io.BytesIO(site.get(f"/wacz/{number}").content)) as wacz:
                expect_right(wacz)
                assert uris_of(wacz) == [("response", url), ("request", url)]


def test_whoever_asks_for_a_range_reads_no_more_than_what_is_hidden(archive: Editions) -> None:
    hide(archive, "/en/measles")
    asked: list[tuple[str, object]] = []
    with archive.database.read() as connection:
        note = partial(_note, asked)
        event.listen(connection, "before_cursor_execute", note)
        look(connection, CollectionName(CollectionKind.JOB, "2"))
        event.remove(connection, "before_cursor_execute", note)
        of_hidden = [each for each in asked if "suppressed_by" in each[0]]
        assert len(of_hidden) == 3  # the captures, their pictures, the originals elsewhere
        for statement, values in of_hidden:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [row[3] for row in plan]
            assert any("ix_captures_suppressed_by" in step for step in steps)
            by_number = "SEARCH captures USING INTEGER PRIMARY KEY (rowid=?)"
            assert by_number in steps, steps


def _note(asked: list[tuple[str, object]], *said: object) -> None:
    asked.append((str(said[2]), said[3]))
