"""The main pages of an archive that has something of everything, for whoever looks at them.

`python -m tests.lab.looks` takes a picture of each, in both languages, by day and by night, on a
phone and on a desk, into build/pictures.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page

from tests.lab.archive import Archive
from tests.lab.captured import SITE, html_page
from tests.lab.captured import Page as Captured
from tests.lab.dated_archive import Rendered, dated_archive
from tests.lab.front.pictures import png
from tests.lab.processes import ROOT
from tests.lab.reader import Reader, Served, chromium, reader, served

LANGUAGES = ("en", "fr")
SCHEMES = ("light", "dark")
SIZES = {"phone": (320, 640), "desk": (1280, 900)}
OUT = ROOT / "build" / "pictures"
WORDS = (
    "The clinics of the region are open on Mondays and on Tuesdays. Two doses of the measles "
    "vaccine are given to all children, the first one at the age of one. "
)
LONG_WORD = "Anticonstitutionnellement" * 4
CLINICS = f"{SITE}/en/clinics"
CLINICS_IN_ADDRESS = quote(CLINICS, safe="")
# Each below /en or /fr, by a name for its picture.
PAGES = {
    "search": "/",
    "results": "/?q=clinics",
    "nothing": "/?q=nowhere&lang=fr",
    "wrong": "/?q=clinics&lang=xx&from=tomorrow",
    "capture": "/capture/1",
    "capture-of-an-error": "/capture/6",
    "capture-of-a-file": "/capture/62",
    "replay": "/replay/1",
    "cite": "/cite/1",
    "report": "/report?capture=1",
    "history": f"/history?url={CLINICS_IN_ADDRESS}",
    "choose": f"/history?url={CLINICS_IN_ADDRESS}&with=1",
    "compare": "/compare?from=1&to=4",
    "changes": "/changes",
    "campaigns": "/campaigns",
    "data": "/data",
    "campaign": "/campaign/annual-2026",
    "jobs": "/jobs",
    "job": "/job/1",
    "sources": "/sources",
    "targets": "/targets",
    "missing": "/capture/999",
}
STATUSES = {"wrong": 422, "missing": 404}


@dataclass(frozen=True, slots=True)
class Looks:
    """A served archive and the browser that visits it."""

    served: Served
    browser: Browser

    @contextmanager
    def reader(self, scheme: str, size: str) -> Iterator[Reader]:
        """Somebody who has seen nothing yet: an empty cache, this scheme, this size."""
        width, height = SIZES[size]
        viewport = {"width": width, "height": height}
        with reader(self.browser, self.served, color_scheme=scheme, viewport=viewport) as made:
            yield made

    def visit(self, reader: Reader, language: str, name: str) -> Page:
        """A main page, loaded."""
        page = reader.page
        answer = page.goto(f"{self.served.site}/{language}{PAGES[name]}", wait_until="load")
        assert answer is not None
        assert answer.status == STATUSES.get(name, 200), f"{name}: {answer.status}"
        return page


@contextmanager
def looks(directory: Path) -> Iterator[Looks]:
    """An archive in the directory, served, and a browser."""
    (directory / "backend.env").touch()
    with (
        dated_archive(directory, [*_clinics(), *_others()]),
        served(Archive(directory)) as here,
        chromium() as browser,
    ):
        yield Looks(here, browser)


def _clinics() -> Iterator[Captured | Rendered]:
    """One page through a year: unchanged, changed, redirected, away."""
    moment = datetime(2026, 1, 3, 6, 28, 1, tzinfo=UTC)
    first = html_page("Clinics of the region", WORDS * 3)
    picture = Rendered(
        Captured("/en/clinics", first, moment=moment),
        png("thumbnail", 320, 225),
        png("screenshot", 1280, 2400),
    )
    yield picture
    for number in range(1, 60):
        moment += timedelta(days=5, hours=7)
        status, body = "200 OK", first
        if number % 7 == 3:
            body = html_page("Clinics of the region", f"{WORDS} Notice {number}.")
        if number % 11 == 5:
            status, body = "503 Service Unavailable", b"away"
        if number % 13 == 6:
            status, body = "302 Found", b""
        yield Captured("/en/clinics", body, status=status, moment=moment)
    yield Captured("/en/clinics", first, moment=datetime(2024, 5, 6, tzinfo=UTC))


def _others() -> Iterator[Captured | Rendered]:
    yield Captured("/en/clinics.zip", b"PK", "application/zip")
    for number in range(4):
        title = f"Clinics, notice {number}"
        yield Rendered(
            Captured(f"/en/clinics/notices/{number}", html_page(title, WORDS)),
            png(f"thumbnail {number}", 320, 225) if number % 2 else b"",
        )
    yield Captured(f"/fr/{LONG_WORD}", html_page(LONG_WORD, f"clinics {LONG_WORD}", "fr"))


def main() -> int:
    """Take all the pictures; the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="lab-looks-") as directory,
        looks(Path(directory)) as seen,
    ):
        for scheme, size in itertools.product(SCHEMES, SIZES):
            with seen.reader(scheme, size) as someone:
                for language, name in itertools.product(LANGUAGES, PAGES):
                    page = seen.visit(someone, language, name)
                    path = OUT / f"{name}-{language}-{scheme}-{size}.png"
                    page.screenshot(path=path, full_page=True)
    print(f"The pictures are in {OUT.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
