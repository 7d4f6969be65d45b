"""Readers report a problem by a plain form; the operator reads and settles it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from healtharchive.cli.main import main
from healtharchive.model.journal import story
from healtharchive.model.reader_reports import ReaderReport, ReportState, list_reports
from healtharchive.settings import Settings
from healtharchive.settings.masking import shown
from healtharchive.web.app import create_app
from healtharchive.web.report import MOST_BYTES, MOST_TEXT, TRAP
from tests.lab.small_archive import Exchange, SmallArchive, build

FORM = {"kind": "error", "text": "The map is missing.\r\nBoth of them.", "contact": "a@b.example"}
STRANGER = ("198.51.100.7", 4711)


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Iterator[SmallArchive]:
    made = build(tmp_path, [Exchange("/", b"<p>home</p>", title="Home")], database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def site(archive: SmallArchive) -> Iterator[TestClient]:
    with served(archive, archive.settings) as client:
        yield client


def served(
    archive: SmallArchive, settings: Settings, client: tuple[str, int] = STRANGER
) -> TestClient:
    app = create_app(settings, archive.database)
    return TestClient(app, follow_redirects=False, client=client)


def kept(archive: SmallArchive) -> list[ReaderReport]:
    with archive.database.read() as connection:
        return list_reports(connection, settled=True)


def test_a_report_is_kept_and_thanked_for(archive: SmallArchive, site: TestClient) -> None:
    page = site.get("/en/capture/1")
    assert 'href="/en/report?capture=1"' in page.text
    form = site.get("/en/report?capture=1")
    assert form.status_code == 200
    assert "http://example.org/" in form.text
    assert "<script" not in form.text
    assert form.headers["referrer-policy"] == "same-origin"
    sent = site.post("/en/report", data={**FORM, "capture": "1", TRAP: ""})
    assert sent.status_code == 303
    assert sent.headers["location"] == "/en/report/received/1"
    assert "set-cookie" not in sent.headers
    assert "number 1" in site.get("/en/report/received/1").text
    assert "numéro 1" in site.get("/fr/report/received/1").text
    (report,) = kept(archive)
    assert (report.capture_id, report.url) == (1, "http://example.org/")
    assert (report.kind, report.state) == ("error", "open")
    assert report.text == "The map is missing.\nBoth of them."
    with archive.database.read() as connection:
        (event,) = story(connection, "report", 1)
    assert event.what == "received"
    told = json.dumps([event.why, dict(event.evidence)])
    assert "map" not in told
    assert "a@b.example" not in told


def test_a_report_needs_no_capture(archive: SmallArchive, site: TestClient) -> None:
    data = {"kind": "other", "text": "Hello.", "url": "https://example.org/page"}
    assert site.post("/fr/report", data=data).headers["location"] == "/fr/report/received/1"
    assert kept(archive)[0].url == "https://example.org/page"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "nothing"}, "Choose what it is."),
        ({"text": " \r\n "}, "Write what we should know"),
        ({"text": "x" * (MOST_TEXT + 1)}, "Write what we should know"),
        ({"contact": "x" * 201}, "at most 200 characters"),
        ({"url": "javascript:alert(1)"}, "must be one of the web"),
        ({TRAP: "https://spam.example"}, "Leave this field empty"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_lost(
    archive: SmallArchive, site: TestClient, changes: dict[str, str], sentence: str
) -> None:
    answer = site.post("/en/report", data={**FORM, **changes})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert ("a@b.example" in answer.text) == ("contact" not in changes)
    assert kept(archive) == []


def test_what_is_written_is_only_text(archive: SmallArchive, site: TestClient) -> None:
    data = {**FORM, "kind": "", "text": "</textarea><script>alert(1)</script>\0\x1b"}
    answer = site.post("/en/report", data=data)
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert site.post("/en/report", data={**data, "kind": "error"}).status_code == 303
    assert kept(archive)[0].text == "</textarea><script>alert(1)</script>"


def test_a_missing_capture_and_other_content_are_refused(
    archive: SmallArchive, site: TestClient
) -> None:
    assert site.get("/en/report?capture=99").status_code == 404
    assert site.post("/en/report", data={**FORM, "capture": "99"}).status_code == 404
    assert site.get("/en/report?capture=x").status_code == 400
    assert site.post("/en/report", content=b"\xff\xfe").status_code == 422
    many = "&".join(f"a{number}=1" for number in range(1000))
    assert site.post("/en/report", content=many.encode()).status_code == 422
    large = site.post("/en/report", content=b"x" * (MOST_BYTES + 1))
    assert large.status_code == 413
    assert f"at most {MOST_BYTES} bytes" in large.text
    assert kept(archive) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": "http://testserver"}, 303),
        ({"Origin": "https://archive.example"}, 303),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver:8091"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
    ],
)
def test_only_our_own_form_may_be_sent(
    archive: SmallArchive, headers: dict[str, str], status: int
) -> None:
    settings = replace(archive.settings, public_url="https://archive.example/")
    with served(archive, settings) as site:
        answer = site.post("/en/report", data=FORM, headers=headers)
    assert answer.status_code == status
    assert len(kept(archive)) == (status == 303)
    assert "access-control-allow-origin" not in answer.headers


def test_one_address_may_report_only_so_often(archive: SmallArchive) -> None:
    settings = replace(archive.settings, reports_per_day=2, trusted_proxies="127.0.0.1")
    with served(archive, settings, ("127.0.0.1", 1)) as site:
        one, other = ({"X-Forwarded-For": each} for each in ("203.0.113.9", "203.0.113.10"))
        got = [site.post("/en/report", data=FORM, headers=one) for _ in range(3)]
        assert [each.status_code for each in got] == [303, 303, 429]
        assert got[-1].headers["retry-after"] == "86400"
        assert "Too many reports" in got[-1].text
        wrong = site.post("/en/report", data={**FORM, "kind": ""}, headers=other)
        assert wrong.status_code == 422  # costs nothing
        assert site.post("/en/report", data=FORM, headers=other).status_code == 303


# -- the operator ----------------------------------------------------------------------------------


def basic(password: str, user: str = "op") -> dict[str, str]:
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {word}"}


def test_without_a_token_there_are_no_pages_of_the_operator(site: TestClient) -> None:
    for headers in ({}, basic("")):
        assert site.get("/en/admin/reports", headers=headers).status_code == 404


def test_the_operators_list_is_behind_the_token(archive: SmallArchive) -> None:
    settings = replace(archive.settings, admin_token="sesame: é")
    with served(archive, settings) as site:
        site.post("/en/report", data={**FORM, "text": "Find <me>."})
        refused = [
            site.get("/en/admin/reports", headers=headers)
            for headers in (
                {},
                basic("sesame"),
                basic(""),
                {"Authorization": "Basic ?"},
                {"Authorization": "Bearer sesame"},
            )
        ]
        for answer in refused:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert "Find" not in answer.text
        listed = site.get("/en/admin/reports", headers=basic("sesame: é"))
        assert listed.status_code == 200
        assert "Find &lt;me&gt;." in listed.text
        asked = {**basic("sesame: é"), "Origin": "https://elsewhere.example"}
        facts = site.get("/fr/admin/reports?format=json&all=1", headers=asked)
        assert facts.json()["reports"][0]["contact"] == "a@b.example"
        for answer in (*refused, listed, facts):
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            assert "set-cookie" not in answer.headers
    (line,) = [each for each in shown(settings) if each.name == "admin_token"]
    assert line.value == "***"


@pytest.fixture
def command(archive: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work on this archive."""
    for name in [name for name in os.environ if name.startswith("HEALTHARCHIVE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEALTHARCHIVE_ENV_FILE", os.devnull)
    monkeypatch.setenv("HEALTHARCHIVE_DATA_DIR", str(archive.settings.data_dir))
    url = archive.database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("HEALTHARCHIVE_DATABASE_URL", url)


@pytest.mark.usefixtures("command")
def test_the_operator_settles_reports_once(
    archive: SmallArchive, site: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        site.post("/en/report", data={**FORM, "capture": "1"})
    assert main(["reports", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == [2, 1]
    assert main(["report", "answer", "1"]) == 2
    assert "--note" in capsys.readouterr().err
    assert main(["report", "answer", "1", "--note", "The map is back."]) == 0
    assert main(["report", "dismiss", "2", "--note", "Sent twice."]) == 0
    assert main(["report", "dismiss", "1", "--note", "No."]) == 2
    assert "Report 1 is answered already" in capsys.readouterr().err
    assert main(["report", "answer", "9", "--note", "No."]) == 4
    capsys.readouterr()
    assert main(["reports"]) == 0
    assert capsys.readouterr().out == "There is no report.\n"
    assert [each.state for each in kept(archive)] == [ReportState.DISMISSED, ReportState.ANSWERED]
    with archive.database.read() as connection:
        told = story(connection, "report", 1)
    assert [(each.what, each.from_state, each.to_state) for each in told] == [
        ("received", None, "open"),
        ("answered", "open", "answered"),
    ]
    assert told[-1].why == "The map is back."
    assert "@" in told[-1].evidence["who"]
