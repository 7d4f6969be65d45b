"""The search page's filters in the box, its facets and its suggestions, as a reader meets them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from starlette.testclient import TestClient

from healtharchive.cli.main import main
from healtharchive.web.app import create_app
from tests.lab.small_archive import Exchange, SmallArchive, build

PAGES = [
    Exchange("/en/measles", b"m", title="Measles", language="en", text="measles vaccine naloxone"),
    Exchange("/en/flu", b"f", title="Influenza", language="en", text="flu vaccine for children"),
    Exchange("/fr/rougeole", b"r", title="Rougeole", language="fr", text="vaccine et rougeole"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    return build(tmp_path_factory.mktemp("archive"), PAGES)


@pytest.fixture(scope="module")
def site(archive: SmallArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def tree_of(site: httpx.Client, address: str) -> LexborHTMLParser:
    answer = site.get(address)
    assert answer.status_code == 200
    return LexborHTMLParser(answer.text)


def links(tree: LexborHTMLParser, where: str) -> dict[str, str]:
    return {
        " ".join(each.text(deep=True).split()): each.attributes["href"] or ""
        for each in tree.css(where)
    }


def test_a_filter_in_the_box_is_a_chip_that_can_be_taken_away(site: httpx.Client) -> None:
    tree = tree_of(site, "/en/?q=vaccine+-site:example.org/fr+title:measles&lang=en")
    chips = links(tree, ".chips a")
    assert [name.removesuffix(" remove×") for name in chips] == [
        "Language of the page: English",
        "Not site: example.org/fr",
        "Title: measles",
    ]
    without = list(chips.values())
    assert without[1] == "/en/?q=vaccine+title%3Ameasles&lang=en"
    assert len(tree.css("ol.hits > li")) == 1


def test_facets_count_and_lead_to_what_they_count(site: httpx.Client) -> None:
    tree = tree_of(site, "/fr/?q=vaccine")
    headings = [each.text() for each in tree.css(".facets h3")]
    assert headings == ["Source", "Campagne", "Langue", "Type", "Année"]
    found = {}
    for line in tree.css(".facets li"):
        link, count = line.css_first("a"), line.css_first(".count")
        assert link is not None
        assert count is not None
        found[link.text()] = (link.attributes["href"] or "", int(count.text()))
    assert (found["Anglais"][1], found["Français"][1], found["2026"][1]) == (2, 1, 3)
    for address, count in found.values():
        assert len(tree_of(site, address).css("ol.hits > li")) == count


def test_a_chosen_facet_is_marked_and_its_link_drops_it(site: httpx.Client) -> None:
    for address in ("/en/?q=vaccine&lang=fr", "/en/?q=vaccine+lang:fr"):
        chosen = links(tree_of(site, address), ".facets [aria-current]")
        assert chosen == {"French chosen; remove": "/en/?q=vaccine"}


@pytest.mark.parametrize("text", ["before:yesterday", "colour:red", "type:exe", "lang:english"])
def test_what_is_no_filter_is_told_in_one_sentence(site: httpx.Client, text: str) -> None:
    for language in ("en", "fr"):
        notice = tree_of(site, f"/{language}/?q=vaccine+{text}").css("section > .notice")
        assert len(notice) == 1
        assert text in notice[0].text()
    problems = site.get(f"/api/search?q=vaccine+{text}").json()["problems"]
    assert [each["written"] for each in problems] == [text]


def test_a_misspelling_leads_to_what_was_meant(site: httpx.Client) -> None:
    meant = links(tree_of(site, "/en/?q=mesles+lang:en&sort=newest"), ".spelling a")
    assert meant == {"measles lang:en": "/en/?q=measles+lang%3Aen&sort=newest"}
    assert site.get("/api/search?q=measles").json()["spelling"] is None


def test_a_search_without_results_says_which_filter_to_drop(site: httpx.Client) -> None:
    tree = tree_of(site, "/en/?q=measles&lang=fr&from=2020-01-01")
    assert "/en/?q=measles&from=2020-01-01" in links(tree, "section li a").values()


def test_pages_with_most_of_the_words_are_told_apart(site: httpx.Client) -> None:
    answer = site.get("/en/?q=measles+vaccine+absent")
    assert "No page has all the words" in answer.text
    facts = site.get("/api/search?q=measles+vaccine+absent").json()
    assert (facts["exact"], facts["total"]) == (0, 1)


def test_the_command_names_what_is_no_filter_and_what_was_meant(
    archive: SmallArchive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEALTHARCHIVE_SEARCH_DIR", str(archive.settings.search_dir))
    assert main(["search", "mesles before:noon"]) == 0
    assert "'before:noon' names no date" in capsys.readouterr().err
    assert main(["search", "mesles"]) == 0
    assert "Did you mean: measles (1 found)" in capsys.readouterr().out
