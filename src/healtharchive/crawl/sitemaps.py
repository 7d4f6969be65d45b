"""Sitemaps: the pages and further sitemaps that a site lists itself (sitemaps.org 0.9).

Read with one pattern rather than an XML parser: real sitemaps are often not well-formed, and
what is never expanded cannot explode (entity bombs).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from healtharchive.crawl.charsets import UTF8, charset_of
from healtharchive.warc.decoding import decode_content

GZIP_MAGIC = b"\x1f\x8b"
# The protocol allows 50 MB unpacked and 50,000 entries; many sites are a little over it. These
# bound what a crawl holds of one sitemap (200 MB), and how long nothing else is done meanwhile.
LIMIT_BYTES = 64_000_000
MAX_ENTRIES = 250_000
SNIFFED_BYTES = 1_000_000
LONGEST_URL = 8192
LONGEST_WRITTEN = 6 * LONGEST_URL  # in bytes, with its escapes
SCHEMES = ("http://", "https://")
ROOT = re.compile(
    rb"<(?:([\w.-]{1,40}):)?(sitemapindex|urlset|rss|feed|rdf)(?=[\s>/])", re.IGNORECASE
)
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
# An opening tag with its text (a URL holds no "<", in CDATA neither), or the end of an entry.
# Case is ignored word by word: so the search leaps from "<" to "<".
TOKEN = (
    rb"<(?:(?i:%(prefix)b(loc|lastmod|pubdate|updated|link))\b([^<>]*)>\s*+(?:<!\[CDATA\[)?([^<\]]*)"
    rb"|/(?i:%(prefix)b(?:url|sitemap|item|entry))\s*>)"
)
HREF = re.compile(rb"""\bhref\s*=\s*["']([^"'<>]*)""", re.IGNORECASE)
LINE = re.compile(rb"[^\r\n]+")
LOCATIONS = (b"loc", b"link")
W3C_DATE = re.compile(r"[12]\d{3}-[01]\d-[0-3]\d(?![0-9])")

Entry = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap lists: (URL, lastmod as written) of its pages, and other sitemaps' URLs.

    `problem` says why that may not be all; "" when nothing is wrong.
    """

    pages: tuple[Entry, ...] = ()
    sitemaps: tuple[str, ...] = ()
    problem: str = ""


def parse(body: bytes) -> Sitemap:
    """Read a sitemap of any kind: XML, index, RSS, Atom or plain text, gzipped or not.

    Never raises. URLs are as the site wrote them, but without entities.
    """
    data, problem = body, ""
    # Twice: a .xml.gz is sometimes sent gzipped again.
    for _ in range(2):
        if data.startswith(GZIP_MAGIC):
            unpacked = decode_content(data, "gzip", LIMIT_BYTES)
            data, problem = unpacked.data, problem or unpacked.problem
    if len(data) > LIMIT_BYTES:
        data, problem = data[:LIMIT_BYTES], f"longer than {LIMIT_BYTES} bytes"
    codec, mark_bytes = charset_of(data[:SNIFFED_BYTES], None)
    if codec.startswith("utf-16"):  # the one kind whose tags are not written in ASCII
        text = data[mark_bytes : mark_bytes + LIMIT_BYTES // 4].decode(codec, "replace")
        cut = len(data) > LIMIT_BYTES // 4
        problem = problem or (f"longer than {LIMIT_BYTES // 4} bytes" if cut else "")
        data, codec, mark_bytes = text.encode("utf-8", "replace"), UTF8, 0
    root = ROOT.search(data, 0, SNIFFED_BYTES)
    if root:
        return _read_xml(data, root, codec, problem)
    return _read_lines(data, mark_bytes, codec, problem)


def newest_first(pages: tuple[Entry, ...]) -> list[Entry]:
    """The entries by the day they say they changed, then those that name none, as they are listed.

    A job that may only have so many pages has the newest ones of a site then.
    """
    return sorted(pages, key=lambda entry: _day(entry[1]), reverse=True)


def _day(lastmod: str | None) -> str:
    return lastmod[:10] if lastmod and W3C_DATE.match(lastmod) else ""


def _read_xml(data: bytes, root: re.Match[bytes], codec: str, problem: str) -> Sitemap:
    kind = root[2].lower()
    if b"<!--" in data:
        data = COMMENT.sub(b"", data)
    # The prefix of the root keeps image:loc and video:loc out.
    entries: list[Entry] = []
    for entry in _entries(data, re.escape(root[1]) + b":" if root[1] else b"", codec):
        if len(entries) == MAX_ENTRIES:
            problem = problem or f"more than {MAX_ENTRIES} entries"
            break
        entries.append(entry)
    problem = problem or ("" if kind + b">" in data[-200:].lower() else "it is cut off")
    if kind == b"sitemapindex":
        return Sitemap(sitemaps=tuple(location for location, _ in entries), problem=problem)
    return Sitemap(pages=tuple(entries), problem=problem)


def _entries(data: bytes, prefix: bytes, codec: str) -> Iterator[Entry]:
    """Each location with its date, whichever of the two comes first in its entry."""
    location: str | None = None
    date: str | None = None
    for found in re.finditer(TOKEN % {b"prefix": prefix}, data):
        name = (found[1] or b"").lower()
        if name in LOCATIONS:
            if location:
                yield location, date
                date = None
            location = _location(found, codec)
        elif name:
            date = found[3].strip()[:64].decode(codec, "replace") or date
        else:
            if location:
                yield location, date
            location = date = None
    if location:
        yield location, date


def _location(found: re.Match[bytes], codec: str) -> str | None:
    """The URL of a <loc>, of RSS's <link> or of Atom's <link href>; None when it is none."""
    named = HREF.search(found[2]) if found[2] else None
    written = named[1] if named else found[3].strip()
    if len(written) > LONGEST_WRITTEN:
        return None
    url = html.unescape(written.decode(codec, "replace")).strip()
    return url if url.lower().startswith(SCHEMES) and len(url) <= LONGEST_URL else None


def _read_lines(data: bytes, start: int, codec: str, problem: str) -> Sitemap:
    """A text sitemap: one URL a line, and nothing else."""
    pages: list[Entry] = []
    lines = 0
    for found in LINE.finditer(data, start):
        line = found[0].strip()
        if not line:
            continue
        if lines == MAX_ENTRIES:
            problem = problem or f"more than {MAX_ENTRIES} lines"
            break
        lines += 1
        url = line.decode(codec, "replace") if len(line) <= LONGEST_WRITTEN else ""
        if _is_url(url):
            pages.append((url, None))
    if 2 * len(pages) < lines:
        # Most likely a page that says "not found".
        return Sitemap(problem=problem or "it is no sitemap")
    return Sitemap(pages=tuple(pages), problem=problem or ("" if pages else "it is empty"))


def _is_url(line: str) -> bool:
    plain = not any(character.isspace() for character in line)
    return plain and line.lower().startswith(SCHEMES) and len(line) <= LONGEST_URL
