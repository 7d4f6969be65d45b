"""One page under several addresses: a redirect between them never stands for the page itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from tests.lab.captured import html_page
from tests.lab.editions import Elsewhere, at, build_editions

FIRST = at("20250401120000") + timedelta(milliseconds=100)
SAME_SECOND = FIRST + timedelta(milliseconds=300)
LATER = FIRST + timedelta(seconds=7)
STAMP = "20250401120000"
MOST_HOPS = 4
HOST = "www.example.org"


def moved(url: str, to: str, moment: datetime = FIRST) -> Elsewhere:
    """A redirect from one address to another."""
    return Elsewhere(url, b"", "", "301 Moved Permanently", moment, (("Location", to),))


def page(url: str, moment: datetime) -> Elsewhere:
    """A page that says its own address."""
    return Elsewhere(url, html_page("Found", f"This is {url} itself."), moment=moment)


# What was asked for, the page that it led to, and when that was captured.
WAYS = (
    (f"http://{HOST}/scheme", f"https://{HOST}/scheme", SAME_SECOND),
    (f"http://{HOST}/scheme-later", f"https://{HOST}/scheme-later", LATER),
    (f"https://{HOST}/slash", f"https://{HOST}/slash/", SAME_SECOND),
    ("https://example.org/host", f"https://{HOST}/host", SAME_SECOND),
    (f"https://{HOST}/cookie", f"https://{HOST}/cookie", LATER),
)
NEVER = f"https://{HOST}/never"
ONLY = f"http://{HOST}/only"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    captured = [each for old, new, when in WAYS for each in (moved(old, new), page(new, when))]
    captured += [moved(NEVER, NEVER), moved(ONLY, ONLY.replace("http:", "https:"))]
    archive = build_editions(tmp_path_factory.mktemp("spellings"), pages=(tuple(captured),))
    with TestClient(archive.app(), follow_redirects=False) as client:
        yield client


def end_of(site: httpx.Client, address: str) -> httpx.Response:
    """The answer that an address leads to after a few redirects."""
    for _ in range(MOST_HOPS):
        answer = site.get(address)
        if answer.status_code != 302:
            return answer
        address = answer.headers["location"].removeprefix("http://testserver")
    raise AssertionError(f"{address} leads on and on")


def capture_of(site: httpx.Client, url: str, status: int) -> int:
    """The number of the capture of just this spelling."""
    found = site.get("/api/captures", params={"url": url}).json()["captures"]
    return next(each["id"] for each in found if (each["url"], each["status_code"]) == (url, status))


@pytest.mark.parametrize(("old", "new", "when"), WAYS)
def test_a_redirect_to_another_spelling_ends_at_the_page(
    site: httpx.Client, old: str, new: str, when: datetime
) -> None:
    said = f"This is {new} itself."
    for address in (
        f"/at/{STAMP}/{old}",
        f"/at/{STAMP}/{new}",
        f"/raw/{capture_of(site, old, 301)}?ui=fr",
        f"/timegate/{old}",
        f"/timegate/{new}",
    ):
        assert said in end_of(site, address).text, address


@pytest.mark.parametrize(("old", "new", "when"), WAYS[:-1])
def test_each_spelling_has_a_permanent_address_of_its_own(
    site: httpx.Client, old: str, new: str, when: datetime
) -> None:
    for url, status in ((old, 301), (new, 200)):
        number = capture_of(site, url, status)
        permanent = site.get(f"/en/cite/{number}?format=json").json()["permanent_url"]
        leads_to = site.get(urlsplit(permanent).path).headers["location"]
        assert leads_to == f"/en/capture/{number}", url


def test_a_second_with_a_redirect_and_a_page_is_a_memento_of_the_page(site: httpx.Client) -> None:
    old, new, _ = WAYS[0]
    mementos = site.get(f"/timemap/json/{old}").json()["mementos"]["list"]
    assert [each["uri"] for each in mementos] == [f"http://testserver/at/{STAMP}/{new}"]


@pytest.mark.parametrize("url", [NEVER, ONLY])
def test_a_redirect_to_itself_without_a_page_is_said_to_lead_nowhere(
    site: httpx.Client, url: str
) -> None:
    answer = end_of(site, f"/at/{STAMP}/{url}")
    assert answer.status_code == 404
    assert "The archive holds no capture of" in answer.text


def test_another_spelling_stands_for_a_page_that_was_not_asked_for(tmp_path: Path) -> None:
    plain = page(f"http://{HOST}/page", FIRST)
    archive = build_editions(tmp_path, pages=((plain,),))
    with TestClient(archive.app()) as site:
        answer = site.get(f"/at/{STAMP}/https://{HOST}/page")
        assert "itself" in answer.text
