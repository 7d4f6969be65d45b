"""Links: what an answer leads to (pages) and what it is made of (assets), ready to queue."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from healtharchive.crawl.charsets import UTF8, charset_of, text_of
from healtharchive.crawl.markup import RawLinks, read_markup, refresh_target
from healtharchive.crawl.stylesheets import urls_in_css
from healtharchive.crawl.urls import canonicalize, holds_session, origin_of

BODY_LIMIT_BYTES = 10_000_000
HEADER_LIMIT = 1 << 16
LINK_HEADER = re.compile(
    r"""<([^<>]*)>((?:\s*+;\s*+[\w*-]++\s*+(?:=\s*+(?:"[^"]*+"|[^\s;,"]*+))?)*+)"""
)
RELATION = re.compile(r"""\brel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))""", re.IGNORECASE)
# The element of RSS and Atom that names what an entry speaks of; no comment nor text has a "<".
FEED_LINK = re.compile(
    r"<(?:atom:)?(?:link|guid|comments|enclosure|url)\b([^<>]*)>\s*(?:<!\[CDATA\[)?\s*([^<\]]*)",
    re.IGNORECASE,
)
FEED_ATTRIBUTE = re.compile(r"""\b(?:href|url)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
XML_STYLESHEET = re.compile(
    r"""<\?xml-stylesheet\b[^<>]*?\bhref\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""", re.IGNORECASE
)
FEED_ROOT = re.compile(rb"<(?:rss|feed|rdf:RDF)[\s>]", re.IGNORECASE)
SNIFFED_BYTES = 4096
# What can be put behind a base's origin or directory as it is; all else takes the long way.
SIMPLE_PATH = re.compile(r"(?=.{1,200}\Z)(?:\.\./)*+/?[\w%~-][^:\\#\s]*+\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """A canonical URL. An asset is part of what names it; else it is a page of its own.

    `had_session`: as it was written it held a session id, which is gone.
    """

    url: str
    asset: bool
    had_session: bool = False


def links_of(
    body: bytes,
    mime: str,
    charset: str | None,
    base_url: str,
    headers: Sequence[tuple[str, str]] = (),
) -> list[Link]:
    """The links of an answer, each once: pages first, then assets, both in their order.

    `body` is without content codings; of a longer one than BODY_LIMIT_BYTES only the beginning is
    read. Never raises. One URL may be both a page and an asset.
    """
    links = RawLinks()
    _read_headers(headers, links)
    body = body[:BODY_LIMIT_BYTES]
    codec = UTF8
    if body:
        codec = _read_body(body, mime.lower(), charset, links)
    base = canonicalize(links.base, base_url) if links.base else None
    return [
        *_canonical(links.pages, False, base or base_url, codec),
        *_canonical(links.assets, True, base or base_url, codec),
    ]


def _canonical(raw: Iterable[str], asset: bool, base: str, codec: str) -> list[Link]:
    origin = origin_of(base)
    directory = base.partition("?")[0].rpartition("/")[0] + "/"
    found: dict[str, bool] = {}
    for each in raw:
        written = each if codec == UTF8 or each.isascii() else _query_in(codec, each)
        if SIMPLE_PATH.match(written):
            url = _remembered((origin if written.startswith("/") else directory) + written)
        else:
            url = canonicalize(written, base)
        if url:
            found[url] = found.get(url, False) or holds_session(written)
    return [Link(url, asset, had_session) for url, had_session in found.items()]


@lru_cache(maxsize=20_000)
def _remembered(url: str) -> str | None:
    """The canonical form of an absolute URL; a site's menus name the same ones on every page."""
    return canonicalize(url)


def _query_in(codec: str, url: str) -> str:
    """A URL whose query is escaped in the page's own charset, as browsers do (URL §4.3)."""
    path, mark, query = url.partition("?")
    escaped = (
        each if each.isascii() else quote(each.encode(codec, "xmlcharrefreplace")) for each in query
    )
    return path + mark + "".join(escaped)


def _read_headers(headers: Sequence[tuple[str, str]], links: RawLinks) -> None:
    for name, value in headers:
        if name.lower() == "link":
            for target, parameters in LINK_HEADER.findall(value[:HEADER_LIMIT]):
                relation = RELATION.search(parameters)
                links.add_related(target, (relation[1] or relation[2]) if relation else "")
        elif name.lower() == "refresh":
            links.add_page(refresh_target(value[:HEADER_LIMIT]))


def _read_body(body: bytes, mime: str, charset: str | None, links: RawLinks) -> str:
    """Read what this kind of body names into `links`; returns the codec it is written in."""
    if "css" in mime:
        for url in urls_in_css(text_of(body, charset)):
            links.add_asset(url)
        return UTF8
    xml = "html" not in mime and (any(kind in mime for kind in ("xml", "rss", "atom")))
    if xml:
        return _read_xml(body, charset, links)
    if "html" not in mime and (mime or not body[:SNIFFED_BYTES].lstrip().startswith(b"<")):
        return UTF8
    return _read_html(body, charset, links)


def _read_html(body: bytes, charset: str | None, links: RawLinks) -> str:
    codec, mark_bytes = charset_of(body, charset)
    # lexbor reads UTF-8 by itself, so the usual page is never decoded by us.
    if codec != UTF8:
        body = body[mark_bytes:].decode(codec, "replace").encode("utf-8", "replace")
    read_markup(body, links)
    return UTF8 if codec.startswith("utf") else codec


def _read_xml(body: bytes, charset: str | None, links: RawLinks) -> str:
    text = text_of(body, charset)
    for found in XML_STYLESHEET.finditer(text[:SNIFFED_BYTES]):
        links.add_asset(html.unescape(found[1] or found[2] or ""))
    if FEED_ROOT.search(body, 0, SNIFFED_BYTES):
        _read_feed(text, links)
        return UTF8
    return _read_html(body, charset, links)


def _read_feed(text: str, links: RawLinks) -> None:
    for attributes, content in FEED_LINK.findall(text):
        named = FEED_ATTRIBUTE.search(attributes)
        raw = html.unescape((named[1] or named[2] or "") if named else content).strip()
        # A guid may be any text at all.
        if named or raw.lower().startswith(("http:", "https:", "/")):
            links.add_page(raw)
