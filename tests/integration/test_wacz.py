"""The virtual WACZ of a job, a source and a campaign: served, exported, and what is in it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from healtharchive.model.tables import segments
from healtharchive.web import preparing
from healtharchive.web.app import create_app
from tests.lab.kept_collections import Editions, expect_right, index_of, on_sqlite

FIRST = "/api/wacz/job/1.wacz"
SECOND = "/api/wacz/job/2.wacz"
ALL = {
    FIRST: ["--job", "1"],
    SECOND: ["--job", "2"],
    "/api/wacz/source/lab.wacz": ["--source", "lab"],
    "/api/wacz/campaign/annual-2026.wacz": ["--campaign", "annual-2026"],
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Editions:
    """One that the tests only read."""
    return on_sqlite(tmp_path_factory.mktemp("editions"))


@pytest.fixture(scope="module")
def site(archive: Editions) -> Iterator[TestClient]:
    with served(archive) as client:
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Editions:
    """One that a test may change."""
    return on_sqlite(tmp_path)


def served(archive: Editions) -> TestClient:
    return TestClient(create_app(archive.settings, archive.database))


def whole(site: TestClient, path: str) -> httpx.Response:
    """All of a WACZ, asked for until it is prepared."""
    for _ in range(60):
        answer = site.get(path)
        if answer.status_code != 503 or "being prepared" not in answer.text:
            break
    return answer


def export(archive: Editions, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "healtharchive.cli.main", "export", "wacz", *words]
    return subprocess.run(
        command, env=archive.environ, capture_output=True, text=True, timeout=120, check=False
    )


def complaints(done: subprocess.CompletedProcess[str]) -> int:
    """How many sentences say what went wrong; the other lines say how far it is."""
    assert "Traceback" not in done.stderr
    return sum(line.startswith("healtharchive: ") for line in done.stderr.splitlines())


def opened(content: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(content))


def test_what_is_served_is_what_is_exported(
    archive: Editions, site: TestClient, tmp_path: Path
) -> None:
    for path, words in ALL.items():
        answer = whole(site, path)
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        file = tmp_path / "out" / "made.wacz"
        file.parent.mkdir(exist_ok=True)
        done = export(archive, *words, "--output", str(file), "--json")
        assert done.returncode == 0, done.stderr
        digest = hashlib.sha256(answer.content).hexdigest()
        assert json.loads(done.stdout)["sha256"] == digest
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
        assert [each.name for each in file.parent.iterdir()] == ["made.wacz"]


def test_everything_in_it_is_right_and_found_by_its_index(site: TestClient) -> None:
    for path in ALL:
        with opened(whole(site, path).content) as wacz:
            expect_right(wacz)


def test_a_job_replays_alone_with_the_originals_of_its_revisits(site: TestClient) -> None:
    with opened(whole(site, SECOND).content) as wacz:
        lines = index_of(wacz)
        held = {(facts["url"], facts["filename"]) for _, _, facts in lines}
        assert ("https://www.example.org/en/measles", "originals.warc.gz") in held
        assert sum(name == "originals.warc.gz" for _, name in held) == 1  # mumps has its own
        responses = {facts["digest"] for _, _, facts in lines if facts["mime"] != "warc/revisit"}
        revisits = {facts["digest"] for _, _, facts in lines if facts["mime"] == "warc/revisit"}
        assert len(revisits) == 2
        assert revisits <= responses
    for path in (FIRST, "/api/wacz/source/lab.wacz"):  # they have the originals themselves
        with opened(whole(site, path).content) as wacz:
            assert "archive/originals.warc.gz" not in wacz.namelist()


def test_the_page_list_begins_at_the_front(site: TestClient) -> None:
    with opened(whole(site, FIRST).content) as wacz:
        head, *pages = map(json.loads, wacz.read("pages/pages.jsonl").splitlines())
    assert head["format"] == "json-pages-1.0"
    assert [(each["url"], each["title"]) for each in pages] == [
        ("https://www.example.org/", "Front"),
        ("https://www.example.org/en/measles", "Measles"),
    ]


# -- HTTP ----------------------------------------------------------------------------------------


def test_random_ranges_are_right(site: TestClient) -> None:
    everything = whole(site, FIRST).content
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(60):
        start = chance.randrange(len(everything))
        stop = min(len(everything), start + chance.choice((1, 30, 5000, len(everything))))
        answer = site.get(FIRST, headers={"Range": f"bytes={start}-{stop - 1}"})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(everything)}"
        assert answer.content == everything[start:stop]
    tail = site.get(FIRST, headers={"Range": "bytes=-65558"})
    assert (tail.status_code, tail.content) == (206, everything[-65558:])


def test_what_else_http_asks_for(site: TestClient) -> None:
    full = whole(site, FIRST)
    etag = full.headers["ETag"]
    assert etag.startswith('"')
    assert full.headers["Accept-Ranges"] == "bytes"
    assert "job-1.wacz" in full.headers["Content-Disposition"]
    assert "Last-Modified" in full.headers
    head = site.head(FIRST)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == full.headers["Content-Length"]
    assert site.get(FIRST, headers={"If-None-Match": etag}).status_code == 304
    behind = site.get(FIRST, headers={"Range": f"bytes={len(full.content)}-"})
    assert behind.status_code == 416
    assert behind.headers["Content-Range"] == f"bytes */{len(full.content)}"
    first = {"Range": "bytes=0-3"}
    assert site.get(FIRST, headers={**first, "If-Range": etag}).content == b"PK\3\4"
    assert site.get(FIRST, headers={**first, "If-Range": '"old"'}).status_code == 200
    assert site.get(FIRST, headers={"Range": "bytes=0-3,8-9"}).content == full.content
    assert full.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in full.headers["Access-Control-Expose-Headers"]
    asked = site.options(FIRST, headers={"Access-Control-Request-Headers": "range"})
    assert "Range" in asked.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "path",
    [
        "job/3",
        "job/0",
        "job/x",
        f"job/{'9' * 30}",
        "job/%C2%B2",
        "source/none",
        "campaign/none",
        "target/cold",
    ],
)
def test_what_is_not_there_is_404(site: TestClient, path: str) -> None:
    assert site.get(f"/api/wacz/{path}.wacz").status_code == 404


def test_one_that_takes_longer_says_when_to_ask_again(
    own: Editions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "PATIENCE_SECONDS", 0.0)
    with served(own) as site:
        answer = site.get(FIRST)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "being prepared" in answer.json()["sentence"]
        assert site.get(SECOND).status_code == 503
        assert "being prepared" in site.get("/api/wacz/source/lab.wacz").text  # two are enough
        monkeypatch.undo()
        for path in ALL:
            assert whole(site, path).status_code == 200


def test_the_same_state_gives_the_same_bytes_and_another_one_others(own: Editions) -> None:
    with served(own) as site:
        before = {path: whole(site, path) for path in ALL}
        shutil.rmtree(own.settings.wacz_dir)
        for path, answer in before.items():
            again = whole(site, path)
            assert again.content == answer.content
            assert again.headers["ETag"] == answer.headers["ETag"]
        own.add(own.second, "/en/rubella")
        assert whole(site, SECOND).content == before[SECOND].content  # sealed, not indexed yet
        own.index(own.second)
        for path in ALL:
            changed = whole(site, path)
            assert (changed.headers["ETag"] == before[path].headers["ETag"]) is (path == FIRST)
            assert (changed.content == before[path].content) is (path == FIRST)


# -- damage --------------------------------------------------------------------------------------


def test_a_damaged_segment_is_named_and_no_file_is_left(own: Editions, tmp_path: Path) -> None:
    path = own.segments(own.first)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    done = export(own, "--job", "1", "--output", str(out))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"archive/{path.name} is not what was sealed" in done.stderr
    assert complaints(done) == 1
    assert list(out.iterdir()) == []
    with own.database.begin() as connection:
        connection.execute(update(segments).values(crc32=None))
    shutil.rmtree(own.settings.wacz_dir)
    done = export(own, "--job", "1", "--output", str(out))
    assert done.returncode != 0
    assert f"{path.name} is not what was sealed" in done.stderr


def test_a_truncated_segment_is_never_served_as_if_it_were_whole(own: Editions) -> None:
    with served(own) as site:
        assert whole(site, FIRST).status_code == 200
        path = own.segments(own.first)[0]
        path.write_bytes(path.read_bytes()[:-1])
        answer = site.get(FIRST)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "its storage is being repaired" in answer.json()["sentence"]
        french = site.get(FIRST, headers={"Accept-Language": "fr"})
        assert "son stockage est en réparation" in french.json()["sentence"]
        unharmed = {"Range": "bytes=-100"}  # the directory lies in the layout itself
        assert site.get(FIRST, headers=unharmed).status_code == 206


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Give one of --job ID"),
        (["--job", "1", "--source", "lab"], 2, "Give one of --job ID"),
        (["--job", "99"], 4, "There is no job 99"),
        (["--campaign", "none"], 4, "campaign list"),
        (["--job", "1", "--output", "/no/such/place.wacz"], 3, "cannot be written"),
    ],
)
def test_an_export_that_cannot_be_made_is_one_sentence(
    archive: Editions, words: list[str], code: int, said: str
) -> None:
    done = export(archive, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert complaints(done) == 1
