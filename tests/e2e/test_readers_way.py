"""The whole way of a reader, in both languages: from a search to a file that is theirs to keep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Frame, Locator

from healtharchive.web import language as words
from healtharchive.web.language import Language
from healtharchive.web.replay_place import ASSETS
from tests.lab.clinic import HOURS, NAME, PAGES, Clinic, ClinicPage
from tests.lab.reader import Reader, Served, reader

SHOWN_MS = 60_000.0
LANGUAGES = ["en", "fr"]
PICTURES_DRAWN = (
    "() => document.images.length > 0 && "
    "[...document.images].every(each => each.complete && each.naturalWidth > 0)"
)


class Way:
    """A reader's steps through the archive, each of which leaves a picture."""

    def __init__(self, person: Reader, clinic: Clinic, language: str) -> None:
        self.person = person
        self.page = person.page
        self.clinic = clinic
        self.language = Language(language)
        self.sought: ClinicPage = PAGES[language]
        self.steps = 0

    def say(self, key: str, **values: object) -> str:
        """What the archive's pages say in the reader's language."""
        return words.text(self.language, key, **values)

    def link(self, key: str) -> Locator:
        """The link with that text."""
        return self.page.get_by_role("link", name=self.say(key), exact=True)

    def seen(self, name: str) -> None:
        """Nothing was asked of anybody but the archive; what is seen now is kept."""
        self.steps += 1
        self.person.picture(f"way-{self.language}-{self.steps}-{name}")
        assert self.person.left == []
        assert self.page.url.startswith(f"{self.clinic.served.site}/")

    def search(self) -> None:
        """Words into the search page; the newest capture of the page is found."""
        self.page.goto(f"{self.clinic.served.site}/{self.language}/")
        self.page.get_by_label(self.say("search.q")).fill(self.sought.query)
        self.page.get_by_role("button", name=self.say("search.submit")).click()
        self.page.locator(".hits").get_by_role("link", name=self.sought.title).first.wait_for()
        self.seen("results")

    def open_result(self) -> None:
        """The result's own page, with the archived page in it as it is without scripts."""
        self.page.locator(".hits").get_by_role("link", name=self.sought.title).first.click()
        self.page.get_by_role("heading", name=self.sought.title).wait_for()
        plain = self.page.frame_locator("iframe.archived")
        plain.get_by_text(self.sought.editions[1]).wait_for()
        self.seen("capture")

    def replay(self) -> None:
        """The page with all that makes it: its script has run, its picture is drawn."""
        self.link("replay.open").click()
        frame = replayed(self.person, self.clinic.url + self.sought.path)
        frame.get_by_text(self.sought.editions[1]).wait_for()
        frame.get_by_text(self.sought.scripted).wait_for()
        frame.wait_for_function(PICTURES_DRAWN, timeout=SHOWN_MS)
        colour = frame.evaluate("getComputedStyle(document.querySelector('h1')).color")
        assert colour == "rgb(0, 80, 60)"
        self.seen("replay")

    def wander(self) -> None:
        """A link within the archived page, and back: what stands around it follows."""
        before = self.page.url
        frame = replayed(self.person, self.clinic.url + self.sought.path)
        frame.get_by_role("link", name=self.sought.next_link).click()
        replayed(self.person, self.clinic.url + HOURS.path)
        self.page.locator("main h1", has_text=HOURS.title).wait_for()
        assert self.page.url != before
        number = self.page.url.rpartition("/")[2]
        assert self.page.locator("main .url").inner_text() == self.clinic.url + HOURS.path
        facts = self.link("replay.facts").get_attribute("href")
        assert facts == f"/{self.language}/capture/{number}"
        assert self.page.title().startswith(HOURS.title)
        assert self.page.locator(".switch").get_attribute("href").endswith(f"/replay/{number}")
        self.seen("wandered")
        self.page.go_back()
        self.page.locator("main h1", has_text=self.sought.title).wait_for()
        assert self.page.url == before

    def history(self) -> None:
        """Both captures, in the calendar and one after the other."""
        self.link("replay.others").click()
        self.page.get_by_role("heading", name=self.sought.path).wait_for()
        assert self.page.locator(".calendar table").count() == 12
        assert self.page.locator(".calendar a").count() >= 1
        assert self.page.locator(".timeline li").count() == 2
        self.seen("history")

    def compare(self) -> None:
        """What the clinic has changed from one to the other."""
        self.page.locator(".timeline a[href*='/compare?']").click()
        self.page.locator("del").first.wait_for()
        gone, come = (
            " ".join(self.page.locator(mark).all_text_contents()) for mark in ("del", "ins")
        )
        old, new = ("two", "three") if self.language is Language.EN else ("deux", "trois")
        assert old in gone
        assert new in come
        self.seen("compare")

    def cite(self, keep: Path) -> None:
        """A citation to read, and one to keep."""
        self.link_to_capture().click()
        self.link("cite.title").click()
        citations = self.page.locator(".citations")
        apa = citations.locator("div", has_text="APA").locator("dd").first
        said = apa.inner_text()
        assert NAME in said
        assert self.sought.title in said
        assert f"/{self.language}/at/" in said
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name=self.say("cite.download", suffix="bib")).click()
        download.value.save_as(keep)
        assert keep.read_text(encoding="utf-8").startswith("@")
        assert self.sought.title in keep.read_text(encoding="utf-8")
        self.seen("cite")

    def download(self, keep: Path) -> None:
        """The page's own WACZ file."""
        self.page.go_back()
        with self.page.expect_download() as download:
            self.link("capture.wacz").click()
        download.value.save_as(keep)
        self.seen("download")

    def link_to_capture(self) -> Locator:
        """On the page of a comparison: the link to the newer capture."""
        return self.page.locator(".facts a[href*='/capture/']").last


