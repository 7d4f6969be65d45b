"""A capture compared with its site's page of today: fetched with the crawl's own guards."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from healtharchive.model.source import ScopeRules, Seed, SourceDefinition
from healtharchive.model.sources import upsert_source
from healtharchive.model.tables import captures
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.compare import live
from healtharchive.search.compare.live import LiveFailed, LiveOrder, fetch_live
from healtharchive.search.compare.request import Compared, CompareOrder, Side
from healtharchive.web.app import app_of, create_site
from healtharchive.web.comparers import Comparers, LiveUnavailable
from tests.integration.test_changes_on_the_web import Archive, html
from tests.lab.captured import Page
from tests.lab.queue import ACTOR
from tests.lab.small_site import Answer, SmallSite, answering, redirect

AGENT = "HealthArchive/lab"
HOST = "127.0.0.1"
TODAY = html("/page").replace("5 mg", "50 mg").encode()


@dataclass(frozen=True, slots=True)
class AtSite(Page):
    """A page of the small site."""

    base: str = ""

    @property
    def url(self) -> str:
        return self.base + self.path


def order_for(site: SmallSite, path: str = "/page", **changes: object) -> LiveOrder:
    order = LiveOrder(site.url + path, AGENT, (HOST,), (HOST,))
    return replace(order, **changes)  # type: ignore[arg-type]


@contextmanager
def one_page(*answers: tuple[str, Answer]) -> Iterator[SmallSite]:
    known = {"/page": Answer(TODAY), **dict(answers)}
    with answering(lambda _, path: known.get(path, Answer(b"", 404))) as site:
        yield site


def test_the_page_of_today_is_read() -> None:
    with one_page() as site:
        found = fetch_live(order_for(site))
        assert "50 mg" in found.page.text
        assert site.asked == [(HOST, "/robots.txt"), (HOST, "/page")]


def test_a_fetch_that_is_killed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    meanwhile: list[list[str]] = []

    def page(_host: str, _path: str) -> Answer:
        meanwhile.append(os.listdir(tmp_path))
        return Answer(TODAY)

    with answering(page) as site:
        fetch_live(order_for(site, obey_robots=False))
    assert meanwhile == [[]]


def test_nobody_is_led_to_a_private_address() -> None:
    with one_page() as site:
        with pytest.raises(LiveFailed, match="a loopback address"):
            fetch_live(order_for(site, allow_private_hosts=()))

        async def rebound(host: str, port: int) -> tuple[str, ...]:
            return ("127.0.0.1",)

        elsewhere = f"http://health.example:{site.port}/page"
        order = order_for(site, url=elsewhere, hosts=("health.example",), allow_private_hosts=())
        with pytest.raises(LiveFailed, match="a loopback address"):
            fetch_live(order, rebound)
        assert site.asked == []


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "http://localhost/", "https://elsewhere.example/"]
)
def test_a_redirect_leads_to_no_other_host(location: str) -> None:
    moved = ("/moved", redirect(location))
    with one_page(moved) as site, pytest.raises(LiveFailed, match="not of its source"):
        fetch_live(order_for(site, "/moved"))


def test_redirects_within_the_source_are_followed_but_not_for_ever() -> None:
    with one_page(("/moved", redirect("/page")), ("/loop", redirect("/loop"))) as site:
        assert fetch_live(order_for(site, "/moved")).url == site.url + "/page"
        with pytest.raises(LiveFailed, match="more than 5 times"):
            fetch_live(order_for(site, "/loop"))


def test_robots_are_obeyed_at_every_step() -> None:
    rules = Answer(b"User-agent: *\nDisallow: /page\n")
    with one_page(("/robots.txt", rules), ("/moved", redirect("/page"))) as site:
        with pytest.raises(LiveFailed, match="does not allow"):
            fetch_live(order_for(site, "/moved"))
        assert (HOST, "/page") not in site.asked
        assert fetch_live(order_for(site, "/moved", obey_robots=False)).page.text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"", 500), "answers 500"),
        (Answer(b"", 404), "answers 404"),
        (Answer(b"GIF89a", 200, (("Content-Type", "image/gif"),)), "no page"),
    ],
)
def test_what_is_no_page_is_said(answer: Answer, reason: str) -> None:
    with one_page(("/page", answer)) as site, pytest.raises(LiveFailed, match=reason):
        fetch_live(order_for(site))


def test_five_redirects_are_followed_and_no_sixth() -> None:
    steps = [(f"/{left}", redirect(f"/{left - 1}" if left > 1 else "/page")) for left in range(7)]
    with one_page(*steps) as site:
        assert fetch_live(order_for(site, "/5")).url == site.url + "/page"
        with pytest.raises(LiveFailed, match="more than 5 times"):
            fetch_live(order_for(site, "/6"))


HUGE = b"<html><body>" + b"<p>So much text.</p>" * 50_000
GZIPPED = gzip.compress(TODAY)


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (HUGE, "identity", "not all there .length"),
        (gzip.compress(HUGE), "gzip", "longer than 20000 bytes"),
        (GZIPPED[:-20], "gzip", "cut off"),
        (GZIPPED[:20] + b"damaged" + GZIPPED[27:], "gzip", "damaged"),
    ],
)
def test_a_page_that_is_not_whole_is_not_compared(
    monkeypatch: pytest.MonkeyPatch, body: bytes, coding: str, reason: str
) -> None:
    monkeypatch.setattr(live, "PAGE_BYTES", 20_000)
    headers = (("Content-Type", "text/html"), ("Content-Encoding", coding))
    with (
        one_page(("/page", Answer(body, 200, headers))) as site,
        pytest.raises(LiveFailed, match=reason),
    ):
        fetch_live(order_for(site))


HANGING = """
import runpy, socket, threading
from healtharchive.search.compare import live
live.TOTAL_SECONDS = 0.5
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
runpy.run_module("healtharchive.search.compare", run_name="__main__")
"""


def test_a_name_that_is_looked_up_for_ever_holds_up_no_answer() -> None:
    order = CompareOrder(
        Side("Page", "A page."), Side(live=LiveOrder("http://a.example/", AGENT, ("a.example",)))
    )
    command = (sys.executable, "-c", HANGING)
    answer = subprocess.run(
        command, input=to_line(order), stdout=subprocess.PIPE, timeout=60, check=True
    )
    compared = from_line(Compared, answer.stdout)
    assert (compared.refused, compared.reason) == ("live", "the site did not answer in time")


def test_a_child_that_is_late_with_todays_page_is_the_sites_fault() -> None:
    order = CompareOrder(Side("Page", "A page."), Side(live=LiveOrder("http://a.example/", "", ())))
    with pytest.raises(LiveUnavailable, match="within the deadline"):
        Comparers(deadline_seconds=0.001).compare_live(order, 1.0)


@pytest.fixture
def small() -> Iterator[SmallSite]:
    with one_page() as site:
        yield site


def capture_of(archive: Archive, site: SmallSite, private: tuple[str, ...]) -> int:
    """A capture of the site's page as it was, in a source of that site."""
    page = AtSite("/page", html("/page").encode(), base=site.url)
    archive.edition("annual-2028", page)
    source = SourceDefinition(
        "lab", "lab", (Seed(site.url + "/"),), ScopeRules((HOST,)), allow_private_hosts=private
    )
    with archive.database.begin() as connection:
        upsert_source(archive.database, connection, source, actor=ACTOR)
        query = select(captures.c.id).where(captures.c.url == page.url)
        return int(connection.execute(query).scalar_one())


