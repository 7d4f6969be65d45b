"""CDXJ: the sorted text index of a WARC file that pywb and other replay tools read.

A line is `surt timestamp14 {json}`, equal to what cdxj-indexer writes for the same record, but:
`metadata` records are left out (nothing replays them), a chunked response's digest is that of its
de-chunked body where the record gives it (`HealthArchive-Payload-Digest`), and a record without
a WARC-Target-URI or a readable WARC-Date is reported instead of ending the run.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import BinaryIO

from healtharchive.warc.claims import PAYLOAD_FIELD, payload_digest
from healtharchive.warc.companions import Companions
from healtharchive.warc.payload import HttpHead, http_head
from healtharchive.warc.reader import BadRecord, WarcRecord, read_records
from healtharchive.warc.record import ENTITY_DIGEST_FIELD
from healtharchive.warc.segment import fsync_directory

INDEXED_TYPES = ("response", "revisit", "resource")
FIELDS_TYPE = "application/warc-fields"
REVISIT_MIME = "warc/revisit"
PARTIAL_SUFFIX = ".partial"
# PostgreSQL's indexes take no row above a third of a page, some 2,700 bytes.
LONGEST_KEY_BYTES = 2000
END_OF_MIME = re.compile(r"[;\s]")

OnBad = Callable[[BadRecord], None]


@dataclass(frozen=True, slots=True)
class CdxLine:
    """One capture: its URL, its moment (UTC, 14 digits), and where in which file it lies.

    `record_type` is for the caller; the text does not have it.
    """

    url_key: str
    timestamp14: str
    url: str
    mime: str | None
    status: int | None
    digest: str | None
    length: int
    offset: int
    filename: str
    record_type: str

    def to_text(self) -> str:
        """The line without its line feed, in ASCII but for an unusual url_key."""
        facts = {
            "url": self.url,
            "mime": self.mime,
            "status": None if self.status is None else str(self.status),
            "digest": self.digest,
            "length": str(self.length),
            "offset": str(self.offset),
            "filename": self.filename,
        }
        known = {name: value for name, value in facts.items() if value is not None}
        return f"{self.url_key} {self.timestamp14} {json.dumps(known)}"


def cdxj_lines(
    path: Path, *, on_bad: OnBad | None = None, stream: BinaryIO | None = None
) -> Iterator[CdxLine]:
    """The index lines of a WARC file in the file's order; `on_bad` hears of what has none.

    Answers to other requests than a GET of the whole have none: nobody who looks a URL up is to
    see them. A `stream` has the bytes of what only has the path's name. OSError when the file
    cannot be read.
    """
    companions = Companions()
    for record in read_records(stream or path):
        if isinstance(record, BadRecord):
            line: CdxLine | BadRecord | None = record
        else:
            companions.note(record)
            line = _index(record, path.name, companions)
        if isinstance(line, CdxLine):
            yield line
        elif line and on_bad:
            on_bad(line)


def write_cdxj(warc_path: Path, out_path: Path, *, on_bad: OnBad | None = None) -> int:
    """Write the sorted index of a WARC file; returns the number of lines.

    Sorted by bytes, as LC_ALL=C sort does. The file is whole and durable under its name, or not
    there. OSError when either file fails.
    """
    lines = sorted(line.to_text().encode() for line in cdxj_lines(warc_path, on_bad=on_bad))
    partial = out_path.with_name(out_path.name + PARTIAL_SUFFIX)
    with partial.open("wb") as stream:
        stream.writelines(line + b"\n" for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(partial, out_path)
    fsync_directory(out_path.parent)
    return len(lines)


def url_key(url: str) -> str:
    """The SURT of a URL, under which its captures sort together; the URL itself if it has none."""
    import surt  # it takes a tenth of a second, and most processes never need a key

    key = url
    if not url.isspace():  # surt fails on blanks alone
        with contextlib.suppress(ValueError):
            key = str(surt.surt(url))
    return "%20".join(key.split())


def stored_key(url: str) -> str:
    """The url_key as a database's index takes it: a very long one ends with a digest of all of it.

    Our own crawls know no URL that long; other people's WARC files do.
    """
    key = url_key(url)
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) <= LONGEST_KEY_BYTES:
        return key
    digest = hashlib.sha256(raw).hexdigest()
    kept = raw[: LONGEST_KEY_BYTES - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept}#{digest}"


def _index(record: WarcRecord, filename: str, companions: Companions) -> CdxLine | BadRecord | None:
    """The line of a record, None if its kind has none, or why there can be none."""
    fields = record.headers.get("Content-Type") == FIELDS_TYPE
    if record.record_type not in INDEXED_TYPES or (record.record_type == "resource" and fields):
        return None
    if not record.target_uri or not record.date:
        reason = "it has no WARC-Target-URI" if record.date else "it has no readable WARC-Date"
        return BadRecord(
            record.offset,
            record.length,
            reason,
            record_id=record.record_id,
            target_uri=record.target_uri,
        )
    head = http_head(record)
    if companions.aside(record, head.status if head else None):
        return None
    # warcio does so too: a URL with a blank cannot be looked up.
    url = record.target_uri.replace(" ", "%20")
    return CdxLine(
        url_key=url_key(url),
        timestamp14=record.date.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
        url=url,
        mime=_mime(record, head),
        status=head.status if head else None,
        digest=_digest(record),
        length=record.length,
        offset=record.offset,
        filename=filename,
        record_type=record.record_type,
    )


def _mime(record: WarcRecord, head: HttpHead | None) -> str | None:
    if record.record_type == "revisit":
        return REVISIT_MIME
    if record.record_type == "resource":
        declared = record.headers.get("Content-Type")
    else:
        declared = head.headers.get("Content-Type") if head else None
    return None if declared is None else END_OF_MIME.split(declared, maxsplit=1)[0]


def _digest(record: WarcRecord) -> str | None:
    """The payload digest as the record gives it; like cdxj-indexer, an SHA-1 where it has none."""
    given = record.headers.get(PAYLOAD_FIELD) or record.headers.get(ENTITY_DIGEST_FIELD)
    if given or record.record_type == "revisit":
        return given
    return "sha1:" + base64.b32encode(payload_digest(record, "sha1")).decode()
