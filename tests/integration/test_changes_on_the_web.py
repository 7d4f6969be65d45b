"""Comparisons and changes as readers and programs get them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import Connection, func, select, update
from starlette.testclient import TestClient

from healtharchive.model import schema
from healtharchive.model.changes import note_compared
from healtharchive.model.database import Database
from healtharchive.model.samples import sample_of_job
from healtharchive.model.tables import captures, segments
from healtharchive.search.compare import texts
from healtharchive.search.compare.edition import compare_after
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.settings import Settings, load
from healtharchive.web.app import app_of, create_site
from healtharchive.web.comparers import Comparers
from tests.lab.captured import (
    FIRST_MOMENT,
    SITE,
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    page_record,
)
from tests.lab.queue import ACTOR

ATOM = {"a": "http://www.w3.org/2005/Atom"}
LATER = FIRST_MOMENT + timedelta(days=365)
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
</head><body><nav>Menu</nav><main><h1>{title}</h1><h2>Dosage</h2><p>Adults take 5 mg once daily with
water. Children of {path} take 2 mg.</p><h2>Safety</h2><p>You should not drive.</p><p>See a doctor
when you feel <b>ill</b> &lt;script&gt;alert(1)&lt;/script&gt;.</p></main></body></html>"""
EDITS = {
    "/dose": ("5 mg", "50 mg"),
    "/safety": ("should not", "should"),
    "/wording": ("See a doctor", "Visit a doctor"),
    "/menu": ("<nav>Menu", "<nav>Another menu"),
}


def html(path: str, title: str = "Medicine & <co>") -> str:
    return PAGE.format(language="en", title=title.replace("&", "&amp;"), path=path)


def page(path: str, body: str, moment: datetime = FIRST_MOMENT, **more: object) -> Page:
    return Page(path, body.encode(), moment=moment, **more)  # type: ignore[arg-type]


class Archive:
    """An archive of two editions in a directory."""

    def __init__(self, root: Path) -> None:
        data = {"DATA_DIR": str(root), "DATABASE_URL": f"sqlite:///{root / 'archive.sqlite'}"}
        self.settings: Settings = load({f"HEALTHARCHIVE_{k}": v for k, v in data.items()})
        self.database = Database(self.settings.database_url)
        schema.upgrade(self.database)
        self.root = root
        self.edition("annual-2026", *(page(path, html(path)) for path in EDITS))
        self.edition(
            "annual-2027",
            *(page(path, html(path).replace(*edit), LATER) for path, edit in EDITS.items()),
            page("/style.css", "body {}", LATER, mime="text/css"),
            page("/picture", "", LATER, mime="image/png"),
        )

    def edition(self, campaign: str, *pages: Page) -> None:
        order = completed_job(self.database, self.root / "jobs", "lab", campaign)
        add_segment(order, [page_record(each) for each in pages])
        held, order = claim_index(self.database, order)
        index = SearchIndex(self.settings.search_dir)
        tools = Tools(self.database, index, ACTOR, lambda _: None, lambda: None)
        index_job(order, tools)
        compare_after(order, tools)
        finish_index(self.database, held)

    def pair(self, path: str) -> tuple[int, int]:
        with self.database.read() as connection:
            query = (
                select(captures.c.id)
                .where(captures.c.url == SITE + path)
                .order_by(captures.c.captured_at)
            )
            old, new = connection.execute(query).scalars()
        return old, new


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def site(archive: Archive) -> Iterator[httpx.Client]:
    app = app_of(create_site(archive.settings, archive.database))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def compare(archive: Archive, path: str, view: str = "inline", language: str = "en") -> str:
    old, new = archive.pair(path)
    return f"/{language}/compare?from={old}&to={new}&view={view}"


def written(node: LexborHTMLParser, selector: str) -> list[str]:
    return [" ".join(each.text().split()) for each in node.css(selector)]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("view", ["inline", "side"])
