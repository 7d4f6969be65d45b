"""What stands beside a response: it decides whether the response is a capture, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from healtharchive.crawl.browser.renditions import Rendition
from healtharchive.model.pictures import PictureKind
from healtharchive.search.harvest import Harvest, harvest
from healtharchive.warc.cdxj import cdxj_lines
from healtharchive.warc.companions import ASIDE_FIELD, Companions, text_block
from healtharchive.warc.reader import WarcRecord, read_record, read_records
from tests.lab import warcs

URL = "https://a.example/page"
ASIDE = f"{ASIDE_FIELD}: it accompanies a page\r\n".encode()
SHELL = b"<html lang=en><title>App</title><div id=root></div><script src=app.js></script></html>"


def answered(request: bytes, status: str = "200 OK", text: bytes | None = None) -> list[bytes]:
    """A rendered text if there is one, a request, and its response, in our own order."""
    block = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n\r\n".encode() + SHELL
    kind = "application/http;msgtype=response"
    response = warcs.record("response", block, warcs.common("response", URL, block, kind))
    asked_fields = (
        *warcs.common("request", URL, request, "application/http;msgtype=request"),
        ("WARC-Concurrent-To", warcs.record_id("response")),
    )
    records = [warcs.record("request", request, asked_fields), response]
    if text is not None:
        fields = (
            *warcs.common("text", f"urn:text:{URL}", text, "text/plain; charset=utf-8"),
            ("WARC-Refers-To", warcs.record_id("response")),
        )
        records.insert(0, warcs.record("conversion", text, fields))
    return records


def harvested(path: Path) -> list[Harvest]:
    companions, found = Companions(), []
    for record in read_records(path):
        assert isinstance(record, WarcRecord)
        companions.note(record)
        found.append(harvest(record, companions))
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    ("request_", "status", "captured"),
    [
        (b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n", "200 OK", True),
        (b"GET /page HTTP/1.1\r\nRange: bytes=0-\r\n\r\n", "200 OK", True),
        (b"GET /page HTTP/1.1\r\nrange: bytes=0-\r\n\r\n", "206 Partial Content", False),
        (b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n", "206 Partial Content", True),
        (b"POST /page HTTP/1.1\r\nHost: a.example\r\n\r\n", "200 OK", False),
        (b"HEAD /page HTTP/1.1\r\nHost: a.example\r\n\r\n", "200 OK", False),
    ],
)
def test_what_answers_another_request_than_a_get_of_the_whole_is_no_capture(
    tmp_path: Path, request_: bytes, status: str, captured: bool
) -> None:
    path = warcs.write(tmp_path / "a.warc.gz", answered(request_, status))
    assert len(harvested(path)) == captured
    assert len(list(cdxj_lines(path))) == captured


def test_what_says_that_it_stands_aside_is_no_capture(tmp_path: Path) -> None:
    get = b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n"
    asked, response = answered(get)
    marked = response.replace(b"WARC-Type: response\r\n", b"WARC-Type: response\r\n" + ASIDE)
    assert marked != response
    path = warcs.write(tmp_path / "a.warc.gz", [asked, marked])
    assert harvested(path) == []
    assert list(cdxj_lines(path)) == []


def test_a_rendered_text_is_what_its_page_says(tmp_path: Path) -> None:
    get = b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n"
    text = text_block("Vaccines", "The clinic is open on Mondays and closed on all other days.")
    path = warcs.write(tmp_path / "a.warc.gz", answered(get, text=text))
    (found,) = harvested(path)
    assert found.page is not None
    assert (found.page.title, found.page.language) == ("Vaccines", "en")
    assert "open on Mondays" in found.page.text
    assert [line.url for line in cdxj_lines(path)] == [URL]


def test_a_text_of_another_response_says_nothing_of_this_one(tmp_path: Path) -> None:
    get = b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n"
    records = answered(get, text=text_block("Vaccines", "Open on Mondays."))
    other = [
        each.replace(warcs.record_id("response").encode(), b"<urn:uuid:0>") for each in records
    ]
    path = warcs.write(tmp_path / "a.warc.gz", [other[0], *records[1:]])
    (found,) = harvested(path)
    assert found.page is not None
    assert "Mondays" not in found.page.text


def test_the_pictures_that_the_crawl_writes_are_found_where_they_lie(tmp_path: Path) -> None:
    get = b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n"
    small, whole = b"\xff\xd8\xff small", b"\xff\xd8\xff whole"
    rendition = Rendition(
        URL, datetime(2026, 3, 1, tzinfo=UTC), "T", "Words", whole, thumbnail=small
    )
    beside = rendition.records(warcs.record_id("response"))
    path = warcs.write(tmp_path / "a.warc.gz", answered(get))
    path.write_bytes(b"".join(beside) + path.read_bytes())
    (found,) = harvested(path)
    blocks = {
        each.kind: read_record(path, each.record_offset, each.record_length).block()
        for each in found.pictures
    }
    assert blocks == {PictureKind.THUMBNAIL: small, PictureKind.SCREENSHOT: whole}


def test_a_picture_of_another_response_is_none_of_this_one(tmp_path: Path) -> None:
    get = b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n"
    rendition = Rendition(URL, datetime(2026, 3, 1, tzinfo=UTC), "T", "Words", b"\xff\xd8\xff")
    path = warcs.write(tmp_path / "a.warc.gz", answered(get))
    path.write_bytes(b"".join(rendition.records("<urn:uuid:0>")) + path.read_bytes())
    (found,) = harvested(path)
    assert found.pictures == ()
