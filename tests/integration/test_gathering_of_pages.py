"""What a page has in its frames, or asks for: a page itself is left to its own visit."""

from __future__ import annotations

from pathlib import Path

from healtharchive.crawl.batch import FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.browser.asking import Asking
from healtharchive.crawl.browser.proxy import ProxyRequest
from healtharchive.crawl.cookies import CookieJar
from healtharchive.crawl.discovery import Discovery
from healtharchive.crawl.frontier_schema import DONE, QUEUED
from healtharchive.crawl.gate import RobotsGate
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.urls import canonicalize
from healtharchive.crawl.visit import Visits
from healtharchive.model.clock import SystemClock
from healtharchive.model.source import Politeness, ScopeRules, Seed, SourceDefinition
from tests.lab.gathering import Attempt, accounted, body_of, run
from tests.lab.raw_site import HOST, RawSite, ok

INNER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /page\r\nContent-Length: 0\r\n\r\n"
ANSWERS = {
    "/": ok(b"<p>the page</p>", "text/html"),
    "/page": ok(b"<p>another page</p>", "text/html; charset=utf-8"),
    "/data": ok(b"{}", "application/json"),
    "/foreign": ok(b"<p>not of this source</p>", "text/html"),
    "/moved": MOVED,
    "/picture": MOVED,
}


def leading(parts: Attempt, site: RawSite) -> dict[str, object]:
    """Means by which all but /foreign are pages of the source."""

    def lead_to(via: QueuedUrl, url: str) -> bool:
        if url.endswith("/foreign"):
            return False
        parts.ledger.batch.found.append(FoundUrl(url, site.url, Kind.PAGE, via.depth + 1))
        return True

    return {"lead_to": lead_to}


def rows(parts: Attempt) -> dict[str, tuple[int, int]]:
    """State and kind of what is in the frontier, but for the page itself."""
    found = parts.frontier.ask("SELECT url, state, kind FROM urls WHERE id != ?", (parts.page.id,))
    return {"/" + url.rpartition("/")[2]: (state, kind) for url, state, kind in found}


def site() -> RawSite:
    return RawSite(dict(ANSWERS))


def test_html_of_the_source_is_recorded_aside_once_and_queued_as_a_page(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        for _ in range(2):  # two pages with the same frame
            page = parts.gathering(**leading(parts, site))
            parts.means.kept.clear()
            assert await body_of(page, f"{site.url}/page", **INNER) == ANSWERS["/page"]
            await page.close()
            assert accounted(page)
        counts = await parts.finish()
        assert rows(parts) == {"/page": (QUEUED, Kind.PAGE)}
        assert counts.captures == 0
        assert [each.url for each in parts.recorded()] == [f"{site.url}/page"]

    run(tmp_path, scenario, site())


def test_a_redirect_of_a_frame_leads_to_a_page_and_that_of_a_picture_to_an_asset(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering(**leading(parts, site))
        await body_of(page, f"{site.url}/moved", **INNER)
        await body_of(page, f"{site.url}/picture", Accept="image/*")
        await parts.finish()
        assert rows(parts) == {"/moved": (QUEUED, Kind.PAGE), "/picture": (DONE, Kind.ASSET)}

    run(tmp_path, scenario, site())


def test_html_of_others_and_what_is_no_html_are_captures_of_assets(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering(**leading(parts, site))
        for path in ("/foreign", "/data"):
            assert await body_of(page, site.url + path, **INNER) == ANSWERS[path]
        assert (await parts.finish()).captures == 2
        assert rows(parts) == dict.fromkeys(("/foreign", "/data"), (DONE, Kind.ASSET))

    run(tmp_path, scenario, site())


def test_a_queued_page_keeps_its_own_visit_whatever_it_answers_here(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        for kind, path in ((Kind.PAGE, "/data"), (Kind.SEED, "/page"), (Kind.ASSET, "/foreign")):
            parts.ledger.batch.found.append(FoundUrl(site.url + path, site.url, kind, 1))
        await parts.ledger.commit([])
        page = parts.gathering(**leading(parts, site))
        for path in ("/data", "/page", "/foreign"):
            assert await body_of(page, site.url + path) == ANSWERS[path]
        assert page.traffic.recorded == 3
        counts = await parts.finish()
        assert rows(parts) == {
            "/data": (QUEUED, Kind.PAGE),
            "/page": (QUEUED, Kind.SEED),
            "/foreign": (DONE, Kind.ASSET),
        }
        assert counts.captures == 1
        assert len(parts.recorded()) == 3

    run(tmp_path, scenario, site())


def visits(parts: Attempt, site: RawSite) -> Visits:
    """The visits of a source whose pages lie under /page, and have no query."""
    polite, clock = Politeness(robots="ignore"), SystemClock()
    scope = ScopeRules(hosts=(HOST,), include_prefixes=("/page",), query="strip")
    source = SourceDefinition("lab", "Lab", (Seed(f"{site.url}/page"),), scope, politeness=polite)
    paces, means = Paces(polite), parts.means
    return Visits(
        source,
        parts.frontier,
        parts.ledger,
        parts.recorder,
        Discovery(source),
        means.transport,
        RobotsGate(parts.frontier, means.transport, paces, clock, "Test/1", polite),
        paces,
        CookieJar(clock),
        clock,
    )


def test_the_sources_rules_say_what_is_a_page(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        rules = visits(parts, site)
        page = parts.gathering(lead_to=rules.lead_to, follow=rules.follow)
        for path in ("/page", "/page?x=1", "/foreign"):
            await body_of(page, site.url + path, **INNER)
        assert rules.lead_to(parts.page, f"{site.url}/page")  # known by now, and a page still
        await parts.finish()
        assert rows(parts) == {
            "/page": (QUEUED, Kind.PAGE),
            "/page?x=1": (DONE, Kind.ASSET),
            "/foreign": (DONE, Kind.ASSET),
        }

    run(tmp_path, scenario, RawSite({**ANSWERS, "/page?x=1": ANSWERS["/page"]}))


def test_a_url_with_an_apostrophe_is_the_same_as_the_browser_writes_it() -> None:
    asking = Asking.of(ProxyRequest("GET", "http://a.example/?q=l%27eau", (), b""))
    assert asking.canonical == canonicalize("http://a.example/?q=l'eau")