def test_a_comparison_marks_what_changed_and_folds_the_rest(
    site: httpx.Client, archive: Archive, view: str, language: str
) -> None:
    answer = site.get(compare(archive, "/dose", view, language))
    assert answer.status_code == 200
    tree = LexborHTMLParser(answer.text)
    removed = {"en": "removed: quantity 5 mg", "fr": "retiré\u00a0: quantité 5 mg"}[language]
    added = {"en": "added: quantity 50 mg", "fr": "ajouté\u00a0: quantité 50 mg"}[language]
    assert written(tree, "del") == [removed.replace("\u00a0", " ")]
    assert written(tree, "ins") == [added.replace("\u00a0", " ")]
    assert written(tree, ".part.changed > h2")[0].startswith("Dosage")
    folded = written(tree, ".part.same > details > summary")
    assert [each.split(" –")[0] for each in folded][-1] == "Safety"
    assert tree.css("script") == []
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert len(tree.css("h1")) == 1
    swap = [each.attributes["href"] or "" for each in tree.css(".actions a")]
    old, new = archive.pair("/dose")
    assert any(f"from={new}" in each and f"to={old}" in each for each in swap)


def test_the_same_facts_are_json(site: httpx.Client, archive: Archive) -> None:
    old, new = archive.pair("/safety")
    facts = site.get(f"/api/compare?from={old}&to={new}").json()
    assert facts["score"] > 0.7
    assert (facts["removed_words"], facts["added_words"]) == (1, 0)
    assert facts["structured"] is True
    (section,) = [
        each
        for each in facts["sections"]
        if any(piece["kind"] != "same" for piece in each["pieces"])
    ]
    assert section["heading"] == "Safety"
    back = site.get(f"/api/compare?from={new}&to={old}").json()
    assert back["score"] == facts["score"]
    assert (back["removed_words"], back["added_words"]) == (0, 1)


def test_a_changed_menu_is_no_change(site: httpx.Client, archive: Archive) -> None:
    text = site.get(compare(archive, "/menu")).text
    assert "Both captures say the same." in text
    assert "<ins>" not in text


def test_captures_of_two_addresses_may_be_compared_and_it_says_so(
    site: httpx.Client, archive: Archive
) -> None:
    old, new = archive.pair("/dose")[0], archive.pair("/safety")[1]
    answer = site.get(f"/en/compare?from={old}&to={new}")
    assert "These are captures of two addresses." in answer.text


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("", 400, "The parameter from is missing."),
        ("from=1", 400, "The parameter to is missing."),
        ("from=1&to=x", 400, "must be a whole number"),
        ("from=1&to=2&view=x", 400, "must be one of: inline, side"),
        ("from=1&to=999999", 404, "There are no two such captures"),
        ("from=1&to=99999999999999999999999", 400, "must be a whole number"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    site: httpx.Client, query: str, status: int, sentence: str
) -> None:
    answer = site.get(f"/en/compare?{query}")
    assert (answer.status_code, sentence in answer.text) == (status, True)


def test_a_style_sheet_has_no_text_to_compare(site: httpx.Client, archive: Archive) -> None:
    with archive.database.read() as connection:
        query = select(captures.c.id).where(captures.c.mime == "text/css")
        style = connection.execute(query).scalar_one()
    answer = site.get(f"/en/compare?from={style}&to={archive.pair('/dose')[1]}")
    assert answer.status_code == 404
    assert "has no text that could be compared" in answer.text


