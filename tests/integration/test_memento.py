"""Memento over a real archive and a real server: TimeGate, TimeMap, and what a memento says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from healtharchive.warc.cdxj import stored_key
from healtharchive.web import memento
from healtharchive.web.original import memento_path, original_url
from tests.lab.captured import Page
from tests.lab.editions import FIRST, PAGES, Editions, at, build_editions, serving

PAGE = "https://www.example.org/page"
QUERY = "https://www.example.org/page?b=2&a=%C3%A9%20x"
DATES = {
    "2024": "Wed, 10 Jan 2024 08:00:00 GMT",
    "202501": "Fri, 10 Jan 2025 08:00:00 GMT",
    "202507": "Sat, 12 Jul 2025 08:00:00 GMT",
    "2026": "Sat, 10 Jan 2026 08:00:00 GMT",
}
STAMPS = ("20240110080000", "20250110080000", "20250712080000", "20260110080000")
LINK = re.compile(r"<([^>]*)>; ([^<]*?)(?:,\s*(?=<)|\s*$)")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Editions:
    return build_editions(tmp_path_factory.mktemp("editions"))


@pytest.fixture(scope="module")
def server(archive: Editions) -> Iterator[str]:
    with serving(archive.app()) as address:
        yield address


@pytest.fixture(scope="module")
def site(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, trust_env=False, timeout=30.0) as client:
        yield client


def links(text: str) -> dict[str, dict[str, str]]:
    """The parameters of each link by its address."""
    return {
        address: dict(re.findall(r'(\w+)="([^"]*)"', parameters))
        for address, parameters in LINK.findall(text)
    }


def asked(site: httpx.Client, moment: str | None, url: str = PAGE) -> httpx.Response:
    headers = {} if moment is None else {"Accept-Datetime": moment}
    return site.get(f"/timegate/{url}", headers=headers)


@pytest.mark.parametrize(
    ("moment", "stamp"),
    [
        (None, STAMPS[3]),
        ("Thu, 01 Jan 1970 00:00:00 GMT", STAMPS[0]),
        ("Fri, 31 Dec 9999 23:59:59 GMT", STAMPS[3]),
        (DATES["2024"], STAMPS[0]),
        (DATES["202501"], STAMPS[1]),  # that very one, though it is a 404
        ("Fri, 10 Jan 2025 08:00:01 GMT", STAMPS[2]),  # a page near it rather than a 404
        (DATES["2026"], STAMPS[3]),
    ],
)
def test_the_timegate_leads_to_the_memento_of_the_moment(
    site: httpx.Client, server: str, moment: str | None, stamp: str
) -> None:
    answer = asked(site, moment)
    assert answer.status_code == 302
    assert answer.headers["location"] == f"{server}/at/{stamp}/{PAGE}"
    assert answer.headers["vary"] == "accept-datetime"
    assert "memento-datetime" not in answer.headers
    assert (
        asked(site, moment, quote(PAGE, safe="")).headers["location"].endswith(stamp + "/" + PAGE)
    )


def test_the_timegate_names_the_neighbours(site: httpx.Client, server: str) -> None:
    answer = asked(site, DATES["202507"])
    found = links(answer.headers["link"])
    assert {address: each["rel"] for address, each in found.items()} == {
        PAGE: "original",
        f"{server}/timemap/link/{PAGE}": "timemap",
        f"{server}/at/{STAMPS[0]}/{PAGE}": "first memento",
        f"{server}/at/{STAMPS[1]}/{PAGE}": "prev memento",
        f"{server}/at/{STAMPS[2]}/{PAGE}": "memento",
        f"{server}/at/{STAMPS[3]}/{PAGE}": "next last memento",
    }
    dated = [each["datetime"] for each in found.values() if "memento" in each["rel"]]
    assert dated == list(DATES.values())
    alone = links(asked(site, None, QUERY).headers["link"])
    assert alone[f"{server}/at/20240110080001/{QUERY}"]["rel"] == "first last memento"


@pytest.mark.parametrize(
    "moment",
    [
        "",
        "yesterday",
        "2025-01-10",
        "Fri, 10 Jan 2025 08:00:00 +0100",
        "Fri, 99 Jan 2025 08:00:00 GMT",
    ],
)
def test_a_bad_accept_datetime_is_400(site: httpx.Client, moment: str) -> None:
    answer = site.get(
        f"/timegate/{PAGE}", headers={"Accept-Datetime": moment, "Accept": "application/json"}
    )
    assert answer.status_code == 400
    assert "must be an HTTP date" in answer.json()["sentence"]


@pytest.mark.parametrize("address", ["timegate", "timemap/link", "timemap/json", "timemap/cdxj"])
def test_what_was_never_captured_is_404(site: httpx.Client, address: str) -> None:
    answer = site.get(f"/{address}/https://www.example.org/never")
    assert answer.status_code == 404
    assert "The archive holds no capture of https://www.example.org/never." in answer.text
    assert site.get(f"/{address}/ftp://example.org/").status_code == 404
    assert site.get(f"/{address}/").status_code == 404


def test_a_timemap_lists_every_memento_once(site: httpx.Client, server: str) -> None:
    answer = site.get(f"/timemap/link/{PAGE}")
    assert answer.headers["content-type"] == "application/link-format"
    found = links(answer.text)
    assert found.pop(PAGE) == {"rel": "original"}
    assert found.pop(f"{server}/timegate/{PAGE}") == {"rel": "timegate"}
    assert found.pop(f"{server}/timemap/link/{PAGE}") == {
        "rel": "self",
        "type": "application/link-format",
        "from": DATES["2024"],
        "until": DATES["2026"],
    }
    assert list(found) == [f"{server}/at/{stamp}/{PAGE}" for stamp in STAMPS]
    relations = [each["rel"] for each in found.values()]
    assert relations == ["first memento", "memento", "memento", "last memento"]


def test_a_timemap_as_json_and_cdxj_has_the_same(site: httpx.Client, server: str) -> None:
    found = site.get(f"/timemap/json/{PAGE}").json()
    assert found["original_uri"] == PAGE
    listed = [each["uri"] for each in found["mementos"]["list"]]
    assert listed == [f"{server}/at/{stamp}/{PAGE}" for stamp in STAMPS]
    assert found["mementos"]["last"]["datetime"] == "2026-01-10T08:00:00Z"
    lines = site.get(f"/timemap/cdxj/{PAGE}").text
    assert [line.split()[1] for line in lines.splitlines()] == list(STAMPS)
    assert site.get(f"/timemap/xml/{PAGE}").status_code == 404


@pytest.mark.parametrize("url", [QUERY, quote(QUERY, safe="")])
def test_a_url_keeps_its_query_and_escapes_all_the_way(
    site: httpx.Client, server: str, url: str
) -> None:
    answer = asked(site, None, url)
    assert answer.headers["location"] == f"{server}/at/20240110080001/{QUERY}"
    assert site.get(answer.headers["location"]).headers["memento-datetime"].endswith("08:00:01 GMT")
    assert f"<{QUERY}>" in site.get(f"/timemap/link/{url}").text
    page = site.get(f"/en/at/2024/{url}")
    assert re.fullmatch(r"/en/capture/\d+", page.headers["location"])


def test_a_memento_says_its_moment_and_where_the_others_are(
    site: httpx.Client, server: str
) -> None:
    answer = site.get(f"/at/{STAMPS[0]}/{PAGE}")
    assert answer.status_code == 200
    assert answer.headers["memento-datetime"] == DATES["2024"]
    assert "content-location" not in answer.headers
    assert {address: each["rel"] for address, each in links(answer.headers["link"]).items()} == {
        PAGE: "original",
        f"{server}/timegate/{PAGE}": "timegate",
        f"{server}/timemap/link/{PAGE}": "timemap",
        f"{server}/at/{STAMPS[0]}/{PAGE}": "memento",
    }


def test_another_moment_is_answered_with_the_nearest_memento_and_its_place(
    site: httpx.Client,
) -> None:
    answer = site.get(f"/at/2024/{PAGE}")
    assert answer.status_code == 200
    assert answer.headers["content-location"] == f"/at/{STAMPS[0]}/{PAGE}"
    assert answer.headers["memento-datetime"] == DATES["2024"]
    exact = site.get(answer.headers["content-location"])
    assert exact.content == answer.content


def test_an_error_and_a_redirect_are_mementos_too(site: httpx.Client) -> None:
    gone = site.get(f"/at/{STAMPS[1]}/{PAGE}")
    assert gone.headers["memento-datetime"] == DATES["202501"]
    assert "gone" in gone.text
    moved = site.get("/at/20240110080005/https://www.example.org/old")
    assert moved.status_code == 302
    assert moved.headers["memento-datetime"] == "Wed, 10 Jan 2024 08:00:05 GMT"
    assert "/at/20240110080005/" in moved.headers["location"]


def test_a_body_by_its_number_is_a_memento_too(site: httpx.Client, server: str) -> None:
    answer = site.get("/raw/1")
    assert answer.headers["memento-datetime"] == DATES["2024"]
    assert links(answer.headers["link"])[f"{server}/at/{STAMPS[0]}/{PAGE}"]["rel"] == "memento"


def test_a_big_timemap_comes_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memento, "PAGE_MEMENTOS", 7)
    first = at("20240110080000")
    many = tuple(
        # Two captures in one second are one memento.
        Page("/page", FIRST, moment=first + timedelta(hours=number // 2))
        for number in range(40)
    )
    archive = build_editions(tmp_path, pages=(many,))
    with TestClient(archive.app()) as site:
        address = f"/timemap/link/{PAGE}"
        seen: list[str] = []
        for _ in range(5):
            found = links(site.get(address).text)
            here = [key for key, each in found.items() if "memento" in each["rel"]]
            assert len(here) <= 7
            seen += here
            ours = next(each for each in found.values() if each["rel"] == "self")
            assert ours["from"] == found[here[0]]["datetime"]
            assert ours["until"] == found[here[-1]]["datetime"]
            first_page = f"http://testserver/timemap/link/{PAGE}"
            others = [key for key, each in found.items() if each["rel"] == "timemap"]
            later = [key for key in others if key != first_page]
            if not later:
                break
            address = later[0].removeprefix("http://testserver")
        assert len(seen) == len(set(seen)) == 20
        assert seen == sorted(seen)
        pages = 0
        address = f"/timemap/json/{PAGE}"
        while address:
            told = site.get(address).json()
            pages += 1
            address = told.get("next", "").removeprefix("http://testserver")
        assert pages == 3


@given(st.text(st.characters(exclude_categories=("C",)), max_size=40))
def test_a_url_in_an_address_of_ours_finds_the_same_page(rest: str) -> None:
    url = "https://example.org/" + rest.replace("#", "").replace(" ", "%20")
    path, _, query = memento_path(url, at(STAMPS[0])).partition("?")
    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [],
    }
    if url.isprintable():
        assert stored_key(original_url(Request(scope), 3)) == stored_key(url)


def test_the_archive_of_this_test_is_what_it_says() -> None:
    assert [len(edition) for edition in PAGES] == [10, 4]
