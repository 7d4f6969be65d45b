"""The pages that search is measured with: real documentation in English and in French.

English: Python's (python3-doc) and Debian's installation guide; French: the same guide and the
manual of aptitude. Beside them the lab's few pages about health, in both languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.search.extract import page_text
from healtharchive.search.index import IndexedPage
from healtharchive.search.narrowing import microseconds
from tests.lab import clinic, docs, health

MANUALS = (  # host, language, directory
    ("guide", "en", Path("/usr/share/doc/installation-guide-amd64/en")),
    ("guide", "fr", Path("/usr/share/doc/installation-guide-amd64/fr")),
    ("aptitude", "fr", Path("/usr/share/doc/aptitude/html/fr")),
)
CAPTURED = datetime(2026, 1, 24, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the corpus; the judgements call it by its URL."""

    url: str
    language: str
    title: str
    text: str
    headings: str


def corpus() -> Iterator[Page]:
    """Every page, in the same order each time. NoCorpus when a package is not installed."""
    for path, file in docs.pick(None).items():
        if file.suffix == ".html":
            yield _page(f"http://docs.example.org/{path}", file.read_bytes())
    for manual, language, directory in MANUALS:
        files = sorted(directory.glob("*.html"))
        if not files:
            raise docs.NoCorpus(f"The manual in {directory} is not installed. Run: make setup")
        for file in files:
            yield _page(f"http://{manual}.example.org/{language}/{file.name}", file.read_bytes())
    for number, page in enumerate(health.pages()):
        yield _page(
            f"http://health.example.org/{page.language}/{number}.html", page.html().encode()
        )
    for each in (*clinic.PAGES.values(), clinic.HOURS):
        yield _page(f"http://clinic.example.org{each.path}", each.html(edition=1))


def indexed(page: Page, number: int) -> IndexedPage:
    """A page as the index takes it."""
    return IndexedPage(
        key=f"corpus:{number}",
        page=f"corpus {page.url}",
        edition=f"corpus annual-2026 {page.url}",
        url=page.url,
        source="corpus",
        campaign="annual-2026",
        language=page.language,
        kind="html",
        mime="text/html",
        status=200,
        digest="",
        captured=microseconds(CAPTURED),
        capture_id=number,
        snapshot_id=number,
        title=page.title,
        text=page.text,
        headings=page.headings,
    )


def _page(url: str, body: bytes) -> Page:
    found = page_text(body, "html", "text/html; charset=utf-8")
    return Page(url, found.language, found.title, found.text, found.headings)
