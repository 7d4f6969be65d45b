"""The browser engine in the whole house: a site that scripts build is captured, and is found."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.warc.companions import TEXT_PREFIX
from tests.lab.archive import Archive
from tests.lab.front_site import FrontSite, front_site
from tests.lab.truth import Held, read_captures, warc_files, warcio_check

CAPTURE_SECONDS = 240.0


@dataclass
class Captured:
    """A front site that was captured by a worker, page by page as each needs it."""

    archive: Archive
    site: FrontSite
    job: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def held(self) -> list[Held]:
        return list(read_captures(warc_files(self.archive.job_dir())))

    @cached_property
    def texts(self) -> dict[str, str]:
        """The rendered text of each page, by its URL."""
        found: dict[str, str] = {}
        for path in warc_files(self.archive.job_dir()):
            with path.open("rb") as stream:
                for record in ArchiveIterator(stream, record_types=WarcRecordType.conversion):
                    url = str(record.headers["WARC-Target-URI"])
                    assert url.startswith(TEXT_PREFIX)
                    assert url not in found
                    found[url.removeprefix(TEXT_PREFIX)] = record.reader.read().decode()
        return found


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captured]:
    archive = Archive(tmp_path_factory.mktemp("house") / "data")
    with front_site() as site:
        archive.set_up(site.source_toml(engine="auto"))
        archive.run("create-job", "--source", "front")
        with archive.working() as worker:
            archive.wait_until_settled(seconds=CAPTURE_SECONDS, worker=worker)
        yield Captured(archive, site, archive.job())


def test_the_job_is_complete_and_its_counts_add_up(captured: Captured) -> None:
    job = captured.job
    assert job["status"] == "indexed"
    assert job["retry_count"] == 0
    counts = job["counts"]
    assert counts["found"] == counts["done"] + counts["failed"] + counts["excluded"]
    assert warcio_check(warc_files(captured.archive.job_dir())) == []


def test_every_asset_that_a_page_asked_for_is_in_the_warc_byte_for_byte(captured: Captured) -> None:
    served = captured.site.answers
    entities = {each.url: each.entity_sha256 for each in captured.held if each.status == 200}
    assert captured.site.truth.assets <= set(entities)
    wrong = {
        url: entities.get(url)
        for url, body in served.items()
        if hashlib.sha256(body).hexdigest() != entities.get(url)
    }
    assert wrong == {}


def test_no_url_is_captured_twice_and_what_stands_aside_is_no_capture(captured: Captured) -> None:
    posts = {url for url, _ in captured.site.truth.posts}
    assert posts <= {each.url for each in captured.held}
    path = captured.archive.data_dir / "healtharchive.sqlite"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        urls = [row[0] for row in database.execute("SELECT url FROM captures")]
    assert [url for url, number in Counter(urls).items() if number > 1] == []
    assert len(urls) == captured.job["counts"]["done"]
    assert not posts & set(urls)


def test_each_shell_is_rendered_and_hardly_a_plain_page_is(captured: Captured) -> None:
    shells = [page for page in captured.site.truth.shells if page.linked]
    rendered = [page for page in shells if page.url in captured.texts]
    needless = [page for page in captured.site.truth.plain if page.url in captured.texts]
    assert len(rendered) >= 0.95 * len(shells), {p.url for p in shells} - set(captured.texts)
    assert len(needless) <= 0.05 * len(captured.site.truth.plain)
    for page in rendered:
        for phrase in (page.phrase, *page.deeper):
            assert phrase in captured.texts[page.url]


def test_show_job_tells_what_was_rendered_and_why(captured: Captured) -> None:
    shown = captured.archive.run("show-job", "--id", "1")
    assert "rendered in a browser: pages like" in shown
    assert "not rendered: pages without scripts" in shown


def test_the_rendered_text_is_found_by_search(captured: Captured) -> None:
    for page in captured.site.truth.shells:
        if page.url not in captured.texts:
            continue
        found = captured.archive.ask("search", f'"{page.phrase}"')
        assert [each["url"] for each in found["hits"]] == [page.url]


def test_no_browser_and_no_profile_is_left(captured: Captured) -> None:
    job_dir = captured.archive.job_dir()
    assert list(job_dir.glob("browsers/*")) == []
    assert list(job_dir.glob("spill-*")) == []
    left = [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline"])
        if str(job_dir) in " ".join(process.info["cmdline"] or ())
    ]
    assert left == []


def test_an_archive_without_a_browser_names_what_is_missing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", {"BROWSER": str(tmp_path / "no-chromium")})
    with front_site() as site:
        archive.set_up(site.source_toml(engine="browser"))
        archive.run("create-job", "--source", "front")
        archive.run("run-db-job", "--id", "1", codes=(0, 1, 2, 3, 4, 5))
        why = archive.run("why", "job", "1")
    assert "apt-get install chromium" in why
    assert archive.job()["retry_count"] == 0
