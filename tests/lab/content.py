"""All that the lab's site serves, by target (path and query): the same in every process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from urllib.parse import urljoin, urlsplit

from tests.lab import docs, nasty
from tests.lab.answers import Page, plain
from tests.lab.nasty import Proportions

CALENDAR = re.compile(r"/calendar/(\d{4})/(\d{2})")
EVENTS = re.compile(r"/events\?month=(\d{1,9})")
SESSION = re.compile(r";jsessionid=[^?#]*|(?<=[?&])PHPSESSID=[^&#]*&?", re.IGNORECASE)
SCRIPTS = re.compile(r"<script\b([^>]*)>.*?</script>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
# The corpus is generated HTML with quoted attributes; unit tests compare this with html.parser.
TAG_LINK = re.compile(
    r"<(?:a|area|link|script|img|form|iframe)\b(?P<all>[^>]*?\s(?:href|src|action)="
    r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')[^>]*)>",
    re.IGNORECASE,
)
CSS_LINK = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")
NOT_A_PAGE = re.compile(r"rel=[\"'](?:search|dns-prefetch|preconnect)[\"']", re.IGNORECASE)
LAST_YEAR = 9999


@dataclass(frozen=True)
class Content:
    """A site at an address. `outside` is the address of a host that is out of scope."""

    base: str
    outside: str
    pages: int | None = None
    seed: int = 1
    nasty: bool = True
    proportions: Proportions = field(default_factory=Proportions)

    @cached_property
    def by_target(self) -> dict[str, Page]:
        """Every page but those of the traps and those that are not there."""
        served = {
            f"/docs/{path}": Page(
                (plain(file.read_bytes(), mime=docs.mime_of(path)),),
                # Only <link rel=search> leads there, which is neither a page nor a requisite.
                required=file.name != "opensearch.xml",
            )
            for path, file in docs.pick(self.pages, self.seed).items()
        }
        entrance = next(iter(target for target in served if target.endswith(".html")))
        if f"/docs/{docs.ENTRANCE}" in served:
            entrance = f"/docs/{docs.ENTRANCE}"
        if not self.nasty:
            return {"/": nasty.page("The lab's site", entrance), **served}
        beside = nasty.build(self.base, self.outside, self.proportions)
        return {"/": nasty.page("The lab's site", entrance, "/nasty"), **served, **beside}

    def resolve(self, target: str) -> Page:
        """What is served there: a page, a trap's page, a page by its session id, or a 404."""
        found = self.by_target.get(target) or (self.trap(target) if self.nasty else None)
        if found is not None:
            return found
        path, _, query = target.partition("?")
        if path.startswith("/docs/") and query and path in self.by_target:
            return self.by_target[path]  # a version in the query, as sites add to style sheets
        if self.nasty and SESSION.search(target):
            return self.by_target.get(SESSION.sub("", target).rstrip("?&")) or missing(target)
        return missing(target)

    def trap(self, target: str) -> Page | None:
        """A page of one of the endless parts, or None."""
        if found := CALENDAR.fullmatch(target):
            year, month = int(found[1]), int(found[2])
            if not 1 <= month <= 12 or year < 1000:
                return None
            return nasty.page(f"Calendar {year}-{month:02}", *_months_around(year, month))
        if found := EVENTS.fullmatch(target):
            return nasty.page(
                f"Events of month {int(found[1])}", f"/events?month={int(found[1]) + 1}"
            )
        return None

    def links(self, target: str) -> tuple[str, ...]:
        """The targets in scope that a page leads to: as declared, or read off the corpus."""
        page = self.resolve(target)
        if page.links or not target.startswith("/docs/"):
            return page.links
        answer = page.answers[0]
        if b"Content-Type: text/html" in answer.head:
            found = _links_in_html(answer.body.decode("utf-8", "replace"))
        elif b"Content-Type: text/css" in answer.head:
            found = _links_in_css(answer.body.decode("utf-8", "replace"))
        else:
            return ()
        return tuple(dict.fromkeys(self._in_scope(target, found)))

    def _in_scope(self, target: str, found: Iterator[str]) -> Iterator[str]:
        for reference in found:
            url = urljoin(self.base + target, reference.strip())
            if url.startswith(f"{self.base}/"):
                parts = urlsplit(url)
                yield parts.path + (f"?{parts.query}" if parts.query else "")


def missing(target: str) -> Page:
    """A 404 that names what is not there."""
    return Page((plain(nasty.html(f"Nothing at {target}").encode(), status=404),))


def _months_around(year: int, month: int) -> Iterator[str]:
    for number in (year * 12 + month - 2, year * 12 + month):
        if 1000 <= number // 12 <= LAST_YEAR:
            yield f"/calendar/{number // 12:04}/{number % 12 + 1:02}"


def _links_in_html(text: str) -> Iterator[str]:
    for tag in TAG_LINK.finditer(SCRIPTS.sub(r"<script\1>", text)):
        if not NOT_A_PAGE.search(tag["all"]):
            yield unescape(tag["double"] if tag["double"] is not None else tag["single"])


def _links_in_css(text: str) -> Iterator[str]:
    without_comments = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for found in CSS_LINK.finditer(without_comments):
        yield found[1] or found[2]
