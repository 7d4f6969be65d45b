"""What is no longer on the local disk is read from its copies: by the pages and by the index."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.holdings import copies_of, get_holding, segments_of_job
from healtharchive.model.journal import read
from healtharchive.model.orders import IndexOrder, Report
from healtharchive.model.states import SegmentState
from healtharchive.model.tables import archive_jobs, copies, segments, targets
from healtharchive.model.target import TargetDefinition
from healtharchive.model.targets import declare_targets
from healtharchive.search import stored
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.search.query import Query, search
from healtharchive.settings import Settings, load
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.shipping import Shipping
from healtharchive.storage import places
from healtharchive.web.app import create_app
from healtharchive.work.stopping import Stop
from tests.lab import mounts, objects
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
from tests.lab.queue import ACTOR
from tests.lab.small_archive import Exchange, SmallArchive, build

IMAGE_BYTES = 20_000_000  # more than is kept in memory
EXCHANGES = [
    Exchange("/page", b"<p>Two doses are given.</p>", title="Doses", language="en", text="doses"),
    Exchange("/big.png", os.urandom(IMAGE_BYTES), "image/png"),
]
SENTENCES = {
    "en": "The file that holds this capture cannot be read now",
    "fr": "Le fichier de cette capture est illisible pour l’instant",
}
MEASLES = html_page("Measles", "Children should be vaccinated against measles when they are one.")


def ship_and_release(
    settings: Settings, database: Database, *definitions: TargetDefinition
) -> None:
    """Ship every sealed segment to these targets and take it off the local disk."""
    clock = SystemClock()
    means = StewardMeans(
        settings=settings, database=database, clock=clock, stop=Stop(clock), actor=ACTOR
    )
    with database.begin() as connection:
        declare_targets(database, connection, definitions, actor=ACTOR)
    shipping = Shipping(means)
    for each in definitions:
        assert shipping.turn(each.name) > 0
    shipping.release()


def trip(database: Database, state: str = "open", name: str = "cold") -> None:
    """Set a target's breaker."""
    with database.begin() as connection:
        connection.execute(update(targets).where(targets.c.name == name).values(state=state))


def archive_of(directory: Path) -> SmallArchive:
    """An indexed archive whose segment may be shipped and released."""
    made = build(directory, EXCHANGES)
    with made.database.begin() as connection:
        sealed = {
            "sha256": hashlib.sha256(made.warc.read_bytes()).hexdigest(),
            "indexed_at": made.database.now(connection),
        }
        connection.execute(update(segments).values(**sealed))
    return made


def client_of(archive: SmallArchive) -> TestClient:
    app = create_app(archive.settings, archive.database)
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


def answers(site: httpx.Client) -> dict[str, bytes]:
    """Every archived body and record, which must all be there."""
    found = {path: site.get(path) for path in ("/raw/1", "/raw/2", "/warc/1", "/warc/2")}
    assert [each.status_code for each in found.values()] == [200] * 4
    return {path: answer.content for path, answer in found.items()}


def expect_unavailable(site: httpx.Client) -> None:
    """The page says that it cannot be read now, in both languages, and when to ask again."""
    for language, sentence in SENTENCES.items():
        for path in ("/raw/1", "/warc/1"):
            answer = site.get(path, params={"ui": language}, headers={"Accept-Language": language})
            assert answer.status_code == 503, path
            assert sentence in answer.text
            assert int(answer.headers["Retry-After"]) > 0


@dataclass
class Cold:
    """A target that can be taken down."""

    definition: TargetDefinition
    take_down: Callable[[], object]


@contextmanager
def cold_target(kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cold]:
    """A target of each kind; the secret of the S3 one comes from the environment."""
    if kind == "local":
        made = objects.local(directory / "cold")
        root = directory / "cold"
        yield Cold(made.definition, lambda: root.rename(directory / "away"))
    elif kind == "mount":
        with mounts.sshfs(directory / "cold") as mount:
            yield Cold(objects.mounted(mount).definition, mount.make_stale)
    elif kind == "sftp":
        with mounts.sshd() as server:
            yield Cold(objects.sftp(server).definition, server.end)
    else:
        with objects.s3_server(directory / "s3.log") as server:
            made = objects.s3(server)
            for name, value in made.environ.items():
                monkeypatch.setenv(name, value)
            yield Cold(made.definition, server.process.kill)


