"""Sitemaps: the pages and further sitemaps that a site lists itself (sitemaps.org 0.9).

Read with one pattern rather than an XML parser: real sitemaps are often not well-formed, and
what is never expanded cannot explode (entity bombs).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from healtharchive.crawl.charsets import text_of
from healtharchive.warc.decoding import decode_content

GZIP_MAGIC = b"\x1f\x8b"
# The protocol allows 50 MB unpacked; many sites are a little over it.
LIMIT_BYTES = 64_000_000
MAX_ENTRIES = 1_000_000
LONGEST_URL = 8192
SCHEMES = ("http://", "https://")
ROOT = re.compile(
    r"<(?:([\w.-]{1,40}):)?(sitemapindex|urlset|rss|feed|rdf)(?=[\s>/])", re.IGNORECASE
)
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# An opening tag with its text (a URL holds no "<", in CDATA neither), or the end of an entry.
TOKEN = (
    r"<{prefix}(loc|lastmod|pubdate|updated|link)\b([^<>]*)>\s*+(?:<!\[CDATA\[)?([^<\]]*)"
    r"|</{prefix}(?:url|sitemap|item|entry)\s*>"
)
HREF = re.compile(r"""\bhref\s*=\s*["']([^"'<>]*)""", re.IGNORECASE)
LOCATIONS = ("loc", "link")
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
    text = text_of(data, None)
    root = ROOT.search(text)
    return _read_xml(text, root, problem) if root else _read_lines(text, problem)


def newest_first(pages: tuple[Entry, ...]) -> list[Entry]:
    """The entries by the day they say they changed, then those that name none, as they are listed.

    A job that may only have so many pages has the newest ones of a site then.
    """
    return sorted(pages, key=lambda entry: _day(entry[1]), reverse=True)


def _day(lastmod: str | None) -> str:
    return lastmod[:10] if lastmod and W3C_DATE.match(lastmod) else ""


def _read_xml(text: str, root: re.Match[str], problem: str) -> Sitemap:
    kind = root[2].lower()
    if "<!--" in text:
        text = COMMENT.sub("", text)
    # The prefix of the root keeps image:loc and video:loc out.
    entries: list[Entry] = []
    for entry in _entries(text, f"{re.escape(root[1])}:" if root[1] else ""):
        if len(entries) == MAX_ENTRIES:
            problem = problem or f"more than {MAX_ENTRIES} entries"
            break
        entries.append(entry)
    if kind == "sitemapindex":
        locations = tuple(location for location, _ in entries)
        return Sitemap(sitemaps=locations, problem=problem or _ending_fault(text, kind))
    return Sitemap(pages=tuple(entries), problem=problem or _ending_fault(text, kind))


def _entries(text: str, prefix: str) -> Iterator[Entry]:
    """Each location with its date, whichever of the two comes first in its entry."""
    location: str | None = None
    date: str | None = None
    for found in re.finditer(TOKEN.format(prefix=prefix), text, re.IGNORECASE):
        name = (found[1] or "").lower()
        if name in LOCATIONS:
            if location:
                yield location, date
                date = None
            location = _location(found)
        elif name:
            date = found[3].strip()[:64] or date
        else:
            if location:
                yield location, date
            location = date = None
    if location:
        yield location, date


def _location(found: re.Match[str]) -> str | None:
    """The URL of a <loc>, of RSS's <link> or of Atom's <link href>; None when it is none."""
    named = HREF.search(found[2]) if found[2] else None
    url = html.unescape(named[1] if named else found[3]).strip()
    return url if url.lower().startswith(SCHEMES) and len(url) <= LONGEST_URL else None


def _ending_fault(text: str, kind: str) -> str:
    return "" if f"{kind}>" in text[-200:].lower() else "it is cut off"


def _read_lines(text: str, problem: str) -> Sitemap:
    """A text sitemap: one URL a line, and nothing else."""
    lines = [line for each in text.splitlines()[:MAX_ENTRIES] if (line := each.strip())]
    pages = [(url, None) for url in lines if _is_url(url)]
    if 2 * len(pages) < len(lines):
        # Most likely a page that says "not found".
        return Sitemap(problem=problem or "it is no sitemap")
    return Sitemap(pages=tuple(pages), problem=problem or ("" if pages else "it is empty"))


def _is_url(line: str) -> bool:
    plain = not any(character.isspace() for character in line)
    return plain and line.lower().startswith(SCHEMES) and len(line) <= LONGEST_URL
