"""Real Chromium against pages that make it work, or get in its way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from healtharchive.crawl.browser import profile
from healtharchive.crawl.browser.chromium import Browser, Browsers, Launch
from healtharchive.crawl.browser.rendering import (
    PageOptions,
    Rendered,
    RenderFailed,
    is_shell,
    measure_of,
    shell_measure,
)
from tests.lab.processes import kill_tree, spawn, wait_for
from tests.lab.rendered_site import PAGES_OF_ITEMS, TEXTS, RenderedSite, rendered_site

PAGE = PageOptions(deadline_seconds=20, settle_seconds=3, screenshots=False)
SHORT = PageOptions(deadline_seconds=3, settle_seconds=1, screenshots=False)


class Rig:
    """A browser on its own event loop, the site it sees, and what it asked for beside."""

    def __init__(
        self, runner: asyncio.Runner, browser: Browser, site: RenderedSite, stray: RenderedSite
    ) -> None:
        self.runner, self.browser, self.site, self.stray = runner, browser, site, stray

    def render(self, path: str, page: PageOptions = PAGE, *, scheme: str = "http") -> Rendered:
        """Render a page of the site; `site.asked` has only its requests then."""
        url = self.site.url(path).replace("http", scheme, 1)
        self.site.asked.clear()
        return self.runner.run(self.browser.render(url, self.site.proxy, page=page))

    def fails(self, path: str, kind: str, page: PageOptions = SHORT) -> None:
        """The page can't be rendered, and the next one can, in the same browser."""
        with pytest.raises(RenderFailed) as failed:
            self.render(path, page)
        assert failed.value.kind == kind, failed.value
        assert "Plain" in self.render("/plain").text

    def asked(self) -> list[str]:
        """The page's own requests."""
        return [each for each in self.site.paths() if each != "/favicon.ico"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    authority = trustme.CA()
    leaf = authority.issue_cert("site.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(tls)
    public = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    spki_hash = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    # A long path, for Chromium has sockets beside its profile.
    parent = tmp_path_factory.mktemp("profiles") / ("long-" * 20)
    with rendered_site(tls) as site, rendered_site() as stray, asyncio.Runner() as runner:
        launch = Launch(parent, spki_hash=spki_hash, user_agent="T/1", stray_proxy=stray.proxy)
        browser = runner.run(Browser.start(launch))
        try:
            yield Rig(runner, browser, site, stray)
        finally:
            runner.run(browser.close())
    assert not list(parent.iterdir())


def test_a_shell_is_filled_by_its_scripts(rig: Rig) -> None:
    page = rig.render("/shell")
    assert page.title == "The shell is full"
    assert page.text.splitlines()[3].startswith("Note 3 words words")
    notes = {rig.site.url(f"/notes/{n}") for n in range(12)}
    routes = {rig.site.url("/route/one"), rig.site.url("/route/two")}
    assert set(page.links) == notes | routes
    assert page.url == rig.site.url("/route/two")
    assert page.elements > 24
    assert rig.asked() == ["/shell", "/app.js", "/data.json"]
    assert is_shell(shell_measure(TEXTS["/shell"][1]), measure_of(page))


def test_a_plain_page_is_no_shell(rig: Rig) -> None:
    page = rig.render("/plain")
    assert page.text == "Plain\nNothing to fetch, next"
    assert not is_shell(shell_measure(TEXTS["/plain"][1]), measure_of(page))
    assert page.notes == ()


def test_nothing_goes_out_but_what_the_page_asks_for(rig: Rig) -> None:
    rig.render("/plain")
    assert rig.asked() == ["/plain"]
    assert rig.site.asked[0].headers["User-Agent"] == "T/1"
    assert rig.site.asked[0].headers["Accept-Language"] == "en-CA,fr-CA;q=0.9"
    # What Chromium wants for itself finds neither the page's proxy nor a way of its own.
    assert not [each for each in rig.stray.asked if "site.test" in each.url]
    ports = {("127.0.0.1", port) for port in (rig.site.port, rig.stray.port)}
    connected = rig.runner.run(_connected_while_waiting(rig))
    assert ("127.0.0.1", rig.site.port) in connected
    assert connected <= ports


async def _connected_while_waiting(rig: Rig) -> set[tuple[str, int]]:
    """Where the browser's processes are connected to while a page waits for an image."""
    url = rig.site.url("/waits")
    page = asyncio.ensure_future(rig.browser.render(url, rig.site.proxy, page=SHORT))
    await asyncio.sleep(SHORT.deadline_seconds / 2)
    found: set[tuple[str, int]] = set()
    for each in profile.family(rig.browser.profile):
        for one in psutil.Process(each.pid).net_connections("inet"):
            found |= {(one.raddr.ip, one.raddr.port)} if one.raddr else set()
    await page
    return found


def test_shadow_trees_are_read_in_their_order(rig: Rig) -> None:
    page = rig.render("/shadow")
    assert page.text == "before\nslotted words\nafter go"
    assert page.links == (rig.site.url("/in-shadow"),)


def test_frames_are_read_hidden_ones_only_for_their_links(rig: Rig) -> None:
    page = rig.render("/frames")
    assert page.text.count("inner words") == 2
    assert "outer words" in page.text
    assert "concealed" not in page.text
    assert set(page.links) == {
        *(rig.site.url(path) for path in ("/from-inner", "/in-svg", "/in-map")),
        "http://other.test/from-inner",
    }
    assert "http://other.test/inner" in [each.url for each in rig.site.asked]


def test_lazy_images_far_below_are_fetched_and_details_opened(rig: Rig) -> None:
    page = rig.render("/lazy")
    assert set(rig.asked()) == {"/lazy", *(f"/lazy-{n}.gif" for n in range(6))}
    assert "folded words" in page.text


def test_without_behaviours_nothing_is_touched(rig: Rig) -> None:
    page = rig.render("/lazy", PageOptions(20, settle_seconds=3, behaviours=frozenset()))
    assert "/lazy-5.gif" not in rig.asked()
    assert "folded words" not in page.text


def test_an_infinite_scroll_is_followed_to_its_end(rig: Rig) -> None:
    page = rig.render("/scroll")
    assert set(page.links) == {rig.site.url(f"/item/{n}") for n in range(PAGES_OF_ITEMS * 10)}


def test_scrolling_is_bounded(rig: Rig) -> None:
    rig.render("/scroll", PageOptions(20, settle_seconds=3, most_screens=2, screenshots=False))
    assert 1 < len(rig.asked()) < PAGES_OF_ITEMS + 1


@pytest.mark.parametrize("path", ["/more", "/plus"])
def test_more_is_asked_for_in_both_languages_and_nothing_else_is_clicked(
    rig: Rig, path: str
) -> None:
    page = rig.render(path)
    assert rig.asked() == [path, *(f"/more?n={n}" for n in (1, 2, 3))]
    assert "answer to /more?n=3" in page.text
    assert page.links == (rig.site.url("/away"),)


def test_dialogs_are_dismissed_and_permissions_refused(rig: Rig) -> None:
    page = rig.render("/dialogs")
    assert page.text == "said [false,null]\nrefused 1"
    assert page.notes == tuple(
        f"a dialog was dismissed ({kind})" for kind in ("alert", "confirm", "prompt")
    )


def test_a_password_prompt_holds_nobody(rig: Rig) -> None:
    assert rig.render("/auth", SHORT).text == "open words"
    assert rig.asked() == ["/auth", "/private"]
    assert rig.render("/private", SHORT).text == "no"
    assert rig.browser.alive


def test_windows_and_downloads_become_links(rig: Rig) -> None:
    page = rig.render("/windows")
    assert page.text == "window null"
    assert set(page.links) == {rig.site.url("/opened?by=script"), rig.site.url("/file.bin")}
    assert set(page.notes) == {"a window was not opened", "a download was left to the recorder"}


def test_a_film_without_end_is_not_waited_for(rig: Rig) -> None:
    page = rig.render("/video")
    assert page.text == "beside the film"
    assert page.notes == ()
    assert "/film.webm" in rig.asked()


@pytest.mark.parametrize(("path", "text"), [("/refresh", "again"), ("/reload", "over")])
def test_a_page_that_loads_itself_is_stopped(rig: Rig, path: str, text: str) -> None:
    page = rig.render(path)
    assert page.text == text
    assert page.notes == ("stopped loading itself after 3 documents",)
    assert set(rig.asked()) == {path}
    assert 3 <= len(rig.asked()) < 8  # one or two are under way before it is stopped


def test_a_page_that_wants_to_go_elsewhere_stays_and_its_way_is_a_link(rig: Rig) -> None:
    """The site is neither secure nor on loopback: Chromium tells its proxy of no navigation."""
    page = rig.render("/wander")
    assert (page.title, page.text, page.left) == ("Wander", "here", False)
    assert rig.asked() == ["/wander"]
    assert [each.partition("?")[0] for each in page.links] == [rig.site.url("/wander")]
    assert "Sec-Fetch-Mode" not in rig.site.asked[0].headers


@pytest.mark.parametrize("path", ["/refers", "/posts"])
def test_neither_a_refresh_nor_a_form_puts_another_document_in_its_place(
    rig: Rig, path: str
) -> None:
    page = rig.render(path)
    assert (page.text, page.left) == ("own words", False)
    assert rig.asked() == [path]


def test_of_a_page_that_another_document_replaced_there_are_links_only(rig: Rig) -> None:
    page = rig.render("/blob", PageOptions(20, settle_seconds=3))
    assert page.left
    assert (page.title, page.text, page.screenshot, page.thumbnail) == ("", "", b"", b"")
    assert "the page went to another document" in page.notes
    assert page.links == (rig.site.url("/route"),)


def test_redirects_without_end_are_a_failed_navigation(rig: Rig) -> None:
    rig.fails("/round", "navigation")


def test_polling_does_not_hold_the_page(rig: Rig) -> None:
    page = rig.render("/poll", PageOptions(20, settle_seconds=1, screenshots=False))
    assert page.text == "polls"
    assert page.notes == ("the network was not quiet",)


def test_at_the_deadline_what_is_there_is_taken(rig: Rig) -> None:
    page = rig.render("/waits", SHORT)
    assert page.text == "waits"
    assert "stopped at the deadline while still loading" in page.notes


@pytest.mark.parametrize("path", ["/busy", "/busy-later"])
def test_a_page_that_does_not_answer_is_given_up(rig: Rig, path: str) -> None:
    rig.fails(path, "hung")


def test_a_page_without_an_answer_is_a_failed_navigation(rig: Rig) -> None:
    rig.fails("/held-page", "navigation")


def test_a_page_that_breaks_the_language_is_read_all_the_same(rig: Rig) -> None:
    page = rig.render("/clobbered")
    assert page.text == "kept words\nk"
    assert page.links == (rig.site.url("/kept"),)


def test_a_page_that_closes_its_window_takes_nobody_along(rig: Rig) -> None:
    assert rig.render("/closes").text == "closed"
    assert "Plain" in rig.render("/plain").text


def test_pages_keep_nothing_for_the_next_one(rig: Rig) -> None:
    for _ in range(2):
        assert rig.render("/storage").text == "had nothing and null"


def test_a_service_worker_and_tls_go_through_the_proxy(rig: Rig) -> None:
    page = rig.render("/worker", scheme="https")
    assert page.text == "worker says hello from afar"
    paths = ("/worker.js", "/from-worker", "/after-worker")
    wanted = {f"https://site.test{path}" for path in paths}
    assert wanted <= {each.url for each in rig.site.asked}


def test_another_authority_is_not_trusted(rig: Rig, tmp_path: Path) -> None:
    async def run() -> None:
        browser = await Browser.start(Launch(tmp_path, spki_hash="A" * 43 + "="))
        try:
            with pytest.raises(RenderFailed, match="ERR_CERT") as failed:
                await browser.render("https://site.test/plain", rig.site.proxy, page=SHORT)
            assert failed.value.kind == "navigation"
        finally:
            await browser.close()

    asyncio.run(run())


def test_calls_send_nothing_around_the_proxy(rig: Rig) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.bind(("127.0.0.1", 0))
        stun.setblocking(False)
        page = rig.render(f"/calls?{stun.getsockname()[1]}")
        assert page.title == "Calls"
        with pytest.raises(BlockingIOError):
            stun.recv(100)


def test_loopback_goes_through_the_proxy(rig: Rig) -> None:
    rig.site.asked.clear()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/plain"
        page = rig.runner.run(rig.browser.render(url, rig.site.proxy, page=PAGE))
        assert page.title == "Plain"
        assert rig.site.asked[0].url == url
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_pictures_are_bounded(rig: Rig) -> None:
    page = rig.render("/tall", PageOptions(20, settle_seconds=3, most_screens=2))
    assert page.media_type == "image/jpeg"
    assert _jpeg_size(page.screenshot) == (1280, 10_000)
    assert _jpeg_size(page.thumbnail) == (320, 225)
    assert rig.render("/plain").screenshot == b""


def _jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height out of the frame header (ITU T.81, B.2.2)."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    height, width = (int.from_bytes(jpeg[at + n : at + n + 2], "big") for n in (5, 7))
    return width, height


@pytest.mark.parametrize("path", ["/eater", "/eater-outside"])
def test_a_page_that_eats_memory_loses_its_renderer_only(
    rig: Rig, tmp_path: Path, path: str
) -> None:
    async def run() -> None:
        browsers = Browsers(Launch(tmp_path, memory_bytes=600_000_000))
        eater = PageOptions(30, settle_seconds=20, quiet_seconds=15)
        url = rig.site.url("/plain")
        try:
            await browsers.render(url, rig.site.proxy, page=PAGE)
            with pytest.raises(RenderFailed) as failed:
                await browsers.render(rig.site.url(path), rig.site.proxy, page=eater)
            assert failed.value.kind == "crashed"
            assert browsers.started == 1
            await browsers.render(url, rig.site.proxy, page=PAGE)
        finally:
            await browsers.close()

    asyncio.run(run())


def test_only_what_may_be_a_browser_is_asked_for_its_command_line(rig: Rig, tmp_path: Path) -> None:
    path = rig.browser.profile
    main = profile.browser_of(path)
    assert main is not None
    members = profile.lineage(main)
    assert len(members) > 2
    assert set(members) <= set(profile.family(path))
    stranger = spawn(["sh", "-c", f"sleep 60; : --user-data-dir={path} "])
    try:
        assert stranger.pid not in [each.pid for each in profile.family(path)]
    finally:
        kill_tree(stranger)


def test_profiles_of_the_living_are_left_alone(rig: Rig, tmp_path: Path) -> None:
    mine = profile.make(tmp_path)
    left = tmp_path / "chromium-1-1-abcdefgh"
    left.mkdir()
    other = tmp_path / "chromium-notes.txt"
    other.write_text("not a profile")
    assert profile.remove_left_profiles(tmp_path) == 1
    assert set(tmp_path.iterdir()) == {mine, other}
    wait_for(lambda: rig.browser.alive, what="the browser lives")