@pytest.mark.parametrize("kind", objects.KINDS)
def test_a_released_record_is_read_from_its_copy_and_a_dead_target_is_no_missing_page(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of(tmp_path)
    with cold_target(kind, tmp_path, monkeypatch) as cold, client_of(archive) as site:
        before = answers(site)
        ship_and_release(archive.settings, archive.database, cold.definition)
        assert not archive.warc.exists()
        with archive.database.read() as connection:
            (segment,) = segments_of_job(connection, archive.job_id)
        assert segment.state is SegmentState.RELEASED
        began = time.monotonic()
        assert answers(site) == before
        print(f"{kind}: four reads from the copy in {time.monotonic() - began:.2f} s")
        trip(archive.database)
        expect_unavailable(site)
        trip(archive.database, "closed")
        assert answers(site) == before
        cold.take_down()
        began = time.monotonic()
        expect_unavailable(site)
        print(f"{kind}: four refusals of a dead target in {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize("kind", ["mount", "sftp"])
def test_a_target_that_hangs_costs_a_deadline_and_the_page_says_so(
    kind: str, tmp_path: Path
) -> None:
    archive = archive_of(tmp_path)
    with (
        mounts.sshd() as server,
        mounts.sshfs(tmp_path / "cold", server, alive_seconds=60) as mount,
        client_of(archive) as site,
    ):
        target = objects.mounted(mount) if kind == "mount" else objects.sftp(server)
        ship_and_release(archive.settings, archive.database, target.definition)
        assert site.get("/raw/1").status_code == 200
        mount.hang()
        server.hang()
        try:
            began = time.monotonic()
            answer = site.get("/raw/1")
            took = time.monotonic() - began
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
            print(f"{kind}: a hanging target answered 503 after {took:.1f} s")
            assert took < 40.0
        finally:
            server.resume()
            mount.resume()


def test_only_the_records_bytes_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of(tmp_path)
    definition = objects.local(tmp_path / "cold").definition
    ship_and_release(archive.settings, archive.database, definition)
    asked: list[tuple[str, int, int | None]] = []
    real = places.place_for

    def watched(*arguments: Any) -> Any:
        place = real(*arguments)
        read_from = place.read

        def read_and_note(
            name: str, offset: int = 0, length: int | None = None, fresh: bool = False
        ) -> Iterator[bytes]:
            asked.append((name, offset, length))
            return read_from(name, offset, length, fresh)

        monkeypatch.setattr(place, "read", read_and_note)
        return place

    monkeypatch.setattr(stored, "place_for", watched)
    whereabouts = place_of(archive, 1)
    record = stored.find(whereabouts).record
    assert b"Two doses are given." in record.block()
    (copy,) = whereabouts.copies
    assert asked == [(copy.name, whereabouts.offset, whereabouts.length)]
    assert whereabouts.length < 2000


def place_of(archive: SmallArchive, capture_id: int) -> stored.Stored:
    """Where a capture's record lies."""
    with archive.database.read() as connection:
        found = get_holding(connection, capture_id)
        kept = copies_of(connection, found.segment)
    return stored.Stored(found.segment_path, found.record_offset, found.record_length, kept)


def two_targets(directory: Path) -> tuple[TargetDefinition, TargetDefinition]:
    first = objects.local(directory / "cold").definition
    return first, replace(first, name="cellar", root=str(directory / "cellar"))


def test_the_second_copy_is_read_when_the_first_cannot_be(tmp_path: Path) -> None:
    archive = archive_of(tmp_path)
    first, second = two_targets(tmp_path)
    ship_and_release(archive.settings, archive.database, first, second)
    with client_of(archive) as site:
        before = answers(site)
        copied = next(Path(first.root).rglob("*.warc.gz"))
        copied.write_bytes(bytes(copied.stat().st_size))  # damaged behind our back
        assert answers(site) == before
        copied.unlink()
        assert answers(site) == before
        trip(archive.database)
        assert answers(site) == before
        trip(archive.database, name="cellar")
        expect_unavailable(site)


def test_a_damaged_local_file_is_made_good_by_a_copy(tmp_path: Path) -> None:
    archive = archive_of(tmp_path)
    with client_of(archive) as site:
        before = answers(site)
        whole = archive.warc.read_bytes()
        ship_and_release(
            archive.settings, archive.database, objects.local(tmp_path / "c").definition
        )
        archive.warc.write_bytes(bytes(len(whole)))
        assert answers(site) == before


def test_a_stranger_with_the_targets_name_is_not_believed(tmp_path: Path) -> None:
    archive = archive_of(tmp_path)
    definition = objects.local(tmp_path / "cold").definition
    ship_and_release(archive.settings, archive.database, definition)
    with archive.database.begin() as connection:
        connection.execute(update(targets).values(identity="ours"))
    with client_of(archive) as site:
        expect_unavailable(site)


def test_only_verified_copies_on_declared_targets_count(tmp_path: Path) -> None:
    archive = archive_of(tmp_path)
    ship_and_release(archive.settings, archive.database, objects.local(tmp_path / "c").definition)
    assert len(place_of(archive, 1).copies) == 1
    for state in ("differs", "gone", "failed"):
        with archive.database.begin() as connection:
            connection.execute(update(copies).values(state=state))
        assert place_of(archive, 1).copies == ()
    with archive.database.begin() as connection:
        connection.execute(update(copies).values(state="verified"))
        connection.execute(update(targets).values(declared=False))
    assert place_of(archive, 1).copies == ()
    with pytest.raises(FileNotFoundError):
        stored.find(place_of(archive, 1))


# -- the index -----------------------------------------------------------------------------------


@dataclass
class Indexed:
    """A job that is indexed and released, and a revisit of its page that is to be indexed."""

    database: Database
    settings: Settings
    cold: Path
    later: IndexOrder

    def index(self) -> list[Report]:
        """One attempt to index the revisit; its reports."""
        reports: list[Report] = []
        index = SearchIndex(self.settings.search_dir)
        held, order = claim_index(self.database, self.later)
        tools = Tools(self.database, index, ACTOR, reports.append, lambda: None)
        index_job(order, tools)
        finish_index(self.database, held)
        return reports

    def found(self) -> int:
        return search(self.settings.search_dir, Query(text="measles")).total


@pytest.fixture
def indexed(database: Database, database_url: str, tmp_path: Path) -> Indexed:
    settings = load(
        {"HEALTHARCHIVE_DATA_DIR": str(tmp_path), "HEALTHARCHIVE_DATABASE_URL": database_url}
    )
    first = completed_job(database, settings.jobs_root, "lab")
    add_segment(first, [page_record(Page("/en/measles", MEASLES))])
    made = Indexed(database, settings, tmp_path / "cold", first)
    made.index()
    ship_and_release(settings, database, objects.local(made.cold).definition)
    SearchIndex(settings.search_dir).clear()  # so that the text must be read off the record
    made.later = completed_job(database, settings.jobs_root, "lab")
    moment = FIRST_MOMENT + timedelta(days=100)
    again = Page("/en/measles", MEASLES, moment=moment, revisit=True)
    add_segment(made.later, [page_record(again)])
    return made


def test_a_revisit_of_a_released_record_is_indexed_with_its_text(indexed: Indexed) -> None:
    indexed.index()
    assert indexed.found() == 1


def test_a_revisit_of_what_is_away_waits_and_is_no_orphan(indexed: Indexed) -> None:
    trip(indexed.database)
    with pytest.raises(stored.OutOfReach, match="needed from target 'cold'"):
        indexed.index()
    with indexed.database.read() as connection:
        told = [each.what for each in read(connection, subject="segment", limit=100)]
    assert told.count("indexed") <= 1  # only the first job's
    trip(indexed.database, "closed")
    with indexed.database.begin() as connection:
        values = {"status": "completed"}
        query = update(archive_jobs).where(archive_jobs.c.id == indexed.later.job_id)
        connection.execute(query.values(**values))
    reports = indexed.index()
    assert indexed.found() == 1
    assert not [each for each in reports if "cannot be read" in each.what]


def test_a_revisit_of_what_is_gone_everywhere_is_named_as_an_orphan(indexed: Indexed) -> None:
    next(indexed.cold.rglob("*.warc.gz")).unlink()
    reports = indexed.index()
    assert [each for each in reports if "is not in the archive" in each.reason]
    assert indexed.found() == 0


def test_the_index_does_not_hang_with_a_target(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = next(indexed.cold.rglob("*.warc.gz"))
    copied.unlink()
    os.mkfifo(copied)  # opening it waits for ever, as a dead mount does
    monkeypatch.setattr(stored, "CHILD_SECONDS", 2.0)
    began = time.monotonic()
    with pytest.raises(stored.OutOfReach, match="timed out"):
        indexed.index()
    assert time.monotonic() - began < 30.0
