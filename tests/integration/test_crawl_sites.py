"""The crawl child against small sites, each with one trouble that real ones have."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from healtharchive.crawl.frontier import Frontier
from healtharchive.model.orders import CrawlOrder, Report
from healtharchive.model.source import ScopeRules
from tests.lab.crawling import crawl, order_for, source_of
from tests.lab.small_site import Answer, SmallSite, answering, redirect

LONG = "/" + "a1/" * 900


def order_of(site: SmallSite, output: Path, **limits: int) -> CrawlOrder:
    source = source_of(site.url, **limits)
    politeness = replace(source.politeness, url_tries=1)
    return order_for(site, output, source=replace(source, politeness=politeness))


def urls_in(order: CrawlOrder) -> dict[str, str | None]:
    """The URLs of a frontier, each with the reason why it is not captured."""
    connection = sqlite3.connect(Path(order.output_dir) / "frontier.sqlite")
    try:
        return dict(connection.execute("SELECT url, reason FROM urls"))
    finally:
        connection.close()


def page(*links: str) -> Answer:
    return Answer("".join(f"<a href='{link}'>x</a>" for link in links).encode())


# -- redirects -----------------------------------------------------------------------------------


def test_a_redirect_to_a_very_long_url_is_a_trap(tmp_path: Path) -> None:
    def answer(_host: str, path: str) -> Answer:
        return {"/": page("/away"), "/away": redirect(LONG)}.get(path, Answer(status=404))

    with answering(answer) as site:
        order = order_of(site, tmp_path / "job")
        assert crawl(order).outcome == "complete"
    assert urls_in(order)[site.url + LONG] == "trap: longer than 2000 characters"


def end_of(tmp_path: Path, answers: dict[str, Answer], **limits: int) -> tuple[SmallSite, Report]:
    with answering(lambda _host, path: answers.get(path, Answer(status=404))) as site:
        return site, crawl(order_of(site, tmp_path / "job", **limits))


def test_a_seed_counts_when_its_redirects_end_at_a_page(tmp_path: Path) -> None:
    answers = {"/": redirect("/en"), "/en": redirect("/en/home"), "/en/home": page()}
    assert end_of(tmp_path, answers)[1].outcome == "complete"


def test_a_seed_that_leads_out_of_scope_does_not_count(tmp_path: Path) -> None:
    site, end = end_of(tmp_path, {"/": redirect("http://127.0.0.2:9/away")})
    assert (end.outcome, end.blame) == ("failed", "site")
    assert f"{site.url}/ leads to http://127.0.0.2:9/away, which is out of scope" in end.reason


def test_a_seed_that_leads_to_nothing_or_in_a_circle_does_not_count(tmp_path: Path) -> None:
    site, end = end_of(tmp_path / "gone", {"/": redirect("/gone")})
    assert end.reason.endswith(f"{site.url}/ leads to {site.url}/gone answered 404")
    _, end = end_of(tmp_path / "circle", {"/": redirect("/a"), "/a": redirect("/")})
    assert end.outcome == "failed"
    assert "in a circle" in end.reason


def test_a_limit_may_end_a_crawl_before_the_seeds_page_is_fetched(tmp_path: Path) -> None:
    answers = {"/": redirect("/home"), "/home": page()}
    assert end_of(tmp_path, answers, pages=1)[1].outcome == "limit"


# -- what a person should be told of ---------------------------------------------------------------


SITEMAP = (
    b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>http://127.0.0.1/a"
)


def test_session_ids_and_sitemap_troubles_are_counted_and_reported(tmp_path: Path) -> None:
    answers = {
        "/robots.txt": Answer(b"Sitemap: /cut.xml\nSitemap: /page.xml\nSitemap: /gone.xml\n"),
        "/": page("/a;jsessionid=1234", "/b?PHPSESSID=77", "/c?x=1", "/d"),
        "/cut.xml": Answer(SITEMAP),
        "/page.xml": Answer(b"<p>Not found, sorry.</p>"),
    }

    def answer(_host: str, path: str) -> Answer:
        said = answers.get(path, Answer(status=404))
        return replace(said, body=said.body.replace(b": /", f": {site.url}/".encode()))

    with answering(answer) as site:
        end = crawl(order_of(site, tmp_path / "job"))
    noted = {name: n for name, n in end.evidence.items() if name.startswith("noted: ")}
    assert noted == {
        "noted: session id removed": 2,
        "noted: sitemap: it is cut off": 1,
        "noted: sitemap: it is no sitemap": 1,
        "noted: sitemap: answered 404": 1,
    }


DATED = (
    b"<urlset>"
    b"<url><loc>http://SITE/old</loc><lastmod>2019-01-01</lastmod></url>"
    b"<url><loc>http://SITE/new</loc><lastmod>2026-01-01</lastmod></url>"
    b"</urlset>"
)


def test_of_a_site_larger_than_the_limit_the_newest_pages_are_captured(tmp_path: Path) -> None:
    answers = {"/": page(), "/old": page(), "/new": page()}
    maps = {"/robots.txt": b"Sitemap: http://SITE/map.xml\n", "/map.xml": DATED}

    def answer(_host: str, path: str) -> Answer:
        if path in maps:
            return Answer(maps[path].replace(b"SITE", site.url.removeprefix("http://").encode()))
        return answers.get(path, Answer(status=404))

    with answering(answer) as site:
        crawl(order_of(site, tmp_path / "job", pages=2))
    asked = [path for _, path in site.asked]
    assert "/new" in asked
    assert "/old" not in asked


# -- frontiers of an earlier version --------------------------------------------------------------


def test_a_frontier_of_the_first_version_gets_the_new_tables(tmp_path: Path) -> None:
    with answering(lambda _host, path: page() if path == "/" else Answer(status=404)) as site:
        order = order_of(site, tmp_path / "job")
        (tmp_path / "job").mkdir()
        path = tmp_path / "job" / "frontier.sqlite"
        Frontier(path, 0).close()
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE redirects")
            connection.execute("DROP TABLE remarks")
            connection.execute("PRAGMA user_version = 1")
            # Its owner is this test: the crawl would end it as a process left over.
            connection.execute("DELETE FROM meta WHERE key = 'owner'")
        connection.close()
        assert crawl(order).outcome == "complete"


def test_versions_of_style_sheets_are_kept_and_variants_of_pages_are_not(tmp_path: Path) -> None:
    home = Answer(b"<link rel=stylesheet href='/css/site.css?v=3'><a href='/?print=1'>x</a>")
    answers = {"/": home, "/css/site.css?v=3": Answer(b"", 200, (("Content-Type", "text/css"),))}
    with answering(lambda _host, path: answers.get(path, Answer(status=404))) as site:
        order = order_of(site, tmp_path / "job")
        rules = ScopeRules(hosts=("127.0.0.1",), query="none")
        crawl(replace(order, source=replace(order.source, scope=rules)))
    assert ("127.0.0.1", "/css/site.css?v=3") in site.asked
    assert ("127.0.0.1", "/?print=1") not in site.asked


# -- headers of any kind --------------------------------------------------------------------------

FAR = "Thu, 01 Jan 2026 00:00:00 +99999999999999999"
ODD_HEADERS = (
    ("Set-Cookie", "a=1; Max-Age=--5"),
    ("Set-Cookie", f"a=1; Expires={FAR}"),
    ("Set-Cookie", "a=1; Domain=[::1; Path=//["),
    ("Retry-After", FAR),
    ("Retry-After", "-" * 2000),
    ("Location", "//[x/"),
    ("Location", "http://a:b/"),
    ("Link", "<//[x/>; rel=next, <" + "," * 2000),
    ("Refresh", "1; url=http://[x/"),
    ("Content-Type", "text/html; charset=undefined"),
    ("Content-Type", "text/html; charset=\u00ff"),
    ("Content-Encoding", "gzip, br, , deflate, zstd"),
    ("X-Robots-Tag", "\u00ff"),
)


def test_no_header_of_a_page_ends_the_attempt(tmp_path: Path) -> None:
    status_for = {"Location": 302, "Retry-After": 503}
    odd = {
        f"/{number}": Answer(b"<p>x", status_for.get(header[0], 200), (header,))
        for number, header in enumerate(ODD_HEADERS)
    }
    site, end = end_of(tmp_path, odd | {"/": page(*odd)})
    assert (end.outcome, end.reason) == ("complete", "")
    reasons = urls_in(order_of(site, tmp_path / "job"))
    assert {path: reasons[site.url + path] for path in odd if reasons[site.url + path]} == {}
