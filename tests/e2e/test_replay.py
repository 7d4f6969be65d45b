"""Archived pages run in the reader's browser, from the archive alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Frame

from tests.e2e.conftest import Library
from tests.lab.front_site import CDN_HOST, HOST
from tests.lab.reader import Reader, reader

SHOWN_MS = 60_000.0


@pytest.fixture
def nobody_comes(library: Library) -> Iterator[None]:
    """Where the site was, nobody may knock."""
    port = urlsplit(library.site.url).port or 0
    with ExitStack() as undo:
        doors = [
            undo.enter_context(socket.create_server((host, port))) for host in (HOST, CDN_HOST)
        ]
        for door in doors:
            door.setblocking(False)
        yield
        for door in doors:
            with pytest.raises(BlockingIOError):
                door.accept()


def replayed(person: Reader, url: str) -> Frame:
    """The frame that an archived page runs in, once its own words are there."""
    person.page.wait_for_function("count => window.frames.length >= count", arg=1, timeout=SHOWN_MS)
    for _ in range(600):
        for frame in person.page.frames:
            if frame.url.endswith(f"mp_/{url}"):
                return frame
        person.page.wait_for_timeout(100)
    raise AssertionError([frame.url for frame in person.page.frames])


@pytest.mark.usefixtures("nobody_comes")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_page_replays_with_its_scripts_and_pictures(
    library: Library, browser: Browser, language: str
) -> None:
    home = f"{library.site.url}/"
    with reader(browser, library.served, locale=f"{language}-CA") as person:
        person.page.goto(f"{library.served.site}/{language}/replay/{library.capture_of('/')}")
        frame = replayed(person, home)
        # React wrote this; the HTML that was served has no word of it.
        frame.get_by_role("heading", name="Harbour Health").wait_for()
        frame.wait_for_function(
            "() => { const all = [...document.images]; "
            "return all.length > 0 && all.every(each => each.complete && each.naturalWidth > 0) }",
            timeout=SHOWN_MS,
        )
        assert frame.evaluate("document.fonts.ready.then(all => [...all].length)") > 0
        frame.get_by_role("link", name="News").click()
        frame.get_by_role("heading", name="News").first.wait_for()
        person.picture(f"replay-{language}")
        assert person.left == []
        assert person.page.url.startswith(library.served.site)


def test_the_frame_is_sandboxed_also_when_opened_alone(library: Library) -> None:
    shown = httpx.get(f"{library.served.replay}/show/{library.capture_of('/')}", trust_env=False)
    policy = shown.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "allow-top-navigation" not in policy
    assert "allow-popups" not in policy
    assert f"frame-ancestors 'self' {library.served.site}" in policy


def test_the_origin_of_archived_pages_holds_nothing_else(library: Library) -> None:
    for path in (
        "/",
        "/en/",
        "/en/jobs",
        "/api/jobs",
        "/api/search?q=a",
        "/raw/1",
        "/static/style.css",
    ):
        answer = httpx.get(library.served.replay + path, trust_env=False)
        assert answer.status_code == 404, path


def test_replay_is_offered_where_a_page_is_shown(library: Library) -> None:
    capture = library.capture_of("/")
    page = httpx.get(f"{library.served.site}/en/capture/{capture}", trust_env=False)
    assert f'href="/en/replay/{capture}"' in page.text
