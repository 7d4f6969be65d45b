"""What is shown of a captured record: a harmless page, a style sheet, or the body as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urldefrag

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

from healtharchive.search.stored import find
from healtharchive.warc.decoding import decode_content
from healtharchive.warc.fields import NamedFields
from healtharchive.warc.payload import HttpHead, http_head, payload_stream
from healtharchive.warc.reader import WarcRecord
from healtharchive.web import stylesheets
from healtharchive.web.doorway import Doorway
from healtharchive.web.exhibit_kinds import AS_TEXT, CSS, HTML, SHOWN
from healtharchive.web.isolate import isolate
from healtharchive.web.reading import Answer, ReadOrder

# Only ASCII: what they find goes into a header.
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE | re.ASCII)
BINARY = "application/octet-stream"
LARGEST_PAGE_BYTES = 30_000_000
LARGEST_DECODED_BYTES = 500_000_000
SNIFFED_BYTES = 1 << 16
# By its first bytes, whatever the record says of itself: nothing else leaves as a picture.
PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Exhibit:
    """An answer and the pieces of its body."""

    answer: Answer
    body: Iterable[bytes] = ()


def exhibit(order: ReadOrder) -> Exhibit:
    """The record as a reader may see it. What `stored.find` raises passes through.

    A revisit shows its own status and location, and the body of the record it refers to.
    """
    record = find(order.record).record
    head = http_head(record)
    if head and head.status in range(300, 400) and "Location" in head.headers:
        return _redirect(head.headers["Location"], order)
    if record.record_type == "revisit":
        if order.payload is None:
            return Exhibit(Answer(refused="missing"))
        record = find(order.payload).record
        head = http_head(record)
    doorway = Doorway(order.url, order.timestamp, order.language)
    return _show(record, head.headers if head else record.headers, head, doorway)


def picture(order: ReadOrder) -> Exhibit:
    """A picture taken of a page: PNG or JPEG, or else refused. Raises as `exhibit` does."""
    record = find(order.record).record
    begins = record.block(SNIFFED_BYTES)
    for magic, media_type in PICTURES.items():
        if begins.startswith(magic):
            return Exhibit(Answer(media_type), record.block_stream())
    return Exhibit(Answer(refused="unreadable"))


def _redirect(location: str, order: ReadOrder) -> Exhibit:
    doorway = Doorway(order.url, order.timestamp, order.language)
    address = doorway.requisite(urldefrag(location).url)
    if address is None or not address.startswith("/at/"):
        return Exhibit(Answer(refused="missing"))
    return Exhibit(Answer(location=address))


def _show(
    record: WarcRecord, headers: NamedFields, head: HttpHead | None, doorway: Doorway
) -> Exhibit:
    declared = headers.get("Content-Type", "")
    found = MEDIA_TYPE.match(declared.strip().lower())
    media_type = found.group() if found else ""
    encodings = ",".join(headers.all("Content-Encoding")) if head else ""
    if media_type in HTML or media_type == CSS or not media_type:
        return _rewritten(record, media_type, declared, encodings, doorway)
    body = _decoded(record, encodings)
    if media_type.startswith(SHOWN):
        return Exhibit(Answer(media_type), body)
    if AS_TEXT.match(media_type):
        charset = CHARSET.search(declared)
        named = f"; charset={charset.group(1)}" if charset else ""
        return Exhibit(Answer(f"text/plain{named}"), body)
    return Exhibit(Answer(media_type or BINARY, attachment=True), body)


def _rewritten(
    record: WarcRecord, media_type: str, declared: str, encodings: str, doorway: Doorway
) -> Exhibit:
    data = b"".join(_decoded(record, encodings, LARGEST_PAGE_BYTES))
    if len(data) >= LARGEST_PAGE_BYTES:
        return Exhibit(Answer(refused="too_large"))
    if not media_type and data.lstrip()[:1] != b"<":
        return Exhibit(Answer(BINARY, attachment=True), [data])
    text = _text(data, declared)
    if media_type == CSS:
        shown = stylesheets.rewrite(text, doorway)
        return Exhibit(Answer("text/css; charset=utf-8"), [shown.encode("utf-8", "replace")])
    shown = isolate(text, doorway)
    return Exhibit(Answer("text/html; charset=utf-8"), [shown.encode("utf-8", "replace")])


def _decoded(
    record: WarcRecord, encodings: str, limit_bytes: int = LARGEST_DECODED_BYTES
) -> Iterable[bytes]:
    """The body without its content codings; piece by piece when it has none."""
    if encodings.replace("identity", "").strip(" ,"):
        return [decode_content(b"".join(payload_stream(record)), encodings, limit_bytes).data]
    return payload_stream(record)


def _text(data: bytes, declared: str) -> str:
    """The characters of a page or style sheet, as browsers find its encoding (HTML §13.2.3.1)."""
    named = CHARSET.search(declared)
    encoding = map_encoding_to_html5(named.group(1), fallback_utf8=False) if named else None
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or not encoding:
        encoding = detect_encoding(data[:SNIFFED_BYTES], from_html_meta=True)
    return str(bytes_to_str(data, encoding or "utf-8", errors="replace"))
