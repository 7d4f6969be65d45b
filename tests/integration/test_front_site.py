"""The front site is what its truth says, in the eyes of a plain client and of a real browser."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import subprocess
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright

from healtharchive.crawl import sources
from healtharchive.crawl.scope import Scope
from tests.lab.front.content import SOURCES
from tests.lab.front.plain_pages import NO_SCRIPT
from tests.lab.front.truth import FrontPage
from tests.lab.front_site import Asked, FrontSite, built, front_site
from tests.lab.processes import ROOT, wait_for

PAGE_SECONDS = 60.0
TABS = 3
STEPS = 150
# What a reader sees: the text of the document and of each open shadow root and frame.
SEEN_TEXT = """() => {
  const inside = (root) => [...root.querySelectorAll('*')].flatMap((each) => [
    each.shadowRoot ? [...each.shadowRoot.children].map((one) => one.innerText).join('\\n') : '',
    each.contentDocument?.body?.innerText ?? '',
  ]);
  return [document.body.innerText, ...inside(document)].join('\\n');
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[FrontSite]:
    with front_site() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Reply:
    """What a plain client received."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


def fetch(url: str, method: str = "GET", body: bytes | None = None, **fields: str) -> Reply:
    parts = urlsplit(url)
    link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        link.request(method, target, body, named)
        said = link.getresponse()
        return Reply(said.status, dict(said.getheaders()), said.read())
    finally:
        link.close()


# ---- as served


def test_a_phrase_is_in_the_html_of_plain_pages_only_and_of_no_other_page(site: FrontSite) -> None:
    served = {page.url: fetch(page.url).text for page in site.truth.pages}
    for page in site.truth.pages:
        holders = [url for url, html in served.items() if page.phrase in html]
        assert holders == ([] if page.shell else [page.url])
    assert len(site.truth.shells) >= 14
    assert len([page for page in site.truth.plain if page.linked]) >= 40
    assert {page.language for page in site.truth.shells} == {"en", "fr"}
    assert len({page.phrase for page in site.truth.pages}) == len(site.truth.pages)


def test_everything_that_the_truth_names_is_served(site: FrontSite) -> None:
    truth = site.truth
    urls = {*truth.assets, *truth.files, *truth.mentioned, *truth.unused}
    for url in sorted(urls.union(*truth.alternatives)):
        assert fetch(url).status == 200, url
    for url, body in truth.posts:
        assert "Fever" in fetch(url, "POST", body).text
    assert fetch(f"{site.url}/nowhere").status == 404
    assert fetch(f"{site.cdn_url}/").status == 404


def test_robots_lead_to_a_sitemap_of_all_routes(site: FrontSite) -> None:
    assert f"Sitemap: {site.url}/sitemap.xml" in fetch(f"{site.url}/robots.txt").text
    sitemap = fetch(f"{site.url}/sitemap.xml").text
    listed = {page.url for page in site.truth.pages if f"<loc>{page.url}</loc>" in sitemap}
    assert listed == {page.url for page in site.truth.pages if page.in_sitemap}
    assert listed == {page.url for page in site.truth.shells}


def test_parts_of_a_film_are_answered_with_206(site: FrontSite) -> None:
    url = f"{site.url}/media/clip.webm"
    whole = fetch(url)
    length = len(whole.body)
    assert whole.fields["Accept-Ranges"] == "bytes"
    wanted = {"0-": (0, length), "10-19": (10, 20), "-7": (length - 7, length)}
    wanted |= {f"{length - 5}-{length + 5}": (length - 5, length)}
    for asked, (first, end) in wanted.items():
        part = fetch(url, Range=f"bytes={asked}")
        assert part.status == 206
        assert part.fields["Content-Range"] == f"bytes {first}-{end - 1}/{length}"
        assert part.body == whole.body[first:end]
    for beyond in (f"{length}-", "20-10", "-0"):
        assert fetch(url, Range=f"bytes={beyond}").status == 416


def test_text_is_gzipped_on_wish_and_known_again_by_its_tag(site: FrontSite) -> None:
    for url in (site.seed_url, f"{site.url}/api/topics", f"{site.cdn_url}/fonts/fonts.css"):
        bare, packed = fetch(url), fetch(url, Accept_Encoding="gzip, br")
        assert "Content-Encoding" not in bare.fields
        assert packed.fields["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == bare.body
        assert packed.fields["ETag"] != bare.fields["ETag"]
        again = fetch(url, If_None_Match=bare.fields["ETag"])
        assert (again.status, again.body) == (304, b"")
    assert "Content-Encoding" not in fetch(f"{site.url}/favicon.png", Accept_Encoding="gzip").fields


def test_a_download_is_attached_and_fonts_are_for_every_origin(site: FrontSite) -> None:
    guide, figures = (fetch(url) for url in site.truth.files)
    assert guide.body.startswith(b"%PDF-")
    assert figures.fields["Content-Disposition"].startswith("attachment")
    fonts = [url for url in site.truth.assets if url.endswith(".woff2")]
    assert len(fonts) == 3
    for url in fonts:
        font = fetch(url)
        assert font.body.startswith(b"wOF2")
        assert font.fields["Access-Control-Allow-Origin"] == "*"


def test_every_request_is_noted_with_its_exact_answer() -> None:
    with front_site() as site:
        page, post = site.seed_url, f"{site.url}/api/search"
        received = fetch(page, Accept_Encoding="gzip").body
        assert site.answers == {page: received}
        assert fetch(page, "HEAD").body == b""
        part = fetch(f"{site.url}/media/clip.webm", Range="bytes=3-9")
        found = fetch(post, "POST", b'{"words": "cough"}')
        assert fetch(post, "POST", b"cough").status == 400
        rows = [(each.method, each.url, each.status, each.body) for each in site.asked]
        assert rows[:4] == [
            ("GET", page, 200, received),
            ("HEAD", page, 200, b""),
            ("GET", f"{site.url}/media/clip.webm", 206, part.body),
            ("POST", post, 200, found.body),
        ]
        assert site.asked[2].field("range") == "bytes=3-9"
        assert site.asked[3].sent == b'{"words": "cough"}'
        assert list(site.answers) == [page]


def test_a_connection_is_kept_and_ends_with_the_site() -> None:
    with front_site() as site:
        parts = urlsplit(site.url)
        link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        link.connect()
        kept = link.sock
        for target in ("/", "/nowhere", "/api/measure"):
            link.request("POST" if "measure" in target else "GET", target, b"")
            link.getresponse().read()
            assert link.sock is kept
    assert kept.recv(1) == b""
    link.close()
    with pytest.raises(ConnectionRefusedError):
        fetch(site.seed_url)


def test_topics_make_as_many_more_pages_as_wished() -> None:
    with front_site(topics=30) as site:
        pages = [page for page in site.truth.shells if "/topics/" in page.url]
        assert len(pages) == 30
        for page in pages:
            name = page.url.rpartition("/")[2]
            assert page.phrase not in fetch(page.url).text
            assert page.phrase in fetch(f"{site.url}/api/topics/{name}").text
            assert all(fetch(asset).status == 200 for asset in page.assets if name in asset)


def test_the_source_file_lets_pages_in_and_of_the_second_host_what_pages_need(
    site: FrontSite, tmp_path: Path
) -> None:
    file = tmp_path / "front.toml"
    file.write_text(site.source_toml("harbour", "http"))
    source = sources.load_file(file)
    scope = Scope(source.scope)
    assert source.code == "harbour"
    for page in site.truth.pages:
        assert scope.decide(page.url).in_scope, page.url
        assert all(scope.decide(url, asset=True).in_scope for url in page.assets)
    assert not scope.decide(f"{site.cdn_url}/").in_scope
    other = site.source_toml(engine="auto", more="\n[browser]\ntabs = 1\n")
    assert tomllib.loads(other)["engine"] == "auto"
    assert tomllib.loads(other)["browser"] == {"tabs": 1}


# ---- as rendered


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a browser made of pages, by URL, and what it asked for meanwhile."""

    texts: dict[str, str]
    languages: dict[str, str]
    finished: dict[str, set[str]]
    errors: list[str]
    asked: list[Asked]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's browser, ended with the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def _render(browser: Browser, page: FrontPage, rendered: Rendered) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 720})
    try:
        tab = await context.new_page()
        tab.set_default_timeout(PAGE_SECONDS * 1000)
        tab.on("pageerror", lambda error: rendered.errors.append(f"{page.url}: {error}"))
        finished = rendered.finished[page.url]
        # The requests of the service worker are told to the context only.
        context.on("requestfinished", lambda request: finished.add(request.url))
        await tab.goto(page.url, wait_until="load")
        rendered.texts[page.url] = await _scrolled(tab, page, finished)
        rendered.languages[page.url] = await tab.evaluate("document.documentElement.lang")
    finally:
        await context.close()


async def _scrolled(tab: Page, page: FrontPage, finished: set[str]) -> str:
    """The text once all phrases and assets are there, or what there was after so many steps.

    Playwright's `networkidle` sometimes never comes on a page with a frame: we look ourselves.
    """
    text = ""
    for step in range(STEPS):
        text = await tab.evaluate(SEEN_TEXT)
        read = all(phrase in text for phrase in (page.phrase, *page.deeper))
        if read and finished.issuperset(page.assets):
            break
        if not read or step % 10 == 0:
            await tab.mouse.wheel(0, 700)
        await tab.wait_for_timeout(100)
    return text


async def _render_all(site: FrontSite) -> Rendered:
    finished: dict[str, set[str]] = {page.url: set() for page in site.truth.shells}
    rendered = Rendered({}, {}, finished, [], site.asked)
    free = asyncio.Semaphore(TABS)

    async def one(browser: Browser, page: FrontPage) -> None:
        async with free:
            await asyncio.wait_for(_render(browser, page, rendered), PAGE_SECONDS)

    async with chromium() as browser:
        await asyncio.gather(*(one(browser, page) for page in site.truth.shells))
    return rendered


@pytest.fixture(scope="module")
def rendered() -> Iterator[tuple[FrontSite, Rendered]]:
    """The site with all its routes rendered and scrolled to their ends, once."""
    with front_site() as site:
        yield site, asyncio.run(_render_all(site))


def test_a_browser_shows_each_phrase_on_its_route_only(
    rendered: tuple[FrontSite, Rendered],
) -> None:
    site, made = rendered
    assert made.errors == []
    for page in site.truth.shells:
        holders = [url for url, text in made.texts.items() if page.phrase in text]
        assert holders == [page.url]
        assert [phrase for phrase in page.deeper if phrase not in made.texts[page.url]] == []
        assert made.languages[page.url] == page.language


def test_a_browser_asks_for_every_asset_of_the_truth(
    rendered: tuple[FrontSite, Rendered],
) -> None:
    site, made = rendered
    for page in site.truth.shells:
        assert set(page.assets) - made.finished[page.url] == set(), page.url
    asked = {each.url for each in made.asked if each.status in (200, 206)}
    assert site.truth.assets - asked == set()
    assert all(asked.intersection(group) for group in site.truth.alternatives)
    assert asked.intersection(site.truth.unused) == set()
    posts = {(each.url, each.sent) for each in made.asked if each.method == "POST"}
    assert posts == set(site.truth.posts)


def test_a_browser_asks_for_the_film_in_parts(rendered: tuple[FrontSite, Rendered]) -> None:
    _, made = rendered
    parts = [each for each in made.asked if each.url.endswith("/media/clip.webm")]
    assert parts
    assert {each.status for each in parts} == {206}
    assert all(each.field("Range") for each in parts)


def test_the_film_is_one_that_a_browser_plays(site: FrontSite) -> None:
    async def measured() -> list[float]:
        async with chromium() as browser:
            tab = await browser.new_page()
            await tab.goto(f"{site.url}/video")
            await tab.wait_for_function(
                "document.querySelector('video')?.readyState >= 2", timeout=20_000
            )
            found: list[float] = await tab.evaluate(
                "(film => [film.duration, film.videoWidth])(document.querySelector('video'))"
            )
            return found

    assert asyncio.run(asyncio.wait_for(measured(), PAGE_SECONDS)) == [2.0, 1]


def test_scripts_change_nothing_on_plain_pages() -> None:
    """One page of each look, with and without scripts; one of them tells that it was seen."""

    async def texts(site: FrontSite, scripts: bool) -> list[str]:
        async with chromium() as browser:
            context = await browser.new_context(java_script_enabled=scripts)
            tab = await context.new_page()
            found = []
            for number in range(1, 5):
                await tab.goto(f"{site.url}/plain/{number:02}.html", timeout=20_000)
                shown = await tab.inner_text("body")
                found.append(shown.replace(NO_SCRIPT, "").strip())
            return found

    with front_site() as site:
        with_scripts = asyncio.run(asyncio.wait_for(texts(site, True), PAGE_SECONDS))
        wait_for(
            lambda: [each for each in site.asked if each.url == f"{site.url}/api/measure"],
            what="the visit is counted",
        )
        assert with_scripts == asyncio.run(asyncio.wait_for(texts(site, False), PAGE_SECONDS))
        phrases = [site.truth.page(f"{site.url}/plain/{n:02}.html").phrase for n in range(1, 5)]
        assert all(phrase in text for phrase, text in zip(phrases, with_scripts, strict=True))


# ---- as built


def test_the_lock_holds_a_hash_of_each_package_and_no_address() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert "node_modules/react" in packages
    assert [name for name, each in packages.items() if not each.get("integrity")] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []


def test_a_build_from_nothing_is_the_same_and_is_not_done_twice(tmp_path: Path) -> None:
    def build() -> str:
        words = [ROOT / "scripts" / "front-site", tmp_path / "front"]
        done = subprocess.run(words, capture_output=True, timeout=200, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(directory: Path) -> dict[str, bytes]:
        paths = [path for path in directory.rglob("*") if path.is_file()]
        return {str(path.relative_to(directory)): path.read_bytes() for path in paths}

    assert "installing" in build()
    made = tmp_path / "front" / "site"
    first = made.stat()
    assert files(made) == files(built())
    assert build() == ""
    assert made.stat().st_ino == first.st_ino
    (tmp_path / "front" / ".built").write_text("of older sources\n")
    assert build() == ""
    assert made.stat().st_ino != first.st_ino
    assert files(made) == files(built())