def replayed(person: Reader, url: str) -> Frame:
    """The frame that the archived page of this URL runs in, once it is there."""
    for _ in range(600):
        for frame in person.page.frames:
            if frame.url.endswith(f"mp_/{url}"):
                return frame
        person.page.wait_for_timeout(100)
    raise AssertionError([frame.url for frame in person.page.frames])


@contextmanager
def hosted_elsewhere(directory: Path) -> Iterator[str]:
    """replayweb.page and a downloaded file, on a host that has nothing to do with the archive."""
    for name in ("ui.js", "sw.js"):
        (directory / name).write_bytes((ASSETS / name).read_bytes())
    (directory / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>ReplayWeb.page</title>'
        '<script src="/ui.js"></script><replay-app-main></replay-app-main>'
    )
    handler = partial(Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


class Quiet(SimpleHTTPRequestHandler):
    """The files of a directory; nothing is said about requests."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reader_goes_from_a_search_to_a_file_to_keep(
    clinic: Clinic, browser: Browser, tmp_path: Path, language: str
) -> None:
    with reader(browser, clinic.served, locale=f"{language}-CA") as person:
        way = Way(person, clinic, language)
        way.search()
        way.open_result()
        way.replay()
        way.wander()
        way.history()
        way.compare()
        way.cite(tmp_path / "cited.bib")
        way.download(tmp_path / "page.wacz")
    with hosted_elsewhere(tmp_path) as elsewhere, reader(browser, at(elsewhere)) as person:
        sought = PAGES[language]
        url = clinic.url + sought.path
        person.page.goto(f"{elsewhere}/?source=/page.wacz#view=pages&url={quote(url, safe='')}")
        frame = replayed(person, url)
        frame.get_by_text(sought.editions[1]).wait_for()
        person.picture(f"way-{language}-elsewhere")
        assert person.left == []


def at(elsewhere: str) -> Served:
    """Another host, as somewhere that a reader's browser may go."""
    return Served(elsewhere, elsewhere)
