"""A WACZ whose segments are on a target, whose target is down, or whose segment dies midway."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from healtharchive.web.app import create_app
from tests.integration.test_released_segments import cold_target, ship_and_release, trip
from tests.lab import objects
from tests.lab.archive import Archive
from tests.lab.captured import Page, add_segment, page_record
from tests.lab.kept_collections import Editions, on_sqlite
from tests.lab.reader import served

FIRST = "/api/wacz/job/1.wacz"
SECOND = "/api/wacz/job/2.wacz"
PATIENT_REQUESTS = 60
BIG_BYTES = 60_000_000  # more than both ends of a socket hold


def whole(site: httpx.Client, path: str = FIRST) -> httpx.Response:
    """All of a WACZ, asked for until it is prepared."""
    for _ in range(PATIENT_REQUESTS):
        answer = site.get(path)
        if answer.status_code != 503 or "being prepared" not in answer.text:
            break
    return answer


@pytest.mark.parametrize("kind", objects.KINDS)
def test_released_segments_are_served_from_their_copies(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = on_sqlite(tmp_path)
    app = create_app(archive.settings, archive.database)
    with cold_target(kind, tmp_path, monkeypatch) as cold, TestClient(app) as site:
        before = whole(site)
        assert before.status_code == 200
        ship_and_release(archive.settings, archive.database, cold.definition)
        assert archive.segments(archive.first) == []
        assert site.get(FIRST).content == before.content
        some = site.get(FIRST, headers={"Range": "bytes=1000-500000"})
        assert some.content == before.content[1000:500_001]
        trip(archive.database)
        expect_repair(site)
        trip(archive.database, "closed")
        assert site.get(FIRST).status_code == 200
        cold.take_down()
        expect_repair(site)


def test_originals_of_another_job_are_read_from_its_copies(tmp_path: Path) -> None:
    archive = on_sqlite(tmp_path)
    with TestClient(create_app(archive.settings, archive.database)) as site:
        before = whole(site, SECOND).content
        target = objects.local(tmp_path / "c").definition
        ship_and_release(archive.settings, archive.database, target)
        assert archive.segments(archive.first) == []
        assert site.get(SECOND).content == before
        trip(archive.database)
        expect_repair(site, SECOND)


def expect_repair(site: httpx.Client, path: str = FIRST) -> None:
    answer = site.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "temporarily unavailable, its storage is being repaired" in answer.json()["sentence"]


def test_a_segment_that_dies_midway_ends_the_answer_torn_and_never_wrong(tmp_path: Path) -> None:
    archive = on_sqlite(tmp_path)
    big = Page("/big.bin", os.urandom(BIG_BYTES), mime="application/octet-stream")
    path = add_segment(archive.first, [page_record(big)], 3)
    archive.index(archive.first)
    right = path.read_bytes()
    (tmp_path / "backend.env").touch()
    commands = Archive(tmp_path, {"DATABASE_URL": archive.settings.database_url})
    with (
        served(commands) as addresses,
        httpx.Client(base_url=addresses.site, timeout=60, trust_env=False) as site,
    ):
        expected = whole(site).content
        got = bytearray()
        with site.stream("GET", FIRST) as answer:
            assert answer.status_code == 200
            pieces = answer.iter_raw(100_000)
            got += next(pieces)
            os.truncate(path, len(right) // 3)
            with pytest.raises(httpx.RemoteProtocolError):
                _take(pieces, got)
        assert len(got) < len(expected)
        assert expected.startswith(got)
        path.write_bytes(right)
        assert site.get(FIRST).content == expected


def _take(pieces: Iterator[bytes], into: bytearray) -> None:
    for piece in pieces:
        into += piece


def test_a_copy_goes_on_where_the_local_file_ends(tmp_path: Path) -> None:
    archive: Editions = on_sqlite(tmp_path)
    with TestClient(create_app(archive.settings, archive.database)) as site:
        before = whole(site).content
        ship_and_release(
            archive.settings, archive.database, objects.local(tmp_path / "c").definition
        )
        names = [path.name for path in archive.segments(archive.first)]
        assert names == []
        copies = sorted((tmp_path / "c").rglob("*.warc.gz"))
        directory = Path(archive.first.output_dir) / "warcs"
        for copy in copies:  # a damaged one is at the local place again
            (directory / copy.name).write_bytes(copy.read_bytes()[:-1])
        assert site.get(FIRST).content == before
