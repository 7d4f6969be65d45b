"""A page's history on the web: a calendar of a year, its captures in turn, the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from healtharchive.model.tables import captures
from healtharchive.web import static_place
from healtharchive.web.app import create_app
from tests.lab.captured import SITE, Page, html_page
from tests.lab.dated_archive import DatedArchive, dated_archive

MANY = 1_205  # captures of one page in one year
FIRST = html_page("Clinics", "The clinics are open on Mondays and on Tuesdays.")
SECOND = html_page("Clinics", "The clinics are closed until the end of the month.")
OTHER_CODE = FIRST.replace(b"<main>", b"<main class=new>")


def at(year: int, month: int, day: int, hour: int = 12) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def often() -> list[Page]:
    begin = at(2025, 1, 1)
    return [
        Page("/often", FIRST, revisit=number > 0, moment=begin + timedelta(hours=7) * number)
        for number in range(MANY)
    ]


CLINIC_PAGES = (
    Page("/clinics", FIRST, moment=at(2024, 12, 31, 23)),
    Page("/clinics", FIRST, revisit=True, moment=at(2026, 1, 1, 0)),
    Page("/clinics", b"gone", status="503 Service Unavailable", moment=at(2026, 1, 2)),
    Page("/clinics", b"", status="302 Found", moment=at(2026, 1, 3)),
    Page("/clinics", OTHER_CODE, moment=at(2026, 1, 4)),
    Page("/clinics", SECOND, moment=at(2026, 2, 28, 1)),
    Page("/clinics", SECOND, revisit=True, moment=at(2026, 2, 28, 23)),
)
CLINICS = quote(f"{SITE}/clinics", safe="")
OFTEN = quote(f"{SITE}/often", safe="")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatedArchive]:
    pages = (*CLINIC_PAGES, *often())
    with dated_archive(tmp_path_factory.mktemp("archive"), pages) as made:
        yield made


@pytest.fixture(scope="module")
def site(archive: DatedArchive) -> Iterator[httpx.Client]:
    with visiting(archive) as client:
        yield client


@contextmanager
def visiting(archive: DatedArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def history(site: httpx.Client, query: str) -> Any:
    answer = site.get(f"/api/history?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def one(node: LexborHTMLParser | LexborNode, selector: str) -> LexborNode:
    found = node.css_first(selector)
    assert found is not None, selector
    return found


def test_the_facts_of_a_year_on_both_databases(tmp_path: Path, database_url: str) -> None:
    with (
        dated_archive(tmp_path, CLINIC_PAGES, database_url) as archive,
        visiting(archive) as site,
    ):
        check_facts(site, archive)


def check_facts(site: httpx.Client, archive: DatedArchive) -> None:
    facts = history(site, f"url={CLINICS}")
    ids = archive.ids(f"{SITE}/clinics")
    assert facts["total"] == 7
    years = [(each["year"], each["captures"]) for each in facts["years"]]
    assert years == [(2024, 1), (2026, 6)]  # by UTC
    assert facts["year"] == 2026  # the latest
    told = [(each["found"], each["change"], each["before"]) for each in facts["captures"]]
    assert told == [
        ("page", "same", ids[0]),  # compared with the year before
        ("error", None, None),
        ("redirect", None, None),
        ("page", "code", ids[1]),
        ("page", "changed", ids[4]),
        ("page", "same", ids[5]),
    ]
    assert [each["id"] for each in facts["captures"]] == ids[1:]
    days = {each["day"]: (each["captures"], each["changed"]) for each in facts["days"]}
    assert days["2026-02-28"] == (2, True)
    assert len(days) == 5
    (first,) = history(site, f"url={CLINICS}&year=2024")["captures"]
    assert (first["change"], first["id"]) == ("first", ids[0])
    none = history(site, f"url={CLINICS}&year=2025")
    assert (none["captures"], none["days"], none["next"]) == ([], [], None)


def test_where_htmx_is_not_installed_the_page_asks_for_no_script(
    site: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    enhanced = site.get(f"/en/history?url={CLINICS}")
    assert enhanced.headers["content-security-policy"].endswith(
        "script-src 'self'; connect-src 'self'"
    )
    monkeypatch.setattr(static_place, "STATIC", tmp_path)
    plain = site.get(f"/en/history?url={CLINICS}")
    assert plain.status_code == 200
    assert "<script" not in plain.text
    contents = [LexborHTMLParser(each.text).css_first("main") for each in (plain, enhanced)]
    assert contents[0].html == contents[1].html


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Error (503)", "Redirect (302)", "Same text, other code", "Content changed"]),
        ("fr", ["Erreur (503)", "Redirection (302)", "Même texte, autre code", "Contenu modifié"]),
    ],
)
def test_the_page_says_in_words_what_its_colours_say(
    site: httpx.Client, archive: DatedArchive, language: str, words: list[str]
) -> None:
    answer = site.get(f"/{language}/history?url={CLINICS}")
    assert answer.status_code == 200
    tree = LexborHTMLParser(answer.text)
    assert [str(each.attributes["src"]).partition("?")[0] for each in tree.css("script")] == [
        "/static/htmx/htmx.min.js"
    ]
    assert one(tree, "h1").text() == f"{SITE}/clinics"
    timeline = one(tree, "ol.timeline").text()
    assert all(each in timeline for each in words)
    marks = {each.text() for each in tree.css(".timeline .mark")}
    assert marks == {"○", "●", "×", "↪"}
    ids = archive.ids(f"{SITE}/clinics")
    compare = [each.attributes["href"] for each in tree.css(".timeline a[href*=compare]")]
    assert compare == [
        f"/{language}/compare?from={ids[1]}&to={ids[4]}",
        f"/{language}/compare?from={ids[4]}&to={ids[5]}",
    ]
    assert len(tree.css(".calendar table")) == 12
    days = {each.attributes["href"]: each for each in tree.css(".calendar a")}
    assert len(days) == 5
    changed = days[f"/{language}/capture/{ids[5]}"]
    assert changed.attributes["class"] == "changed"
    assert "2 captures" in changed.text()
    assert days[f"/{language}/capture/{ids[2]}"].attributes["class"] == "no-page"


def test_a_day_stands_under_its_weekday(site: httpx.Client) -> None:
    tree = LexborHTMLParser(site.get(f"/en/history?url={CLINICS}").text)
    january = tree.css(".calendar table")[0]
    assert one(january, "caption").text() == "January"
    assert [each.text() for each in january.css("th")] == ["Su", "Mo", "Tu", "We", "Th", "Fr", "Sa"]
    first_week = [each.text() for each in january.css("tbody tr")[0].css("td")]
    assert [each[:1] for each in first_week] == ["", "", "", "", "1", "2", "3"]  # a Thursday


def test_thousands_of_captures_are_paged_by_year_and_stay_where_they_are(
    site: httpx.Client, archive: DatedArchive
) -> None:
    facts = history(site, f"url={OFTEN}&year=2025")
    assert sum(each["captures"] for each in facts["days"]) == MANY
    link: str | None = f"/en/history?url={OFTEN}&year=2025"
    seen: list[int] = []
    while link:
        page = site.get(link)
        assert page.status_code == 200
        assert len(page.content) < 100_000
        listed = site.get(link.replace("/en/", "/api/")).json()["captures"]
        assert 0 < len(listed) <= 50
        tree = LexborHTMLParser(page.text)
        shown = [each.attributes["href"] for each in tree.css(".timeline li > p:not(.meta) a")]
        assert shown == [f"/en/capture/{each['id']}" for each in listed]
        assert (tree.css_first(".pages a:not([rel])") is None) == (not seen)  # back to the first
        seen += [each["id"] for each in listed]
        further = tree.css_first(".pages a[rel=next]")
        link = further.attributes["href"] if further else None
    assert seen == archive.ids(f"{SITE}/often")


def test_what_is_captured_meanwhile_moves_no_page(tmp_path: Path, database_url: str) -> None:
    """Neither a capture of before that is indexed late, nor the first one of the next year."""
    begin = at(2025, 6, 1)
    pages = [Page("/often", FIRST, moment=begin + timedelta(hours=each)) for each in range(60)]
    with (
        dated_archive(tmp_path, pages, database_url) as archive,
        visiting(archive) as site,
    ):
        ids = archive.ids(f"{SITE}/often")
        first = site.get(f"/en/history?url={OFTEN}")
        further = one(LexborHTMLParser(first.text), ".pages a[rel=next]").attributes["href"]
        assert further
        with archive.database.begin() as connection:
            query = select(captures).where(captures.c.id == ids[0])
            row = dict(connection.execute(query).one()._mapping)
            del row["id"]
            for number, moment in enumerate((at(2025, 1, 1), at(2026, 1, 1)), start=1):
                late = {"record_offset": 10**9 + number, "captured_at": moment}
                connection.execute(insert(captures).values({**row, **late}))
        rest = site.get(further.replace("/en/", "/api/")).json()
        assert [each["id"] for each in rest["captures"]] == ids[50:]
        assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Name the page as ?url="),
        ("url=javascript%3Aalert(1)", "Name the page as ?url="),
        ("url=http%3A%2F%2F[bad", "no capture of http://[bad"),
        ("url=https%3A%2F%2Fnowhere.example%2F", "no capture of https://nowhere.example/"),
        (f"url={CLINICS}&year=x", "no page at this address"),
        (f"url={CLINICS}&year=0", "no page at this address"),
        (f"url={CLINICS}&year=99999", "no page at this address"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    site: httpx.Client, query: str, sentence: str
) -> None:
    answer = site.get(f"/en/history?{query}")
    assert answer.status_code == 404
    assert sentence in answer.text


@pytest.mark.parametrize(
    "after", ["x", "2026", f"{'9' * 20}-1", f"20260101000000000000-{'9' * 19}", "²-1", "%00"]
)
def test_a_place_that_nobody_was_given_is_refused(site: httpx.Client, after: str) -> None:
    answer = site.get(f"/en/history?url={CLINICS}&after={after}")
    assert answer.status_code == 400
    assert "after" in answer.text


def test_captures_lead_to_the_history_of_their_page(
    site: httpx.Client, archive: DatedArchive
) -> None:
    capture_id = archive.ids(f"{SITE}/clinics")[0]
    tree = LexborHTMLParser(site.get(f"/fr/capture/{capture_id}").text)
    link = one(tree, '#others ~ p a[href^="/fr/history"]').attributes["href"]
    assert link is not None
    assert f"{SITE}/clinics" in site.get(link).text


def test_any_two_captures_of_a_page_can_be_chosen_for_comparison(
    site: httpx.Client, archive: DatedArchive
) -> None:
    ids = archive.ids(f"{SITE}/clinics")
    first, newest = ids[0], ids[-1]
    capture = LexborHTMLParser(site.get(f"/en/capture/{newest}").text)
    choose = str(one(capture, ".actions a[href*='with=']").attributes["href"])
    assert choose.endswith(f"&with={newest}#timeline")
    page = LexborHTMLParser(site.get(choose.partition("#")[0]).text)
    assert str(newest) in str(one(page, ".notice a[href*='/capture/']").attributes["href"])
    live = one(page, ".notice a[href*='to=live']").attributes
    assert live["href"] == f"/en/compare?from={newest}&to=live"
    # Pages only, the older one first, also in another year; not the one that was chosen.
    offered = [each.attributes["href"] for each in page.css(".timeline a[href*='/compare?']")]
    pages = [ids[1], ids[4], ids[5]]
    assert offered == [f"/en/compare?from={each}&to={newest}" for each in pages]
    earlier = str(one(page, ".years a[href*='year=2024']").attributes["href"])
    other_year = LexborHTMLParser(site.get(earlier).text)
    link = str(one(other_year, ".timeline a[href*='/compare?']").attributes["href"])
    assert link == f"/en/compare?from={first}&to={newest}"


def test_a_page_of_the_history_leads_to_the_choice(
    site: httpx.Client, archive: DatedArchive
) -> None:
    ids = archive.ids(f"{SITE}/clinics")
    page = LexborHTMLParser(site.get(f"/fr/history?url={CLINICS}&year=2024").text)
    link = str(one(page, ".timeline a[href*='with=']").attributes["href"])
    assert link == f"/fr/history?url={quote(f'{SITE}/clinics', safe='/')}&with={ids[0]}#timeline"
    assert "Choisissez ci-dessous" in site.get(link.partition("#")[0]).text


@pytest.mark.parametrize("number", ["x", "0", "-1", "99999999999999999999", "999999"])
def test_a_capture_that_is_not_there_cannot_be_chosen(site: httpx.Client, number: str) -> None:
    assert site.get(f"/en/history?url={CLINICS}&with={number}").status_code == 404


def test_a_redirect_or_an_error_is_not_offered_for_comparison(
    site: httpx.Client, archive: DatedArchive
) -> None:
    for capture in archive.ids(f"{SITE}/clinics")[2:4]:
        tree = LexborHTMLParser(site.get(f"/en/capture/{capture}").text)
        assert not tree.css(".actions a[href*='with=']")
