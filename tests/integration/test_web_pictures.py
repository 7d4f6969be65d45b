"""The pictures of rendered pages on the web: there when they were taken, never anything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import delete
from starlette.testclient import TestClient

from healtharchive.model.tables import pictures
from healtharchive.web.app import create_app
from tests.lab.captured import Page, html_page
from tests.lab.dated_archive import DatedArchive, Rendered, dated_archive
from tests.lab.front.pictures import png

SMALL = png("small", 320, 225)
JPEG = b"\xff\xd8\xff\xe0" + os.urandom(3_000_000)  # longer than a piece of an answer
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
SEEN = Page("/seen", html_page("Clinics", "The clinics of the region are open on Mondays."))
PLAIN = Page("/plain", html_page("Clinics nearby", "Other clinics of the region are closed."))
SMUGGLED = Page("/smuggled", html_page("Smuggled", "Something else than a picture."))
PAGES = (
    Rendered(SEEN, SMALL, JPEG),
    PLAIN,
    Rendered(SMUGGLED, SVG, HTML),
)


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[DatedArchive]:
    with dated_archive(tmp_path, PAGES, database_url) as made:
        yield made


@pytest.fixture
def site(archive: DatedArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def number_of(archive: DatedArchive, page: Page) -> int:
    (capture_id,) = archive.ids(page.url)
    return capture_id


def test_pictures_come_as_they_were_taken(site: httpx.Client, archive: DatedArchive) -> None:
    capture_id = number_of(archive, SEEN)
    for kind, content, media_type in (
        ("thumbnail", SMALL, "image/png"),
        ("screenshot", JPEG, "image/jpeg"),
    ):
        answer = site.get(f"/{kind}/{capture_id}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox ")
        assert answer.content == content


def test_nothing_but_a_picture_comes_out(site: httpx.Client, archive: DatedArchive) -> None:
    capture_id = number_of(archive, SMUGGLED)
    for kind in ("thumbnail", "screenshot"):
        answer = site.get(f"/{kind}/{capture_id}")
        assert answer.status_code == 404
        assert "alert" not in answer.text
        assert answer.headers["content-security-policy"].startswith("sandbox ")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("thumbnail", "There is no thumbnail of capture"),
        ("screenshot", "There is no screenshot of capture"),
    ],
)
def test_no_picture_is_one_sentence(
    site: httpx.Client, archive: DatedArchive, kind: str, sentence: str
) -> None:
    missing = site.get(f"/{kind}/{number_of(archive, PLAIN)}")
    assert (missing.status_code, sentence in missing.text) == (404, True)
    unknown = site.get(f"/{kind}/77")
    assert (unknown.status_code, "no capture 77" in unknown.text) == (404, True)
    assert site.get(f"/{kind}/x").status_code == 404


def test_a_storage_that_does_not_answer_is_said_and_tried_again(
    site: httpx.Client, archive: DatedArchive
) -> None:
    capture_id = number_of(archive, SEEN)
    away = archive.warc.rename(archive.warc.with_suffix(".away"))
    answer = site.get(f"/thumbnail/{capture_id}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    away.rename(archive.warc)
    assert site.get(f"/thumbnail/{capture_id}").content == SMALL


@pytest.mark.parametrize(
    ("language", "alternative"),
    [("en", "How the page looked on 1\u00a0March 2026"), ("fr", "Apparence de la page le 1er")],
)
def test_the_page_of_a_capture_shows_its_thumbnail_and_leads_to_its_screenshot(
    site: httpx.Client, archive: DatedArchive, language: str, alternative: str
) -> None:
    capture_id = number_of(archive, SEEN)
    tree = LexborHTMLParser(site.get(f"/{language}/capture/{capture_id}").text)
    picture = tree.css_first(f'a[href="/screenshot/{capture_id}"] img')
    assert picture is not None
    assert picture.attributes["src"] == f"/thumbnail/{capture_id}"
    assert (picture.attributes["alt"] or "").startswith(alternative)
    plain = site.get(f"/{language}/capture/{number_of(archive, PLAIN)}")
    assert "<img" not in plain.text
    facts = site.get(f"/api/captures/{capture_id}").json()
    assert facts["pictures"] == ["screenshot", "thumbnail"]


def test_results_have_thumbnails_where_there_is_one(
    site: httpx.Client, archive: DatedArchive
) -> None:
    tree = LexborHTMLParser(site.get("/en/?q=clinics").text)
    assert len(tree.css("ol.hits > li")) == 2
    (image,) = tree.css("ol.hits img")
    assert image.attributes["src"] == f"/thumbnail/{number_of(archive, SEEN)}"
    assert image.attributes["loading"] == "lazy"
    assert image.attributes["width"]
    assert image.attributes["height"]
    hits = site.get("/api/search?q=clinics").json()["hits"]
    assert {hit["capture_id"]: hit["thumbnail"] for hit in hits} == {
        number_of(archive, SEEN): True,
        number_of(archive, PLAIN): False,
    }


def test_an_archive_from_before_there_were_pictures_gets_them_when_it_is_indexed_again(
    site: httpx.Client, archive: DatedArchive
) -> None:
    capture_id = number_of(archive, SEEN)
    with archive.database.begin() as connection:
        connection.execute(delete(pictures))
    assert site.get(f"/thumbnail/{capture_id}").status_code == 404
    for _ in range(2):  # a second time changes nothing
        archive.index_again()
        assert site.get(f"/thumbnail/{capture_id}").content == SMALL
