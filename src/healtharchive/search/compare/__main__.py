"""The child that compares two pages: one order on stdin, the comparison on stdout.

It may hang on a dead mount or die of what it parses; `request`, which started it, expects both.
"""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass

from healtharchive.model.errors import BadInput
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.compare.comparison import compare
from healtharchive.search.compare.document import Document, Heading, document
from healtharchive.search.compare.headings import headings_in
from healtharchive.search.compare.live import LiveFailed, fetch_live
from healtharchive.search.compare.request import (
    Compared,
    CompareOrder,
    LiveFacts,
    Refusal,
    Side,
)
from healtharchive.search.compare.weighing import weigh
from healtharchive.search.extract import PageText, characters, kind_of
from healtharchive.search.harvest import LARGEST_DECODED_BYTES, body_of, page_of
from healtharchive.search.stored import OutOfReach, find
from healtharchive.warc.decoding import decode_content
from healtharchive.warc.payload import http_head

MEMORY_BYTES = 2 << 30  # a hostile page may ask for any amount


class Refused(Exception):
    """There is nothing to compare."""

    def __init__(self, why: Refusal, reason: str = "") -> None:
        super().__init__(why)
        self.why: Refusal = why
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reading:
    """A page as it is compared."""

    title: str
    text: str
    language: str
    headings: tuple[Heading, ...] = ()
    rendered: bool = False  # by a browser: its mark-up says something else


def main() -> int:
    """Answer one order."""
    _bound_memory()
    order = from_line(CompareOrder, sys.stdin.buffer.readline())
    sys.stdout.buffer.write(to_line(_answer(order)))
    sys.stdout.buffer.flush()
    return 0


def _answer(order: CompareOrder) -> Compared:
    try:
        old = _reading(order.old)
        new, live = _new_reading(order.new, old)
    except Refused as refused:
        return Compared(refused=refused.why, reason=refused.reason)
    except (MemoryError, RecursionError):
        return Compared(refused="too_large")
    structured = bool(old.headings) == bool(new.headings)
    if not structured:  # a heading that only one side knows of would look like a change
        old, new = (Reading(each.title, each.text, each.language) for each in (old, new))
    common = frozenset(order.common)
    comparison = compare(_document(old, common), _document(new, common))
    structured = structured and bool(old.headings)
    return Compared(comparison, weigh(comparison), structured, live=live)


def _new_reading(side: Side, old: Reading) -> tuple[Reading, LiveFacts | None]:
    if side.live is None:
        return _reading(side), None
    if old.rendered:
        raise Refused("live", "scripts build this page, and only a browser could read it today")
    try:
        found = fetch_live(side.live)
    except LiveFailed as failure:
        raise Refused("live", str(failure)) from failure
    page = found.page
    reading = Reading(page.title, page.text, page.language, tuple(headings_in(found.html)))
    return reading, LiveFacts(found.url, found.at, page.title)


def _document(reading: Reading, common: frozenset[str]) -> Document:
    return document(reading.title, reading.text, reading.language, reading.headings, common)


def _reading(side: Side) -> Reading:
    """The page's text by the index, or else by its record; headings when both say the same.

    A page whose text a browser has rendered says something else in its mark-up.
    """
    if side.record is None:
        return Reading(side.title, side.text, side.language)
    page, headings = _stored_page(side)
    if not side.text:
        if not page.text:
            raise Refused("no_text")
        return Reading(page.title, page.text, page.language, headings)
    if page.text == side.text:
        return Reading(side.title, side.text, side.language, headings)
    rendered = kind_of(side.mime) in ("", "html")
    return Reading(side.title, side.text, side.language, rendered=rendered)


def _stored_page(side: Side) -> tuple[PageText, tuple[Heading, ...]]:
    assert side.record is not None
    kind = kind_of(side.mime) or ("html" if not side.mime or side.text else "")
    if not kind:
        raise Refused("no_text")
    try:
        record = find(side.payload or side.record).record
        head, body = http_head(record), body_of(record)
    except FileNotFoundError as error:
        raise Refused("out_of_reach", f"{error.filename} is not at its place") from error
    except (OutOfReach, OSError) as error:
        raise Refused("out_of_reach", str(error)) from error
    except BadInput as error:
        raise Refused("unreadable", error.what) from error
    if head is None:
        raise Refused("unreadable", "there is no HTTP message in the record")
    page = page_of(head, kind, body, side.url)
    if kind != "html":
        return page, ()
    encodings = ",".join(head.headers.all("Content-Encoding"))
    decoded = decode_content(body, encodings, LARGEST_DECODED_BYTES).data
    text, _ = characters(decoded, head.headers.get("Content-Type", ""))
    return page, tuple(headings_in(text))


def _bound_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, most))


if __name__ == "__main__":
    os._exit(main())  # at once: a thread may still be looking a name up