def test_without_its_files_the_indexed_texts_are_compared(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with archive.database.begin() as connection:
        connection.execute(update(segments).values(path=str(tmp_path / "away.warc.gz")))
    app = app_of(create_site(archive.settings, archive.database))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get(compare(archive, "/dose"))
        assert answer.status_code == 200
        assert "sections are guessed" in answer.text
        assert written(LexborHTMLParser(answer.text), "ins") == ["added: quantity 50 mg"]
        SearchIndex(archive.settings.search_dir).clear()
        gone = client.get(compare(archive, "/dose"))
        assert gone.status_code == 503
        assert "Retry-After" in gone.headers


def test_a_child_that_hangs_is_left_after_the_deadline(archive: Archive) -> None:
    at_once = replace(
        create_site(archive.settings, archive.database),
        comparers=Comparers(deadline_seconds=0.001),
    )
    with TestClient(app_of(at_once), raise_server_exceptions=False) as client:
        assert client.get(compare(archive, "/dose")).status_code == 503


def test_what_sites_have_in_common_is_found_once_and_in_turn(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[int] = []

    def sample(connection: Connection, job_id: int, size: int) -> list[str]:
        sampled.append(job_id)
        return sample_of_job(connection, job_id, size)

    monkeypatch.setattr(texts, "sample_of_job", sample)
    comparers = Comparers(limit=1)
    comparers._turns._queue_seconds = 0.01
    site = replace(create_site(archive.settings, archive.database), comparers=comparers)
    with TestClient(app_of(site), raise_server_exceptions=False) as client:
        comparers._turns.take()
        assert client.get(compare(archive, "/menu")).status_code == 503
        assert sampled == []
        comparers._turns.give_back()
        for path in ("/menu", "/dose"):
            assert client.get(compare(archive, path)).status_code == 200
            assert len(sampled) == 2  # one for each edition
        with archive.database.begin() as connection:
            note_compared(connection, sampled[0], 0)
        assert client.get(compare(archive, "/menu")).status_code == 200
        assert sampled[2:] == sampled[:1]
    with archive.database.begin() as connection:
        newest = select(func.max(captures.c.id)).where(captures.c.job_id == sampled[0])
        note_compared(connection, sampled[0], connection.execute(newest).scalar_one())


def test_changes_are_listed_newest_or_gravest_first(site: httpx.Client) -> None:
    ranked = site.get("/api/changes?order=score").json()["changes"]
    assert [each["url"].removeprefix(SITE) for each in ranked][-1] == "/wording"
    assert [each["score"] for each in ranked] == sorted(
        (each["score"] for each in ranked), reverse=True
    )
    grave = site.get("/api/changes?source=lab&min_score=0.7&since=2027-01-01").json()["changes"]
    assert {each["url"].removeprefix(SITE) for each in grave} == {"/dose", "/safety"}
    assert site.get("/api/changes?source=other").json()["changes"] == []
    assert site.get("/api/changes?since=2028").json()["changes"] == []


@pytest.mark.parametrize("order", ["time", "score"])
def test_pages_of_changes_follow_each_other(site: httpx.Client, order: str) -> None:
    whole = site.get(f"/api/changes?order={order}").json()["changes"]
    seen, after = [], ""
    while after is not None:
        part = site.get(f"/api/changes?order={order}&limit=1&after={after}").json()
        seen += part["changes"]
        after = part["next"]
    assert seen == whole


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=WzEsMl0", "min_score=2", "min_score=nan", "since=tomorrow", "order=x"],
)
def test_a_wrong_wish_is_one_sentence(site: httpx.Client, query: str) -> None:
    answer = site.get(f"/api/changes?{query}")
    assert answer.status_code == 400
    assert answer.json()["sentence"]


@pytest.mark.parametrize(
    ("order", "value", "number"),
    [
        ("time", "2026-01-24T00:00:00+00:00", -(10**30)),
        ("time", "2026-01-24T00:00:00+00:00", -1),
        ("time", "2026-01-24T00:00:00+00:00", 10**30),
        ("time", "2026-01-24T00:00:00", 1),
        ("time", "0001-01-01T00:00:00+14:00", 1),
        ("score", float("nan"), 1),
        ("score", float("inf"), 1),
        ("score", 0.5, -(10**30)),
    ],
)
def test_a_place_that_nobody_was_given_is_refused(
    site: httpx.Client, order: str, value: object, number: int
) -> None:
    after = base64.urlsafe_b64encode(json.dumps([value, number]).encode()).decode()
    answer = site.get("/api/changes", params={"order": order, "after": after})
    assert answer.status_code == 400
    assert "after" in answer.json()["sentence"]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_of_changes_leads_to_their_comparisons(
    site: httpx.Client, archive: Archive, language: str
) -> None:
    answer = site.get(f"/{language}/changes?order=score&min_score=0.7")
    tree = LexborHTMLParser(answer.text)
    links = [each.attributes["href"] or "" for each in tree.css("ol.hits h2 a")]
    old, new = archive.pair("/dose")
    assert f"/{language}/compare?from={old}&to={new}" in links
    assert "<co>" not in answer.text
    for field in tree.css("input:not([type=hidden]), select"):
        assert tree.css_first(f'label[for="{field.attributes["id"]}"]') is not None
    assert tree.css_first(f'nav a[href="/{language}/changes"][aria-current="page"]') is not None


def test_the_feed_is_atom(site: httpx.Client, archive: Archive) -> None:
    answer = site.get("/api/changes.atom?source=lab&limit=2", headers={"Accept-Language": "fr"})
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)
    assert feed.tag == "{http://www.w3.org/2005/Atom}feed"
    for name in ("id", "title", "updated"):  # RFC 4287 §4.1.1
        assert len(feed.findall(f"a:{name}", ATOM)) == 1
    assert feed.findtext("a:author/a:name", namespaces=ATOM)
    links = {each.get("rel"): each.get("href") or "" for each in feed.findall("a:link", ATOM)}
    assert {"self", "alternate", "next"} <= set(links)
    entries = feed.findall("a:entry", ATOM)
    assert len(entries) == 2
    names = set()
    for entry in entries:  # §4.1.2
        for name in ("id", "title", "updated"):
            assert len(entry.findall(f"a:{name}", ATOM)) == 1
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", entry.findtext("a:id", "", ATOM))
        moment = entry.findtext("a:updated", "", ATOM)
        assert datetime.fromisoformat(moment) == LATER
        link = entry.find("a:link[@rel='alternate']", ATOM)
        assert link is not None
        assert site.get((link.get("href") or "").removeprefix("http://testserver")).is_success
        names.add(entry.findtext("a:id", "", ATOM))
    following = ElementTree.fromstring(
        site.get(links["next"].removeprefix("http://testserver")).content
    )
    assert names.isdisjoint(
        each.findtext("a:id", "", ATOM) for each in following.findall("a:entry", ATOM)
    )
    again = site.get(
        "/api/changes.atom?source=lab&limit=2",
        headers={"Accept-Language": "fr", "If-None-Match": answer.headers["etag"]},
    )
    assert again.status_code == 304