def ask(archive: Archive, capture: int, times: int = 1) -> list[httpx.Response]:
    app = app_of(create_site(archive.settings, archive.database))
    with TestClient(app, raise_server_exceptions=False) as client:
        return [client.get(f"/en/compare?from={capture}&to=live") for _ in range(times)]


def test_a_capture_is_compared_with_today(tmp_path: Path, small: SmallSite) -> None:
    archive = Archive(tmp_path)
    capture = capture_of(archive, small, (HOST,))
    answer, again = ask(archive, capture, 2)
    assert answer.status_code == 200
    assert "50 mg</mark></ins>" in answer.text
    assert "is not in the archive" in answer.text
    assert "noindex" in answer.headers["x-robots-tag"]
    assert again.status_code == 503  # the site is left alone for a while
    assert "asked for a page a moment ago" in again.text
    assert len(small.asked) == 2
    off = replace(archive.settings, live_every_seconds=0.0)
    archive.settings = off
    (refused,) = ask(archive, capture)
    assert refused.status_code == 404
    assert len(small.asked) == 2


def test_a_source_that_may_not_reach_private_hosts_reaches_none(
    tmp_path: Path, small: SmallSite
) -> None:
    archive = Archive(tmp_path)
    (answer,) = ask(archive, capture_of(archive, small, ()))
    assert answer.status_code == 503
    assert "cannot be had" in answer.text
    assert small.asked == []
