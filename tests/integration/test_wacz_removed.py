"""What was prepared of a WACZ can be removed, and attempts can be killed; both are made good."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from healtharchive.cli.main import main
from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.model.errors import BadInput
from healtharchive.model.tables import segments
from healtharchive.search import collection_originals, collection_prepare, collection_states
from healtharchive.search.collection_prepare import Prepared, prepare
from healtharchive.search.collection_states import MAKING, scratch_in, tidy
from healtharchive.web.preparing import BeingRepaired, Preparing
from healtharchive.web.reading import Readers
from healtharchive.web.wacz_bytes import Source
from tests.integration.test_wacz import served, whole
from tests.lab.captured import FIRST_MOMENT
from tests.lab.kept_collections import Editions, on_sqlite

FIRST = "/api/wacz/job/1.wacz"
JOB = CollectionName(CollectionKind.JOB, "1")
FILES = ("layout.json", "index.cdx.gz", "index.idx", "pages.jsonl")


@pytest.fixture
def archive(tmp_path: Path) -> Editions:
    return on_sqlite(tmp_path)


@pytest.fixture
def site(archive: Editions) -> Iterator[TestClient]:
    with served(archive) as client:
        yield client


def made(archive: Editions) -> Prepared:
    return prepare(archive.database, archive.settings.wacz_dir, JOB)


@pytest.mark.parametrize("name", FILES)
def test_any_single_file_of_it_can_be_removed(
    archive: Editions, site: TestClient, name: str
) -> None:
    expected = whole(site, FIRST).content
    path = made(archive).directory / name
    path.unlink()
    answer = whole(site, FIRST)
    assert (answer.status_code, answer.content) == (200, expected)
    assert path.exists()
    os.truncate(path, 1) if name != "layout.json" else path.unlink()
    answer = whole(site, FIRST)
    assert (answer.status_code, answer.content) == (200, expected)


def test_a_file_removed_in_the_midst_is_one_sentence(
    archive: Editions, site: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = made(archive)
    (part,) = (each for each in prepared.layout.parts if each.derived == "index.cdx.gz")
    os.truncate(prepared.directory / part.derived, part.length - 1)
    monkeypatch.setattr(Preparing, "there", lambda *_: prepared)  # it was there a moment ago
    found = next(each for each in prepared.layout.entries if each.name.endswith(".cdx.gz"))
    some = {"Range": f"bytes={found.start}-{found.start + found.size_bytes - 1}"}
    answer = site.get(FIRST, headers=some)
    assert (answer.status_code, "being prepared" in answer.text) == (503, True)
    (prepared.directory / part.derived).unlink()
    assert site.get(FIRST, headers=some).status_code == 503
    (prepared.directory / "layout.json").unlink()
    assert site.get(FIRST).status_code == 503


def test_an_export_of_what_is_removed_meanwhile_is_one_sentence(
    archive: Editions,
    site: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    prepared = made(archive)
    pieces = Source.pieces

    def cut_short(self: Source, *asked: object) -> Iterator[bytes]:
        for piece in pieces(self, *asked):  # type: ignore[arg-type]
            os.truncate(prepared.directory / "pages.jsonl", 1)
            yield piece

    for name, value in archive.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Source, "pieces", cut_short)
    out = tmp_path / "out.wacz"
    assert main(["export", "wacz", "--job", "1", "--output", str(out)]) != 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("healtharchive: ")] == [
        "healtharchive: pages.jsonl, a prepared part of the WACZ, has been removed or cut short. "
        "Ask again: it is made anew."
    ]
    assert not out.exists()


# -- attempts that are killed ----------------------------------------------------------------------

DIES = """
import os, signal, sys
from pathlib import Path
from healtharchive.search.collection_states import scratch_in
with scratch_in(Path(sys.argv[1])) as scratch:
    (scratch / "half").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_attempt_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(MAKING)
    with scratch_in(tmp_path) as one, scratch_in(tmp_path) as other:  # those at work stay
        assert sorted(tmp_path.iterdir()) == sorted([one, other])
    assert list(tmp_path.iterdir()) == []


def test_what_another_tidier_removes_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / str(number) for number in range(5)]
    for path in names[1:]:
        path.mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(names))  # the first has just gone
    tidy(tmp_path, names[-1])
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == collection_states.STATES_KEPT


def test_a_database_that_thinks_for_long_is_no_storage_that_hangs(
    archive: Editions, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = threading.Event()
    waited: list[bool] = []

    def slowly(*_: object) -> Iterator[tuple[str, datetime, str]]:
        heard.clear()
        waited.append(heard.wait(30))
        yield "https://www.example.org/", FIRST_MOMENT, "Front"

    monkeypatch.setattr(collection_prepare, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(collection_prepare, "pages_of", slowly)
    prepare(archive.database, archive.settings.wacz_dir, JOB, lambda _: heard.set())
    assert waited == [True]


def test_merging_many_segments_is_heard(archive: Editions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that hangs is silent; the first pass over hundreds of indexes is not."""
    heard: list[int] = []
    passed: list[int] = []

    def first_pass(sources: Iterable[Iterable[bytes]], _: Path) -> Iterator[bytes]:
        before = len(heard)
        for source in sources:
            list(source)
        passed.append(len(heard) - before)
        return iter(())

    monkeypatch.setattr(collection_prepare, "merged", first_pass)
    prepare(archive.database, archive.settings.wacz_dir, JOB, heard.append)
    assert passed == [3]  # as many as it has lines


# -- originals, which other jobs have --------------------------------------------------------------


def test_an_original_is_read_where_it_lies(archive: Editions) -> None:
    second = CollectionName(CollectionKind.JOB, "2")
    prepared = prepare(archive.database, archive.settings.wacz_dir, second)
    (entry,) = [each for each in prepared.layout.entries if "originals" in each.name]
    with closing(Readers(limit=1)) as readers:
        pieces = Source(archive.database, readers).pieces(
            prepared, entry.start, entry.start + entry.size_bytes
        )
        record = b"".join(pieces)
    assert hashlib.sha256(record).hexdigest() == entry.sha256
    assert record in archive.segments(archive.first)[0].read_bytes()
    assert not any(record in each.read_bytes() for each in prepared.directory.iterdir())


def test_an_original_whose_segment_is_known_no_more_is_no_error_of_ours(
    archive: Editions, site: TestClient
) -> None:
    second = "/api/wacz/job/2.wacz"
    assert whole(site, second).status_code == 200
    with archive.database.begin() as connection:
        here = segments.c.name == archive.segments(archive.first)[0].name
        connection.execute(update(segments).where(here).values(name="another.warc.gz"))
    name = CollectionName(CollectionKind.JOB, "2")
    prepared = prepare(archive.database, archive.settings.wacz_dir, name)
    with closing(Readers(limit=1)) as readers:
        pieces = Source(archive.database, readers).pieces(prepared, 0, prepared.layout.size_bytes)
        with pytest.raises(BeingRepaired, match="no WARC file"):
            b"".join(pieces)


def test_an_original_that_breaks_off_leaves_nothing(
    archive: Editions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn:
        def raw(self) -> Iterator[bytes]:
            yield b"some of it"
            raise BadInput("The rest is damaged.")

    monkeypatch.setattr(collection_originals, "find", lambda _: Torn())
    second = CollectionName(CollectionKind.JOB, "2")
    layout = prepare(archive.database, archive.settings.wacz_dir, second).layout
    assert not any("originals" in each.name for each in layout.entries)
