"""What a page looked like and said when it was rendered, as WARC records beside its response.

The rendered text is a `conversion` (WARC 1.1 §6.7), pictures are a `resource` each (§6.4); their
URNs are those that Browsertrix writes, so that other tools find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healtharchive.warc.companions import (
    SCREENSHOT_PREFIX,
    TEXT_PREFIX,
    TEXT_TYPE,
    THUMBNAIL_PREFIX,
    text_block,
)
from healtharchive.warc.digest import label, sha256_hex
from healtharchive.warc.record import Fields, header, member, new_record_id, warc_date


@dataclass(frozen=True, slots=True)
class Rendition:
    """A page as it was rendered. Pictures may be missing (b"")."""

    url: str
    at: datetime
    title: str
    text: str
    screenshot: bytes = b""
    screenshot_type: str = "image/jpeg"
    thumbnail: bytes = b""

    def records(self, response_id: str) -> tuple[bytes, ...]:
        """The gzip members of its records, each tied to the response that it was made of."""
        made = [self._text(response_id)]
        pictures = (
            (THUMBNAIL_PREFIX, self.thumbnail, "image/jpeg"),
            (SCREENSHOT_PREFIX, self.screenshot, self.screenshot_type),
        )
        for prefix, picture, media_type in pictures:
            if picture:
                made.append(self._picture(prefix, picture, media_type, response_id))
        return tuple(made)

    def _text(self, response_id: str) -> bytes:
        refers = ("WARC-Refers-To", response_id)
        block = text_block(self.title, self.text)
        return self._record("conversion", TEXT_PREFIX, block, TEXT_TYPE, refers)

    def _picture(self, prefix: str, picture: bytes, media_type: str, response_id: str) -> bytes:
        concurrent = ("WARC-Concurrent-To", response_id)
        return self._record("resource", prefix, picture, media_type, concurrent)

    def _record(
        self, kind: str, prefix: str, block: bytes, media_type: str, tie: tuple[str, str]
    ) -> bytes:
        digest = label(sha256_hex(block))
        fields: Fields = [
            ("WARC-Record-ID", new_record_id()),
            ("WARC-Date", warc_date(self.at)),
            ("WARC-Target-URI", f"{prefix}{self.url}"),
            tie,
            ("WARC-Block-Digest", digest),
            ("WARC-Payload-Digest", digest),
            ("Content-Type", media_type),
        ]
        return member(header(kind, fields, len(block)), block)