@pytest.mark.parametrize("page", ["changes", "history"])
def test_a_page_leads_to_its_own_feed_in_its_language(
    site: httpx.Client, archive: Archive, page: str
) -> None:
    url = f"{SITE}/dose"
    shown = LexborHTMLParser(site.get(f"/fr/{page}", params={"url": url}).text)
    offered = shown.css_first('head link[rel="alternate"][type="application/atom+xml"]')
    assert offered is not None
    answer = site.get(str(offered.attributes["href"]), headers={"Accept-Language": "en"})
    feed = ElementTree.fromstring(answer.content)
    assert feed.get("{http://www.w3.org/XML/1998/namespace}lang") == "fr"
    assert feed.findtext("a:title", namespaces=ATOM) == f"{url} – Changements – HealthArchive"
    assert len(feed.findall("a:entry", ATOM)) == 1
    links = {each.get("rel"): each.get("href") or "" for each in feed.findall("a:link", ATOM)}
    people = site.get(links["alternate"].removeprefix("http://testserver"))
    assert [each.text() for each in LexborHTMLParser(people.text).css(".hits .url")] == [url]


def test_an_empty_feed_is_a_feed(site: httpx.Client) -> None:
    feed = ElementTree.fromstring(site.get("/api/changes.atom?source=none").content)
    assert feed.findtext("a:updated", namespaces=ATOM) == "1970-01-01T00:00:00Z"
    assert feed.findall("a:entry", ATOM) == []
