"""From a WARC record to what the archive knows of it: a capture, its payload, its page."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC

from healtharchive.model.captures import Capture
from healtharchive.model.pictures import Picture, PictureKind
from healtharchive.search.extract import PageText, kind_of, page_text, tidy
from healtharchive.search.language import language_in_url, language_of
from healtharchive.search.payloads import Payload
from healtharchive.search.pdf import LARGEST_BYTES
from healtharchive.warc.cdxj import stored_key
from healtharchive.warc.claims import PAYLOAD_FIELD
from healtharchive.warc.companions import SCREENSHOT_PREFIX, THUMBNAIL_PREFIX, Companions
from healtharchive.warc.decoding import decode_content
from healtharchive.warc.digest import label
from healtharchive.warc.payload import HttpHead, http_head, payload_stream
from healtharchive.warc.reader import WarcRecord
from healtharchive.warc.record import ENTITY_DIGEST_FIELD, warc_date

CAPTURED_TYPES = ("response", "revisit")
# As wide as the columns that take them.
MIME_CHARS = 255
DIGEST_CHARS = 80
TRUNCATED_CHARS = 32
PICTURE_KINDS = {
    THUMBNAIL_PREFIX: PictureKind.THUMBNAIL,
    SCREENSHOT_PREFIX: PictureKind.SCREENSHOT,
}
END_OF_MIME = re.compile(r"[;,\s]")
# A server that names no type at all: only what plainly is a page counts as one.
BEGINS_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.I | re.S)
LARGEST_DECODED_BYTES = LARGEST_BYTES


@dataclass(frozen=True, slots=True)
class Harvest:
    """A capture; `page` if it can be searched, `payload` if later editions may refer to it.

    A revisit has neither: `kind` says that it is of a page, whose text is elsewhere.
    """

    capture: Capture
    kind: str
    page: PageText | None = None
    payload: Payload | None = None
    pictures: tuple[Picture, ...] = ()


def harvest(record: WarcRecord, companions: Companions | None = None) -> Harvest | None:
    """What a record yields; None for records that are no captures of a URL.

    `companions` have seen the records before it in its file.

    BadInput when the file has changed under the reader. OSError passes through.
    """
    if record.record_type not in CAPTURED_TYPES or not record.target_uri or not record.date:
        return None
    head = http_head(record)
    beside = companions or Companions()
    if head is None or beside.aside(record, head.status):
        return None
    found = _harvest(record, head)
    pictures = tuple(
        Picture(PICTURE_KINDS[each.prefix], each.offset, each.length)
        for each in beside.pictures(record)
    )
    rendered = beside.text(record)
    found = found if rendered is None else _as_rendered(found, *rendered)
    return replace(found, pictures=pictures)


def _harvest(record: WarcRecord, head: HttpHead) -> Harvest:
    mime = _mime(head)
    kind = kind_of(mime) if head.status in range(200, 300) else ""
    if record.record_type == "revisit":
        digest = _known_digest(record)
        return Harvest(_capture(record, head, mime, digest, None), kind)
    unnamed = not mime and head.status in range(200, 300)
    body = _read(record, keep=bool(kind) or unnamed)
    if unnamed and BEGINS_HTML.match(body.kept):
        kind = "html"
    digest = _known_digest(record) or body.digest
    capture = _capture(record, head, mime, digest, body.size_bytes)
    page = page_of(head, kind, body.kept, capture.url) if kind else None
    return Harvest(capture, kind, page, _payload(record, capture))


def _as_rendered(found: Harvest, title: str, text: str) -> Harvest:
    """The harvest of a page whose text a browser has seen: that is what readers saw.

    A script shell says the same on every page of its site, so that its captures are revisits of
    each other; what was rendered is each one's own.
    """
    url = found.capture.url
    before = found.page or PageText("html", "", "", language_in_url(url))
    body = tidy(text)
    language = language_of(body, before.language) or before.language
    page = PageText("html", title or before.title, body, language, headings=before.headings)
    return replace(found, kind="", page=page)


def page_of(head: HttpHead, kind: str, body: bytes, url: str) -> PageText:
    """The text of a response's body, whose content codings are taken off first."""
    decoded = decode_content(
        body, ",".join(head.headers.all("Content-Encoding")), LARGEST_DECODED_BYTES
    )
    page = page_text(
        b"" if decoded.opaque else decoded.data,
        kind,
        head.headers.get("Content-Type", ""),
        head.headers.get("Content-Language", ""),
    )
    return replace(
        page,
        language=page.language or language_in_url(url),
        problem="; ".join(filter(None, (decoded.problem, page.problem))),
    )


def body_of(record: WarcRecord) -> bytes:
    """The start of a record's payload, as much of it as is ever read for its text."""
    return _read(record, keep=True).kept


@dataclass(frozen=True, slots=True)
class _Body:
    kept: bytes
    size_bytes: int
    digest: str


def _read(record: WarcRecord, *, keep: bool) -> _Body:
    """One pass over the payload; hashed only when the record does not give its digest."""
    hashed = None if _known_digest(record) else hashlib.sha256()
    kept: list[bytes] = []
    room = LARGEST_BYTES + 1 if keep else 0  # one more: a PDF that is too large shows
    size = 0
    for piece in payload_stream(record):
        size += len(piece)
        if hashed:
            hashed.update(piece)
        if room > 0:
            kept.append(piece[:room])
            room -= len(kept[-1])
    return _Body(b"".join(kept), size, label(hashed.hexdigest()) if hashed else "")


def _known_digest(record: WarcRecord) -> str | None:
    given = record.headers.get(PAYLOAD_FIELD) or record.headers.get(ENTITY_DIGEST_FIELD)
    return given if given and len(given) <= DIGEST_CHARS else None


def _capture(
    record: WarcRecord, head: HttpHead, mime: str, digest: str | None, size_bytes: int | None
) -> Capture:
    assert record.target_uri is not None
    assert record.date is not None
    # As in CDXJ; and PostgreSQL takes no NUL.
    url = record.target_uri.replace(" ", "%20").replace("\0", "%00")
    return Capture(
        record_offset=record.offset,
        record_length=record.length,
        record_type=record.record_type,
        url=url,
        url_key=stored_key(url),
        captured_at=record.date.astimezone(UTC),
        status_code=head.status,
        mime=mime or None,
        payload_digest=digest,
        payload_bytes=size_bytes,
        truncated=record.headers.get("WARC-Truncated", "")[:TRUNCATED_CHARS] or None,
    )


def _mime(head: HttpHead) -> str:
    declared = head.headers.get("Content-Type", "").strip().replace("\0", "")
    return END_OF_MIME.split(declared, maxsplit=1)[0].lower()[:MIME_CHARS]


def _payload(record: WarcRecord, capture: Capture) -> Payload | None:
    if not capture.payload_bytes or capture.truncated or not capture.payload_digest:
        return None
    return Payload(
        capture.payload_digest,
        capture.url,
        warc_date(capture.captured_at),
        record.record_id,
        capture.payload_bytes,
    )
