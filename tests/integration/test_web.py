"""The web pages over a real archive: both languages, no scripts, safe whatever was captured."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from starlette.testclient import TestClient

from healtharchive.web.app import create_app
from tests.lab.small_archive import CAMPAIGN, SITE, Exchange, SmallArchive, build

HOSTILE = b"""<!DOCTYPE html><html lang=en><head><title>Measles</title>
<script>alert(1)</script><link rel=stylesheet href=/style.css></head>
<body onload="alert(2)"><h1>Measles</h1><img src="/logo.png"><a href="/fr/rougeole">fr</a>
<form action="https://evil.example/"><input name=q></form>
<iframe src="https://evil.example/"></iframe></body></html>"""
LATIN = "<html><head><title>Rougeole é</title></head><body>Santé</body></html>".encode("latin-1")
PNG = b"\x89PNG\r\n\x1a\nnot really"
CSS = b"body { background: url(/logo.png) } @import '//evil.example/x.css';"
EXCHANGES = [
    Exchange(
        "/en/measles",
        HOSTILE,
        title="Measles <b>&",
        language="en",
        text="Two doses of <i>measles</i> vaccine are given to children & adults.",
    ),
    Exchange(
        "/fr/rougeole",
        LATIN,
        "text/html; charset=iso-8859-1",
        title="Rougeole",
        language="fr",
        text="Les vaccins contre la rougeole",
    ),
    Exchange("/logo.png", PNG, "image/png"),
    Exchange("/style.css", CSS, "text/css"),
    Exchange(
        "/packed",
        gzip.compress(b"<p>unpacked</p>"),
        more=(("Content-Encoding", "gzip"),),
    ),
    Exchange("/old", b"", status="301 Moved", more=(("Location", "/en/measles#top"),)),
    Exchange("/lost", b"", status="302 Found", more=(("Location", "https://evil.example/"),)),
    Exchange("/paper.pdf", b"%PDF-1.7", "application/pdf"),
    Exchange("/data.json", b'{"a": 1}', "application/json"),
]
PAGES = (
    "/{}/",
    "/{}/?q=measles",
    "/{}/?lang=xx",
    "/{}/campaigns",
    "/{}/campaign/annual-2026",
    "/{}/jobs",
    "/{}/job/1",
    "/{}/sources",
    "/{}/capture/1",
    "/{}/capture/999",
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    return build(tmp_path_factory.mktemp("archive"), EXCHANGES)


@pytest.fixture(scope="module")
def site(archive: SmallArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def policy(answer: httpx.Response) -> str:
    return answer.headers["content-security-policy"]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_works_without_scripts_and_for_every_reader(
    site: httpx.Client, page: str, language: str
) -> None:
    answer = site.get(page.format(language))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy(answer)
    tree = LexborHTMLParser(answer.text)
    # At most htmx, from our own host; nothing stands in the page itself.
    scripts = [(str(each.attributes["src"]), each.text()) for each in tree.css("script")]
    assert all(src.startswith("/static/htmx/") and not text for src, text in scripts)
    assert ("script-src 'self';" in policy(answer)) == bool(scripts)
    assert "unsafe" not in policy(answer)
    assert not re.search(r"\son\w+=", answer.text)
    html = tree.css_first("html")
    assert html is not None
    assert html.attributes["lang"] == language
    assert len(tree.css("h1")) == 1
    assert len(tree.css("main")) == 1
    first_link = tree.css_first("a")
    assert first_link is not None
    assert first_link.attributes["href"] == "#content"
    assert tree.css_first("main#content") is not None
    assert tree.css("title")
    for field in tree.css("input, select"):
        assert tree.css_first(f'label[for="{field.attributes["id"]}"]') is not None
    for frame in tree.css("iframe"):
        assert frame.attributes["title"]
    for bar in tree.css("progress"):
        assert bar.attributes["aria-label"]
    names = [node.attributes["id"] for node in tree.css("[id]")]
    assert len(names) == len(set(names))
    for node in tree.css("[aria-labelledby]"):
        assert node.attributes["aria-labelledby"] in names


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_switch_leads_to_the_same_page_in_the_other_language(
    site: httpx.Client, language: str
) -> None:
    other = "fr" if language == "en" else "en"
    tree = LexborHTMLParser(site.get(f"/{language}/job/1").text)
    switch = tree.css_first("a.switch")
    assert switch is not None
    assert switch.attributes["href"] == f"/{other}/job/1"
    assert switch.attributes["lang"] == other


def test_the_front_door_follows_the_readers_language(site: httpx.Client) -> None:
    answer = site.get("/", headers={"Accept-Language": "fr-CA, en;q=0.5"})
    assert (answer.status_code, answer.headers["location"]) == (302, "/fr/")


def test_search_marks_the_words_it_found_and_escapes_the_rest(site: httpx.Client) -> None:
    tree = LexborHTMLParser(site.get("/fr/?q=dose+children").text)  # stemmed
    found = tree.css("ol.hits > li")
    assert len(found) == 1
    snippet = found[0].css_first("p.snippet")
    assert snippet is not None
    assert [node.text() for node in snippet.css("mark")] == ["doses", "children"]
    assert "<i>measles</i>" in snippet.text()
    assert snippet.attributes["lang"] == "en"
    link = found[0].css_first("h3 a")
    assert link is not None
    assert (link.attributes["href"], link.text()) == ("/fr/capture/1", "Measles <b>&")
    assert "1 résultat" in tree.css_first("h2#results").text()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", 2),
        ("lang=fr", 1),
        ("source=lab", 2),
        ("q=vaccine", 2),
        ("q=vaccine&lang=en&campaign=annual-2026&type=html", 1),
        ("type=pdf", 0),
        ("from=2026-11-23&to=2026-11-23", 2),
        ("from=2026-11-24", 0),
        ("to=2200-12-31", 2),
        ("q=%22contre la rougeole%22", 1),
        ("q=%22 AND (( %5D:*'", 0),
        ("q=%3Cscript%3Ealert(1)%3C%2Fscript%3E", 0),
        ("q=vaccine&page=500", 2),
    ],
)
def test_filters_narrow_what_is_found(site: httpx.Client, query: str, total: int) -> None:
    assert site.get("/api/search?" + query).json()["total"] == total
    page = site.get("/en/?" + query)
    assert page.status_code == 200
    assert "<script>" not in page.text


def test_an_active_filter_can_be_seen_and_taken_away(site: httpx.Client) -> None:
    tree = LexborHTMLParser(site.get("/en/?q=vaccine&source=lab&lang=en&page=2").text)
    chips = {chip.text(deep=True): chip.attributes["href"] for chip in tree.css(".chips a")}
    assert [name.split(":")[0] for name in chips] == ["Source", "Language of the page"]
    assert list(chips.values()) == ["/en/?q=vaccine&lang=en", "/en/?q=vaccine&source=lab"]
    chosen = [each.attributes["value"] for each in tree.css("option[selected]")]
    assert chosen == ["lab", "en", "latest", "relevance"]


def test_an_index_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    archive = build(tmp_path, EXCHANGES[:1])
    for file in archive.settings.search_dir.rglob("meta.json"):
        file.write_text("broken")
    with TestClient(
        create_app(archive.settings, archive.database), raise_server_exceptions=False
    ) as client:
        answer = client.get("/en/?q=measles")
    assert answer.status_code == 503
    assert "The search index cannot be read now" in answer.text


def test_a_capture_shows_its_facts_and_the_page_in_a_sandbox(
    site: httpx.Client, archive: SmallArchive
) -> None:
    answer = site.get("/fr/capture/1")
    tree = LexborHTMLParser(answer.text)
    frame = tree.css_first("iframe")
    assert frame is not None
    assert frame.attributes["src"] == "/raw/1?ui=fr"
    sandbox = frame.attributes["sandbox"] or ""
    assert "allow-scripts" not in sandbox
    assert "allow-same-origin" not in sandbox
    assert archive.warc.name in answer.text
    assert "Capturée 1 fois." in answer.text
    heading = tree.css_first("h1")
    assert heading is not None
    assert heading.text() == "Measles <b>&"  # escaped, not obeyed
    assert heading.attributes["lang"] == "en"


def test_an_archived_page_runs_nothing_and_reaches_nobody(site: httpx.Client) -> None:
    answer = site.get("/raw/1?ui=fr")
    assert answer.status_code == 200
    assert policy(answer).startswith("sandbox allow-top-navigation-by-user-activation;")
    assert "script-src" not in policy(answer)
    assert answer.headers["x-content-type-options"] == "nosniff"
    for gone in ("alert", "evil.example", "<script", "<iframe", "onload"):
        assert gone not in answer.text
    assert "/at/20261123101112/http%3A%2F%2Fexample.org%2Flogo.png" in answer.text
    assert "/fr/at/20261123101112/http%3A%2F%2Fexample.org%2Ffr%2Frougeole" in answer.text


def test_archived_characters_codings_and_kinds_are_shown_as_they_were_meant(
    site: httpx.Client, archive: SmallArchive
) -> None:
    def body(path: str) -> httpx.Response:
        return site.get(f"/raw/{archive.ids[path]}")

    assert "Santé" in body("/fr/rougeole").text
    assert "unpacked" in body("/packed").text
    assert body("/logo.png").content == PNG
    assert body("/logo.png").headers["content-type"] == "image/png"
    assert "evil" not in body("/style.css").text.replace("%2F%2Fevil.example%2Fx.css", "")
    assert body("/data.json").headers["content-type"] == "text/plain"
    assert body("/paper.pdf").headers["content-disposition"].startswith("attachment")
    page = site.get(f"/en/capture/{archive.ids['/paper.pdf']}").text
    assert "<iframe" not in page
    assert "Download the archived file" in page


def test_what_an_archived_page_points_at_comes_from_the_nearest_capture(
    site: httpx.Client, archive: SmallArchive
) -> None:
    assert site.get("/at/2019/http%3A%2F%2Fexample.org%2Flogo.png").content == PNG
    answer = site.get("/fr/at/20990101/http%3A%2F%2Fexample.org%2Ffr%2Frougeole")
    assert answer.headers["location"] == f"/fr/capture/{archive.ids['/fr/rougeole']}"


def test_an_archived_redirect_stays_in_the_archive(
    site: httpx.Client, archive: SmallArchive
) -> None:
    answer = site.get(f"/raw/{archive.ids['/old']}?ui=fr")
    assert answer.status_code == 302
    expected = "/at/20261123101112/http%3A%2F%2Fexample.org%2Fen%2Fmeasles?ui=fr"
    assert answer.headers["location"] == expected
    assert "Measles" in site.get(expected).text
    lost = site.get(f"/raw/{archive.ids['/lost']}").headers["location"]
    missing = site.get(lost, headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert "frame-ancestors 'self'" in policy(missing)  # its sentence shows in the frame
    assert "The archive holds no capture of https://evil.example/." in missing.text


def test_the_raw_record_is_the_bytes_of_the_file(site: httpx.Client, archive: SmallArchive) -> None:
    answer = site.get("/warc/1")
    assert answer.headers["content-type"] == "application/warc"
    assert answer.content in archive.warc.read_bytes()
    assert gzip.decompress(answer.content).startswith(b"WARC/1.1\r\nWARC-Type: response")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/en/job/77", "There is no job 77."),
        ("/fr/job/77", "Il n’y a pas de tâche 77."),
        ("/en/job/99999999999999999999999", "There is no job 99999999999999999999999."),
        ("/en/job/-1", "There is no job -1."),
        ("/en/job/six", "There is no page at this address."),
        ("/en/capture/77", "There is no capture 77 in the archive."),
        ("/raw/99999999999999999999999", "There is no capture"),
        ("/warc/77", "There is no capture 77 in the archive."),
        ("/fr/campaign/nowhere", "Il n’y a pas de campagne nommée"),
        ("/en/campaign/%3Cscript%3E", "There is no campaign named"),
        ("/en/nowhere", "There is no page at this address."),
        ("/nowhere", "There is no page at this address."),
        ("/de/", "There is no page at this address."),
        ("/at/2026/javascript%3Aalert(1)", "There is no page at this address."),
        ("/at/99/http%3A%2F%2Fexample.org%2F", "There is no page at this address."),
        ("/en/at/2026/http://[bad", "capture of http://[bad"),
    ],
)
def test_what_is_not_there_is_one_clear_sentence(
    site: httpx.Client, address: str, sentence: str
) -> None:
    answer = site.get(address)
    assert answer.status_code == 404
    assert sentence in answer.text
    assert "<script" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("lang=xx", "“xx” is not one of the choices (en, fr)."),
        ("source=%22%3E%3Cscript%3E", "is not one of the choices (lab)."),
        ("from=tomorrow", "“tomorrow” is not a date such as 2026-01-24."),
        ("from=2026-02-01&to=2026-01-01", "the first day comes after the last one."),
        ("q=x&page=0", "“0” is not a whole number from 1 to 500."),
        ("q=x&page=²", "is not a whole number"),
        ("q=" + "x" * 501, "more than 500 characters."),
    ],
)
def test_a_wrong_form_is_said_field_by_field(site: httpx.Client, query: str, sentence: str) -> None:
    answer = site.get("/en/?q=x&" + query)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "<script>" not in answer.text
    assert site.get("/api/search?" + query).json()["errors"]


@pytest.mark.parametrize(
    "address",
    ["/campaigns", "/campaign/annual-2026", "/jobs", "/job/1", "/sources", "/capture/1", "/?q=x"],
)
def test_every_page_has_the_same_facts_as_json(site: httpx.Client, address: str) -> None:
    joined = "&" if "?" in address else "?"
    by_query = site.get(f"/en{address}{joined}format=json").json()
    by_wish = site.get(f"/fr{address}", headers={"Accept": "application/json"}).json()
    assert by_query == by_wish


def test_the_api_gives_the_facts(site: httpx.Client, archive: SmallArchive) -> None:
    job = site.get("/api/jobs/1").json()
    assert job["job"]["percent"] == 90
    assert job["job"]["status"] == "indexed"
    assert job["segments"][0]["name"] == archive.warc.name
    assert job["events"][0]["what"] == "created"
    campaign = site.get(f"/api/campaigns/{CAMPAIGN}").json()
    assert campaign["ready"] is True
    capture = site.get("/api/captures/1").json()
    assert capture["url"] == SITE + "/en/measles"
    assert capture["payload_bytes"] == len(HOSTILE)
    assert site.get("/api/jobs/77").json()["sentence"] == "There is no job 77."
    paths = site.get("/api/openapi.json").json()["paths"]
    assert {"/api/search", "/api/captures/{capture_id}", "/api/jobs", "/health/ready"} <= set(paths)


def test_head_is_answered_as_get_without_the_body(site: httpx.Client) -> None:
    for address in ("/en/", "/raw/1", "/warc/1"):
        answer = site.head(address)
        assert (answer.status_code, answer.content) == (200, b"")


def test_other_methods_are_refused_with_a_sentence(site: httpx.Client) -> None:
    answer = site.post("/en/jobs")
    assert answer.status_code == 405
    assert "This address can only be read." in answer.text


def test_it_lives_whatever_happens_and_is_ready_with_its_database(
    site: httpx.Client, tmp_path: Path
) -> None:
    assert site.get("/health/live").json()["status"] == "ok"
    assert site.get("/health/ready").json() == {"status": "ok", "database": "ok"}
    lost = build(tmp_path, EXCHANGES[:1])
    app = create_app(lost.settings, lost.database)
    with TestClient(app, raise_server_exceptions=False) as client:
        (tmp_path / "archive.sqlite").unlink()
        assert client.get("/health/live").status_code == 200
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        page = client.get("/en/jobs")
        assert page.status_code == 503
        assert "The archive’s database cannot be reached now" in page.text
        assert "Retry-After" in page.headers


def test_damaged_and_missing_files_are_said_and_the_next_reading_works(tmp_path: Path) -> None:
    archive = build(tmp_path, EXCHANGES[:3])
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False) as client:
        content = archive.warc.read_bytes()
        archive.warc.write_bytes(content[: len(content) // 2])
        damaged = client.get(f"/raw/{archive.ids['/logo.png']}")
        assert damaged.status_code == 404
        assert "is damaged and cannot be shown" in damaged.text
        archive.warc.unlink()
        assert client.get("/raw/1").status_code == 503
        archive.warc.write_bytes(content)
        assert client.get("/raw/1").status_code == 200
