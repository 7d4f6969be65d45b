"""The small files of a WACZ: its data package, its page lists, and the index of its index."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from types import MappingProxyType

from healtharchive.warc.wacz import PACKAGE_NAME, Entry

WACZ_VERSION = "1.1.1"
INDEX_FORMAT = "cdxj-gzip-1.0"
# As py-wacz has it: a reader who looks up one URL fetches some 50 kB of the index.
LINES_A_BLOCK = 1024
GZIP_LEVEL = 6
KEY_CHARS = 24


@dataclass(frozen=True, slots=True)
class About:
    """What a data package says of itself. `created` (UTC) is when its newest WARC was sealed."""

    title: str
    description: str
    created: datetime
    software: str


@dataclass(frozen=True, slots=True)
class Page:
    """One captured page of the list that a replay tool shows."""

    url: str
    captured_at: datetime
    title: str


def moment(at: datetime) -> str:
    """A moment as the tools for WACZ read it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def package(
    about: About, entries: Sequence[Entry], more: Mapping[str, object] = MappingProxyType({})
) -> bytes:
    """datapackage.json, which lists every other file with its SHA-256 (WACZ 1.1.1 §5.3)."""
    facts = {
        "profile": "data-package",
        "wacz_version": WACZ_VERSION,
        "title": about.title,
        "description": about.description,
        "created": moment(about.created),
        "software": about.software,
        **more,
        "resources": [
            {
                "name": PurePosixPath(each.name).name.lower(),
                "path": each.name,
                "hash": f"sha256:{each.sha256}",
                "bytes": each.size_bytes,
            }
            for each in entries
        ],
    }
    return _pretty(facts)


def package_digest(package_json: bytes, signed: object = None) -> bytes:
    """datapackage-digest.json, with the `signedData` of WACZ Signing 0.1.0 if there is any."""
    facts = {"path": PACKAGE_NAME, "hash": f"sha256:{hashlib.sha256(package_json).hexdigest()}"}
    return _pretty(facts if signed is None else {**facts, "signedData": signed})


def page_lines(title: str, pages: Iterable[Page], list_id: str) -> Iterator[bytes]:
    """A page list: its header, then a line for each page."""
    yield _line({"format": "json-pages-1.0", "id": list_id, "title": title})
    for page in pages:
        at = moment(page.captured_at)
        key = hashlib.sha256(f"{at} {page.url}".encode("utf-8", "replace")).hexdigest()
        yield _line({"id": key[:KEY_CHARS], "url": page.url, "ts": at, "title": page.title})


def index_blocks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """A sorted CDXJ as ZipNum: the gzip members of the index, each with its line of the .idx.

    The .idx begins with `index_head`. wabac.js reads that file, and of the index only the members
    it needs.
    """
    offset = 0
    for block in _blocks(lines):
        packed = gzip.compress(b"".join(block), GZIP_LEVEL, mtime=0)
        facts = {
            "offset": offset,
            "length": len(packed),
            "digest": f"sha256:{hashlib.sha256(packed).hexdigest()}",
            "filename": "index.cdx.gz",
        }
        key = block[0].partition(b" {")[0]
        yield packed, key + b" " + _line(facts)
        offset += len(packed)


def index_head() -> bytes:
    """The first line of an .idx."""
    return b"!meta 0 " + _line({"format": INDEX_FORMAT, "filename": "index.cdx.gz"})


def _blocks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    for line in lines:
        block.append(line)
        if len(block) == LINES_A_BLOCK:
            yield block
            block = []
    if block:
        yield block


def _line(facts: object) -> bytes:
    return json.dumps(facts, ensure_ascii=True).encode() + b"\n"


def _pretty(facts: object) -> bytes:
    return json.dumps(facts, indent=2, ensure_ascii=True).encode() + b"\n"
