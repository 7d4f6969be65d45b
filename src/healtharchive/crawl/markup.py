"""Markup: which URLs an HTML page names, still as they are written.

The hot path of a crawl: one parse and one query in C, then one table look-up an attribute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from healtharchive.crawl.stylesheets import urls_in_css

WANTED = (
    "[href],[src],[srcset],[style],style,meta[http-equiv],form[action],object[data],[poster],"
    "[background],[data-src],[data-srcset],link[imagesrcset],iframe[srcdoc],[xlink\\:href]"
)
# What a page shows or runs, not where it leads to.
ASSET_RELATIONS = frozenset(
    (
        *("stylesheet", "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon"),
        *("fluid-icon", "image_src", "manifest", "preload", "modulepreload", "prefetch"),
    )
)
UNFOLLOWED_RELATIONS = frozenset(
    ("preconnect", "dns-prefetch", "pingback", "webmention", "profile", "hub", "edituri")
)
PAGE_TAGS = frozenset(("a", "area"))
# Schemes that pages name often: not worth a closer look.
NEVER_FETCHED = ("javascript:", "mailto:", "tel:", "data:", "about:", "blob:")
LONGEST_RAW = 8192
MAX_SRCDOC_DEPTH = 3
# lexbor's time grows with the square of the nesting: 2 s at 40,000. Browsers stop at 512.
MAX_NESTING = 1000
HARMLESS_TAGS = 30_000
TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9-]{0,20})")
# Elements that have no end or that end by themselves, so that they do not nest.
FLAT_TAGS = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "
    b"p li dt dd td th tr thead tbody tfoot option optgroup rp rt".split()
)
SRCSET_CANDIDATE = re.compile(r"[\s,]*(\S*[^\s,])(?:\s[^,]*)?(?:,|$)")
REFRESH = re.compile(r"""\s*[\d.]*\s*[;,]?\s*(?:url\s*=\s*)?["']?([^"']*)""", re.IGNORECASE)


@dataclass(slots=True)
class RawLinks:
    """URLs as a page writes them, without fragments, each once and in order; and its base."""

    base: str | None = None
    pages: dict[str, None] = field(default_factory=dict)
    assets: dict[str, None] = field(default_factory=dict)

    def add_page(self, raw: str | None) -> None:
        """Note a URL the page leads to."""
        _add(self.pages, raw)

    def add_asset(self, raw: str | None) -> None:
        """Note a URL the page is made of."""
        _add(self.assets, raw)

    def add_related(self, raw: str | None, relation: str) -> None:
        """Note a URL by its link relation (RFC 8288, HTML §4.6.7)."""
        relations = set(relation.lower().split())
        if relations & ASSET_RELATIONS:
            self.add_asset(raw)
        elif relations - UNFOLLOWED_RELATIONS:
            self.add_page(raw)


def _add(kept: dict[str, None], raw: str | None) -> None:
    if not raw:
        return
    # Most links of a page lead into itself or to another part of what is known.
    url = raw.partition("#")[0].strip()
    if url and len(url) <= LONGEST_RAW and not url.startswith(NEVER_FETCHED):
        kept[url] = None


def read_markup(html: bytes, links: RawLinks, depth: int = 0) -> None:
    """Add what an HTML page, in UTF-8, names to `links`. `depth` counts pages within pages."""
    for part in _shallow_parts(html):
        for node in LexborHTMLParser(part).css(WANTED):
            _read_element(node, links, depth)


def _shallow_parts(html: bytes) -> Iterator[bytes]:
    """The page itself; or one that is nested too deep, in parts that are not."""
    begin = 0
    if html.count(b"<") > HARMLESS_TAGS:
        for end in _too_deep(html):
            yield html[begin:end]
            begin = end
    if begin < len(html):
        yield html[begin:]


def _too_deep(html: bytes) -> Iterator[int]:
    """Where the nesting reaches MAX_NESTING, counted anew from each such place."""
    unclosed: Counter[bytes] = Counter()
    nesting = 0
    for found in TAG.finditer(html):
        end, name = found.groups()
        if name in FLAT_TAGS:
            continue
        if not end:
            unclosed[name] += 1
            nesting += 1
        elif unclosed[name]:
            unclosed[name] -= 1
            nesting -= 1
        if nesting > MAX_NESTING:
            yield found.start()
            unclosed = Counter({name: 1})
            nesting = 1


def _read_element(node: LexborNode, links: RawLinks, depth: int) -> None:
    tag = node.tag or ""
    attributes = node.attributes
    if tag in PAGE_TAGS:
        links.add_page(attributes.get("href") or attributes.get("xlink:href"))
    elif reader := READERS.get(tag):
        reader(attributes, links)
    else:
        links.add_asset(attributes.get("href") or attributes.get("xlink:href"))
        _read_media(attributes, links)
    if tag == "style":
        _read_css(node.text(), links)
    elif tag == "iframe" and depth < MAX_SRCDOC_DEPTH and (inner := attributes.get("srcdoc")):
        read_markup(inner.encode("utf-8", "replace"), links, depth + 1)
    if style := attributes.get("style"):
        _read_css(style, links)
    links.add_asset(attributes.get("background"))


Attributes = dict[str, str | None]


def _read_media(attributes: Attributes, links: RawLinks) -> None:
    """Images, scripts, sounds, films and all else that is shown."""
    for name in ("src", "poster", "data", "data-src"):
        links.add_asset(attributes.get(name))
    for name in ("srcset", "data-srcset", "imagesrcset"):
        for url in urls_in_srcset(attributes.get(name) or ""):
            links.add_asset(url)


def _read_link(attributes: Attributes, links: RawLinks) -> None:
    links.add_related(attributes.get("href"), attributes.get("rel") or "")
    for url in urls_in_srcset(attributes.get("imagesrcset") or ""):
        links.add_asset(url)


def _read_frame(attributes: Attributes, links: RawLinks) -> None:
    links.add_page(attributes.get("src"))
    links.add_page(attributes.get("data-src"))


def _read_base(attributes: Attributes, links: RawLinks) -> None:
    # The first one counts, wherever it stands (HTML §4.2.3).
    if links.base is None:
        links.base = attributes.get("href")


def _read_form(attributes: Attributes, links: RawLinks) -> None:
    if (attributes.get("method") or "get").strip().lower() == "get":
        links.add_page(attributes.get("action"))


def _read_meta(attributes: Attributes, links: RawLinks) -> None:
    if (attributes.get("http-equiv") or "").strip().lower() == "refresh":
        links.add_page(refresh_target(attributes.get("content") or ""))


READERS: dict[str, Callable[[Attributes, RawLinks], None]] = {
    "link": _read_link,
    "base": _read_base,
    "form": _read_form,
    "meta": _read_meta,
    "iframe": _read_frame,
    "frame": _read_frame,
}


def _read_css(text: str, links: RawLinks) -> None:
    for url in urls_in_css(text):
        links.add_asset(url)


def urls_in_srcset(value: str) -> Iterator[str]:
    """The image candidates of a srcset (HTML §4.8.4.2.1)."""
    return (found[1] for found in SRCSET_CANDIDATE.finditer(value))


def refresh_target(value: str) -> str:
    """Where a meta refresh or Refresh header leads; "" when it only loads the page again."""
    found = REFRESH.match(value)
    return found[1].strip() if found else ""
