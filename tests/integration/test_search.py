"""Indexing captured jobs and searching them, on both databases."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import random
import sqlite3
import string
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from healtharchive.crawl.frontier import Frontier
from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.errors import LeaseLost
from healtharchive.model.holdings import count_sightings
from healtharchive.model.jobs import get_job, list_jobs
from healtharchive.model.journal import read
from healtharchive.model.operator import reindex_job
from healtharchive.model.orders import Command, IndexOrder, Report
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import captures, segments, snapshots
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.index import FORMAT, LOCK_NAME, SearchIndex
from healtharchive.search.pipeline import Tally, Tools, index_job
from healtharchive.search.query import Hit, Query, search
from healtharchive.search.rebuild import rebuild
from healtharchive.search.writing import Turn
from healtharchive.warc.cdxj import stored_key
from tests.lab.captured import (
    FIRST_MOMENT,
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.pdf import one_page_pdf
from tests.lab.queue import ACTOR
from tests.lab.warcs import sha256

MEASLES = html_page(
    "Measles vaccination",
    "Children should be vaccinated against measles. The vaccine is safe and it is given to all "
    "children who are at the age of one, and once more when they are at school.",
)
ROUGEOLE = html_page(
    "Vaccination contre la rougeole",
    "Les enfants sont vaccinés contre la rougeole à l’âge d’un an, et une deuxième fois dans les "
    "écoles. La grippe est une autre maladie que le vaccin peut éviter pour les parents.",
    "fr",
)
FLU = html_page("Influenza", "The flu season & its &lt;i&gt; end. <script>alert(1)</script>")
LATER = FIRST_MOMENT + timedelta(days=100)
PAGES = (
    Page("/en/measles", MEASLES),
    Page("/fr/rougeole", ROUGEOLE),
    Page("/en/flu", gzip.compress(FLU), more=(("Content-Encoding", "gzip"),)),
    Page("/en/guide.pdf", one_page_pdf("Hygiene guide for hospitals"), "application/pdf"),
    Page("/en/gone", html_page("Gone", "measles page is gone"), status="404 Not Found"),
    Page("/style.css", b"body { color: measles }", "text/css"),
)


@dataclass
class Archive:
    """An index, a database and what the attempts reported."""

    database: Database
    root: Path
    index_dir: Path
    reports: list[Report] = field(default_factory=list)

    def tools(self, check: Callable[[], None] = lambda: None) -> Tools:
        index = SearchIndex(self.index_dir)
        return Tools(self.database, index, ACTOR, self.reports.append, check)

    def capture(self, *pages: Page, source: str = "lab", campaign: str | None = None) -> IndexOrder:
        """A captured job of these pages, in one segment."""
        order = completed_job(self.database, self.root, source, campaign)
        add_segment(order, [page_record(each) for each in pages])
        return order

    def index(self, order: IndexOrder) -> Tally:
        held, order = claim_index(self.database, order)
        tally = index_job(order, self.tools())
        finish_index(self.database, held)
        return tally

    def find(self, text: str = "", **filters: object) -> list[Hit]:
        results = search(self.index_dir, replace(Query(text=text), **filters))  # type: ignore[arg-type]
        assert results.total == len(results.hits)
        return list(results.hits)

    def urls(self, text: str = "", **filters: object) -> set[str]:
        return {
            hit.url.removeprefix("https://www.example.org") for hit in self.find(text, **filters)
        }


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Archive:
    return Archive(database, tmp_path / "jobs", tmp_path / "search")


def test_words_are_found_in_both_languages_by_their_stems(archive: Archive) -> None:
    archive.index(archive.capture(*PAGES))
    assert archive.urls("measles vaccinations") == {"/en/measles"}
    assert archive.urls("school vaccinating") == {"/en/measles"}
    assert archive.urls("vacciner enfant") == {"/fr/rougeole"}
    assert archive.urls("eviter la grippe") == {"/fr/rougeole"}
    assert archive.urls("l'enfant") == {"/fr/rougeole"}
    assert archive.urls("influenza season") == {"/en/flu"}
    assert archive.urls("hospital hygiene") == {"/en/guide.pdf"}
    assert archive.urls('"safe and it is given"') == {"/en/measles"}
    assert archive.urls('"given safe"') == set()
    assert archive.urls("vaccination -measles") == {"/fr/rougeole"}
    assert archive.urls("menu") == set()


def test_a_hit_has_its_facts_and_a_harmless_highlighted_snippet(archive: Archive) -> None:
    archive.index(archive.capture(*PAGES, campaign="annual-2026"))
    (hit,) = archive.find("seasons")
    assert "The flu <mark>season</mark> &amp; its &lt;i&gt; end" in hit.snippet_html
    assert "alert" not in hit.snippet_html
    assert (hit.source, hit.campaign, hit.language) == ("lab", "annual-2026", "en")
    assert (hit.kind, hit.mime, hit.status, hit.captures) == ("html", "text/html", 200, 1)
    assert hit.captured_at == FIRST_MOMENT
    with archive.database.read() as connection:
        row = connection.execute(select(snapshots).where(snapshots.c.id == hit.snapshot_id)).one()
    assert (row.capture_id, row.url) == (hit.capture_id, hit.url)


def test_filters_narrow(archive: Archive) -> None:
    archive.index(archive.capture(*PAGES, source="hc", campaign="annual-2026"))
    other = Page("/other", MEASLES, moment=LATER)
    archive.index(archive.capture(other, source="phac", campaign="annual-2026"))
    assert archive.urls(source="phac") == {"/other"}
    assert archive.urls("measles", source="hc") == {"/en/measles"}
    assert archive.urls(language="fr") == {"/fr/rougeole"}
    assert archive.urls(kind="pdf") == {"/en/guide.pdf"}
    assert archive.urls("measles", date_from=LATER.date()) == {"/other"}
    assert archive.urls("measles", date_to=FIRST_MOMENT.date()) == {"/en/measles"}
    assert archive.urls(campaign="annual-1999") == set()
    assert [hit.url[-6:] for hit in archive.find("measles", sort="newest")] == ["/other", "easles"]


def test_the_latest_capture_of_a_page_is_found_and_all_on_request(archive: Archive) -> None:
    renewed = html_page("Measles renewed", "The advice of the measles page is new.")
    archive.index(archive.capture(Page("/en/measles", MEASLES), campaign="annual-2026"))
    later = Page("/en/measles", renewed, moment=LATER)
    archive.index(archive.capture(later, campaign="annual-2027"))
    (latest,) = archive.find("measles")
    assert (latest.title, latest.captures) == ("Measles renewed", 2)
    assert archive.find("vaccinated") == []
    assert len(archive.find("measles", all_captures=True)) == 2
    (earlier,) = archive.find("measles", campaign="annual-2026")
    assert earlier.title == "Measles vaccination"
    (as_of,) = archive.find("measles", date_to=date(2026, 4, 1))
    assert as_of.title == "Measles vaccination"


def test_a_revisit_is_found_by_the_text_of_what_it_refers_to(archive: Archive) -> None:
    archive.index(archive.capture(Page("/en/measles", MEASLES), campaign="annual-2026"))
    again = Page("/en/measles", MEASLES, moment=LATER, revisit=True)
    copy = Page("/copy", MEASLES, moment=LATER, revisit=True)
    orphan = Page("/orphan", b"never captured", moment=LATER, revisit=True)
    order = archive.capture(again, copy, orphan, campaign="annual-2027")
    assert archive.index(order).unreadable == 1
    found = archive.find("measles")
    assert {hit.captured_at for hit in found} == {LATER}
    assert archive.urls("measles") == {"/en/measles", "/copy"}


def test_a_revisit_is_read_off_the_warc_when_the_index_is_new(archive: Archive) -> None:
    first = archive.capture(Page("/en/measles", MEASLES), campaign="annual-2026")
    archive.index(first)
    SearchIndex(archive.index_dir).clear()
    again = Page("/en/measles", MEASLES, moment=LATER, revisit=True)
    archive.index(archive.capture(again, campaign="annual-2027"))
    assert archive.urls("measles") == {"/en/measles"}


def rows(archive: Archive) -> list[tuple[object, ...]]:
    with archive.database.read() as connection:
        query = select(captures, snapshots.c.id, snapshots.c.title).outerjoin(
            snapshots, snapshots.c.capture_id == captures.c.id
        )
        return sorted(tuple(row) for row in connection.execute(query))


def test_indexing_again_changes_nothing(archive: Archive) -> None:
    order = archive.capture(*PAGES)
    assert archive.index(order).captures == len(PAGES)
    before, found = rows(archive), archive.find(all_captures=True)
    with archive.database.begin() as connection:
        reindex_job(archive.database, connection, order.job_id, actor=ACTOR)
    assert archive.index(order) == Tally()
    with archive.database.begin() as connection:
        connection.execute(segments.update().values(indexed_at=None))
        reindex_job(archive.database, connection, order.job_id, actor=ACTOR)
    assert archive.index(order).captures == len(PAGES)
    assert rows(archive) == before
    assert archive.find(all_captures=True) == found


def test_only_new_segments_are_indexed(archive: Archive) -> None:
    order = archive.capture(PAGES[0])
    archive.index(order)
    add_segment(order, [page_record(PAGES[1])], serial=2)
    with archive.database.begin() as connection:
        reindex_job(archive.database, connection, order.job_id, actor=ACTOR)
    assert archive.index(order) == Tally(segments=1, captures=1, snapshots=1)
    assert archive.urls() == {"/en/measles", "/fr/rougeole"}


def test_a_record_that_cannot_be_read_is_named_and_the_rest_is_indexed(archive: Archive) -> None:
    order = completed_job(archive.database, archive.root)
    path = add_segment(order, [page_record(PAGES[0]), page_record(PAGES[1]), page_record(PAGES[2])])
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"\x1f\x8b\x08\x00"]
    data[starts[2] + 200 : starts[2] + 220] = b"\0" * 20
    path.write_bytes(data)
    tally = archive.index(order)
    assert (tally.captures, tally.unreadable) == (2, 1)
    assert archive.urls() == {"/en/measles", "/en/flu"}
    (note,) = [report for report in archive.reports if report.kind == "note"]
    assert (note.evidence["segment"], note.evidence["offset"]) == (path.name, starts[2])
    with archive.database.read() as connection:
        assert connection.execute(select(segments.c.unreadable_records)).scalar_one() == 1
        events = read(connection, subject="segment", subject_id=path.name)
    assert events[-1].what == "indexed"
    assert events[-1].evidence["named"][0]["offset"] == starts[2]


def test_a_broken_pdf_is_named_and_still_a_capture(archive: Archive) -> None:
    tally = archive.index(archive.capture(Page("/x.pdf", b"%PDF-1.4 nonsense", "application/pdf")))
    assert (tally.captures, tally.snapshots, tally.unreadable) == (1, 0, 1)


def test_cdxj_and_the_payloads_of_the_source_are_written(archive: Archive) -> None:
    order = archive.capture(*PAGES)
    archive.index(order)
    (cdxj,) = (Path(order.output_dir) / "cdx").iterdir()
    assert cdxj.suffix == ".cdxj"
    assert len(cdxj.read_bytes().splitlines()) == len(PAGES)
    with sqlite3.connect(archive.root / "lab" / "payloads.sqlite") as db:
        (count,) = db.execute("SELECT count(*) FROM payloads").fetchone()
        row = db.execute(
            "SELECT url, captured_at FROM payloads WHERE url LIKE '%rouge%'"
        ).fetchone()
    assert count == len(PAGES)
    assert row == (PAGES[1].url, "2026-03-01T12:00:00.000000Z")


def test_an_attempt_that_lost_its_lease_writes_nothing(archive: Archive) -> None:
    order = archive.capture(*PAGES)
    _, order = claim_index(archive.database, order)
    stale = replace(order, fence=order.fence - 1)
    with pytest.raises(LeaseLost):
        index_job(stale, archive.tools())
    assert rows(archive) == []
    assert archive.urls() == set()


def test_a_stopped_attempt_is_continued(archive: Archive) -> None:
    class Enough(Exception):
        pass

    checks = iter(range(1000))

    def check() -> None:
        if next(checks) == 4:
            raise Enough

    order = archive.capture(*PAGES)
    _, order = claim_index(archive.database, order)
    with pytest.raises(Enough):
        index_job(order, archive.tools(check))
    assert index_job(order, archive.tools()).captures == len(PAGES)
    assert len(archive.urls()) == 4


def test_a_rebuild_finds_the_same(archive: Archive) -> None:
    archive.index(archive.capture(*PAGES, campaign="annual-2026"))
    renewed = Page("/en/measles", html_page("New", "Measles again."), moment=LATER)
    archive.index(archive.capture(renewed, campaign="annual-2027"))
    before = archive.find(all_captures=True)
    done = rebuild(archive.tools(), archive.root, time.monotonic)
    assert (done.restored, done.indexed, done.unknown) == (0, 2, ())
    assert set(archive.find(all_captures=True)) == set(before)
    assert archive.find("measles vaccine", campaign="annual-2026") != []


def without_numbers(hits: list[Hit]) -> set[Hit]:
    return {replace(hit, snapshot_id=0, capture_id=0) for hit in hits}


def test_a_lost_database_is_rebuilt_from_the_warcs_alone(archive: Archive, tmp_path: Path) -> None:
    first = archive.capture(*PAGES, source="lab-two", campaign="annual-2026")
    archive.index(first)
    archive.index(archive.capture(Page("/once", FLU, moment=LATER)))
    stray = Path(first.output_dir) / "warcs" / "stray.warc.gz"
    stray.write_bytes(b"")
    (stray.parent / "manifest.jsonl").unlink()
    empty = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    schema.upgrade(empty)
    anew = Archive(empty, archive.root, tmp_path / "other-index")
    done = rebuild(anew.tools(), anew.root, time.monotonic)
    assert (done.restored, done.indexed, done.unknown) == (2, 2, (str(stray),))
    assert without_numbers(anew.find(all_captures=True)) == without_numbers(
        archive.find(all_captures=True)
    )
    with empty.read() as connection:
        jobs = list_jobs(connection)
    told = [(job.source, job.campaign, job.status, job.output_dir) for job in jobs]
    assert ("lab-two", "annual-2026", JobStatus.INDEXED, first.output_dir) in told
    assert rebuild(anew.tools(), anew.root, time.monotonic).restored == 0


@pytest.mark.parametrize("told_by", ["name", "manifest", "frontier", "frontier elsewhere"])
def test_a_rebuild_brings_the_token_of_a_restored_job_up_to_its_files(
    archive: Archive, tmp_path: Path, told_by: str
) -> None:
    order = archive.capture(*PAGES)
    archive.index(order)
    output, elsewhere = Path(order.output_dir), tmp_path / "elsewhere"
    listed = output / "warcs" / "manifest.jsonl"
    if told_by == "name":
        (output / "warcs" / "lab-crawl-job1-a41-00001.warc.gz.open").write_bytes(b"")
    elif told_by == "manifest":
        line = {**json.loads(listed.read_text().splitlines()[0]), "fence": 41}
        listed.write_text(json.dumps(line) + "\n")
    else:
        home = output if told_by == "frontier" else elsewhere
        home.mkdir(exist_ok=True)
        (home / "frontier.sqlite").unlink(missing_ok=True)
        Frontier(home / "frontier.sqlite", 41).close()
    for expected in (42, 43):  # each rebuild's own attempt takes one
        rebuild(archive.tools(), archive.root, time.monotonic, lambda job_id: elsewhere)
        with archive.database.read() as connection:
            assert get_job(connection, order.job_id).fence == expected
    with archive.database.read() as connection:
        told = [each.what for each in read(connection, subject="job", subject_id=order.job_id)]
    assert told.count("fence_raised") == 1


def test_the_index_child_reports_and_ends(archive: Archive, tmp_path: Path) -> None:
    order = archive.capture(*PAGES)
    _, order = claim_index(archive.database, order)
    url = archive.database.engine.url.render_as_string(hide_password=False)
    env = {
        **os.environ,
        "HEALTHARCHIVE_DATA_DIR": str(tmp_path),
        "HEALTHARCHIVE_DATABASE_URL": url,
        "HEALTHARCHIVE_SEARCH_DIR": str(archive.index_dir),
    }
    command = [sys.executable, "-m", "healtharchive.search"]

    def ends(said: bytes) -> list[Report]:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        assert child.stdin
        assert child.stdout
        child.stdin.write(said)
        child.stdin.flush()
        reports = [from_line(Report, line) for line in child.stdout]
        child.stdin.close()
        assert child.wait() == 0
        return reports

    stopped = ends(to_line(order) + to_line(Command("stop", reason="deploy")))
    assert (stopped[-1].outcome, stopped[-1].reason) == ("stopped", "deploy")
    assert ends(to_line(order))[-1].outcome == "complete"
    assert len(archive.urls()) == 4
    assert ends(to_line(replace(order, fence=99)))[-1].outcome == "fenced"


def test_a_crash_between_database_and_index_is_made_good(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    order = archive.capture(*PAGES)
    _, order = claim_index(archive.database, order)
    with monkeypatch.context() as patch:
        patch.setattr(SearchIndex, "put", fail)
        with pytest.raises(OSError, match="No space"):
            index_job(order, archive.tools())
    before = rows(archive)
    assert (len(before), archive.urls()) == (len(PAGES), set())
    assert index_job(order, archive.tools()).captures == len(PAGES)
    assert rows(archive) == before
    assert len(archive.urls()) == 4


def test_a_writer_waits_for_another_and_can_be_stopped_meanwhile(
    archive: Archive, tmp_path: Path
) -> None:
    archive.index(archive.capture(PAGES[0]))
    index = SearchIndex(archive.index_dir)
    (page,) = index.with_payloads([sha256(MEASLES)]).values()
    checks: list[None] = []

    def check() -> None:
        checks.append(None)
        if len(checks) == 3:
            raise TimeoutError

    with (archive.index_dir / FORMAT / LOCK_NAME).open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            index.put([page], Turn(1, 1, lambda _job, _fence: False, check))
    index.put([page])
    assert archive.urls() == {"/en/measles"}


@pytest.mark.parametrize(
    "text",
    ['"', "'", "a:", "text_en:measles", "measles AND", "((measles", "-", "--", "*", "a^2", "[a TO",
     "IN [", "\\", '"a b"~', "OR", "NOT", "+-+", "measles\0", "/x/", "{", "é" * 600, "-a", "𝕏"],
)  # fmt: skip
def test_no_query_raises(tmp_path: Path, text: str) -> None:
    SearchIndex(tmp_path)
    SearchIndex(tmp_path).clear()
    assert search(tmp_path, Query(text=text)).total == 0


def test_a_foreign_urls_length_breaks_no_index_and_hides_no_other_page(archive: Archive) -> None:
    noise = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=6_000))
    long = [Page(f"/{noise}{ending}", MEASLES) for ending in ("a", "b")]
    tally = archive.index(archive.capture(*long, Page("/en/flu", FLU)))
    assert (tally.captures, tally.unreadable) == (3, 0)
    assert archive.urls("flu") == {"/en/flu"}
    assert archive.urls("measles") == {each.path for each in long}
    with archive.database.read() as connection:
        for each in long:
            assert count_sightings(connection, stored_key(each.url)) == 1
