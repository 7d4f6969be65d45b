"""What stands beside a response in a WARC file: what it was asked with, its rendered text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from healtharchive.warc.reader import WarcRecord

T = TypeVar("T")

# As Browsertrix writes them.
TEXT_PREFIX = "urn:text:"
SCREENSHOT_PREFIX = "urn:view:"
THUMBNAIL_PREFIX = "urn:thumbnail:"
PICTURE_PREFIXES = (THUMBNAIL_PREFIX, SCREENSHOT_PREFIX)
TEXT_TYPE = "text/plain; charset=utf-8"
MOST_WAITING = 64  # records whose response has not been read yet
ASIDE_FIELD = "HealthArchive-Aside"  # an extension field (WARC 1.1 §4): others pass over it
REQUEST_BYTES = 1 << 16
PARTIAL = (206, 304, 416)  # what only whoever asked for a part may be answered
RANGE = re.compile(rb"^range[ \t]*:", re.IGNORECASE | re.MULTILINE)


def text_block(title: str, text: str) -> bytes:
    """The block of a text's record: the title on a line of its own, an empty line, the text."""
    return f"{' '.join(title.split())}\n\n{text}".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture's record: what its URI begins with, and its place in the file."""

    prefix: str
    offset: int
    length: int


class Companions:
    """What was read of a file, from its beginning, that a response still to come refers to."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, str]] = {}
        self._aside: dict[str, bool] = {}  # False: a GET with a range
        self._pictures: dict[str, tuple[Pictured, ...]] = {}

    def note(self, record: WarcRecord) -> None:
        """Keep what a record says of another one."""
        if record.record_type == "request":
            request = record.block(REQUEST_BYTES)
            plain = request.startswith(b"GET ")
            if not plain or RANGE.search(request):
                _keep(self._aside, record.headers.get("WARC-Concurrent-To", ""), not plain)
        if record.record_type == "conversion" and _is_text(record):
            title, _, text = record.block().decode("utf-8", "replace").partition("\n\n")
            _keep(self._texts, record.headers.get("WARC-Refers-To", ""), (title, text))
        if record.record_type == "resource" and (prefix := _picture_prefix(record)):
            response_id = record.headers.get("WARC-Concurrent-To", "")
            before = self._pictures.get(response_id, ())
            if all(each.prefix != prefix for each in before):
                picture = Pictured(prefix, record.offset, record.length)
                _keep(self._pictures, response_id, (*before, picture))

    def aside(self, record: WarcRecord, status: int | None) -> bool:
        """Whether a response answers a part of its URL, or another method than GET, or says so.

        It is kept, but is not what somebody sees who opens the URL.
        """
        if ASIDE_FIELD in record.headers:
            return True
        otherwise = self._aside.pop(record.record_id, None)
        return otherwise is not None and (otherwise or status in PARTIAL)

    def text(self, record: WarcRecord) -> tuple[str, str] | None:
        """The title and the text that a response's page had when it was rendered; None if never."""
        return self._texts.pop(record.record_id, None)

    def pictures(self, record: WarcRecord) -> tuple[Pictured, ...]:
        """Where the pictures of a response's page lie; empty when it was not rendered."""
        return self._pictures.pop(record.record_id, ())


def _picture_prefix(record: WarcRecord) -> str:
    uri = record.target_uri or ""
    return next((prefix for prefix in PICTURE_PREFIXES if uri.startswith(prefix)), "")


def _is_text(record: WarcRecord) -> bool:
    return (record.target_uri or "").startswith(TEXT_PREFIX)


def _keep(kept: dict[str, T], key: str, value: T) -> None:
    if len(kept) >= MOST_WAITING:
        kept.pop(next(iter(kept)))
    kept[key] = value
