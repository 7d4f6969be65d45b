"""What a rendered page is, and whether a page was a shell that only scripts fill. All pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from selectolax.lexbor import LexborHTMLParser

from healtharchive.crawl.markup import HARMLESS_TAGS

BEHAVIOURS = frozenset(("lazy", "media", "details", "scroll", "more"))
UNSEEN = "script,style,noscript,template,head,svg"
ROOTS = "#root,#app,#__next,#__nuxt,#main-app,#react-root,app-root,[ng-app],[data-reactroot]"
SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How much one page may cost, and what is wanted of it.

    `deadline_seconds` is for all of it. The network has to be quiet for `quiet_seconds`, which is
    waited for `settle_seconds` at most each time.
    """

    deadline_seconds: float = 60.0
    quiet_seconds: float = 0.5
    settle_seconds: float = 8.0
    screenshots: bool = True
    behaviours: frozenset[str] = BEHAVIOURS
    most_screens: int = 40
    most_clicks: int = 10


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as somebody would have seen it.

    `url` is the document's own at the end: scripts may have changed it. `text` has one block a
    line, with open shadow DOM and frames. `links` are absolute, without fragments, each once; also
    those that scripts opened as windows, routes or downloads. `screenshot` is of the whole page,
    `thumbnail` of the first screen; both are `media_type`, and empty when they were not wanted.
    `left`: another document took the page's place; then there are only links and notes.
    """

    url: str
    title: str
    text: str
    links: tuple[str, ...]
    screenshot: bytes
    thumbnail: bytes
    media_type: str
    elements: int
    notes: tuple[str, ...]
    elapsed_seconds: float
    left: bool = False


Failure = Literal["crashed", "hung", "browser", "navigation"]


class RenderFailed(Exception):
    """A page could not be rendered.

    `crashed` and `hung`: by this page's own doing, or its renderer's. `navigation`: there was no
    document. `browser`: the browser or its driver was lost, whoever's fault that was.
    """

    def __init__(self, kind: Failure, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: Failure = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ShellMeasure:
    """How much of a page is there: characters of text, links, scripts, an empty root element."""

    text_length: int
    links: int
    scripts: int = 0
    empty_root: bool = field(default=False)


def shell_measure(html: str) -> ShellMeasure:
    """The measure of a page as it was served, scripts not run.

    Of a huge page only the beginning is read, as deep nesting costs the parser's time squared.
    """
    tree = LexborHTMLParser("<".join(html.split("<", HARMLESS_TAGS)[:HARMLESS_TAGS]))
    scripts = len(tree.css("script"))
    links = {node.attributes.get("href") for node in tree.css("a[href],area[href]")}
    for node in tree.css(UNSEEN):
        node.decompose()
    body = tree.body
    text = body.text(separator=" ") if body is not None else ""
    empty = any(not node.text(strip=True) for node in tree.css(ROOTS))
    return ShellMeasure(len(SPACE.sub(" ", text).strip()), len(links), scripts, empty)


def measure_of(rendered: Rendered) -> ShellMeasure:
    """The measure of the same page after its scripts have run."""
    text = SPACE.sub(" ", rendered.text).strip()
    return ShellMeasure(len(text), len(rendered.links))


def is_shell(before: ShellMeasure, after: ShellMeasure) -> bool:
    """Whether scripts brought most of the page: rendering it was worth while.

    Most of its text (at least twice as much and 200 characters more) or of its links (twice as
    many and 5 more). The constants spare pages to which scripts add a menu, a date or a counter.
    """
    more_text = after.text_length >= 2 * before.text_length + 200
    more_links = after.links >= 2 * before.links + 5
    return more_text or more_links
