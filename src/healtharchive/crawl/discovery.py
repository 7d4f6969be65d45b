"""What an answer leads to: links, redirects and sitemap entries, judged by scope and traps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from healtharchive.crawl.batch import FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.charsets import named_charset
from healtharchive.crawl.links import Link, links_of
from healtharchive.crawl.recorder import header_value, mime_of
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.sitemaps import LIMIT_BYTES as SITEMAP_BYTES
from healtharchive.crawl.sitemaps import newest_first
from healtharchive.crawl.sitemaps import parse as parse_sitemap
from healtharchive.crawl.transport import Exchange
from healtharchive.crawl.traps import MAX_URL_CHARACTERS, check_shape
from healtharchive.crawl.urls import canonicalize, holds_session, host_of, origin_of
from healtharchive.model.source import SourceDefinition
from healtharchive.warc.decoding import decode_content

REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECT_HOPS = 20
# A page or style sheet larger than this is kept, but nobody looks for links in it.
PARSED_BYTES = 20_000_000
# Whoever has been looked at lately need not be looked at again; the frontier knows the rest.
REMEMBERED_LINKS = 100_000
PARSED_TYPES = ("html", "xml", "css", "rss", "atom")


@dataclass(slots=True)
class Discovered:
    """What one answer adds: URLs for the frontier, and how often which rule left something out."""

    found: list[FoundUrl] = field(default_factory=list)
    out_of_scope: dict[tuple[str, str], int] = field(default_factory=dict)
    redirects: list[tuple[int, str]] = field(default_factory=list)  # URL id, where it leads
    remarks: dict[str, int] = field(default_factory=dict)

    def remark(self, what: str, number: int = 1) -> None:
        """Note something about the site that a person should be told, so often."""
        if number:
            self.remarks[what] = self.remarks.get(what, 0) + number


class Discovery:
    """Finds what a source's answers lead to."""

    def __init__(self, source: SourceDefinition) -> None:
        self._source = source
        self._scope = Scope(source.scope)
        self._hosts = frozenset(host.lower() for host in source.scope.hosts)
        self._seen: set[tuple[str, bool]] = set()
        self._origins: set[str] = set()

    def seeds(self) -> list[FoundUrl]:
        """Where the crawl begins: the seeds, the source's sitemaps, and their hosts' robots.txt."""
        discovered = Discovered()
        for seed in self._source.seeds:
            if url := canonicalize(seed.url):
                self._add(discovered, FoundUrl(url, origin_of(url), Kind.SEED, 0))
        for sitemap in self._source.sitemaps:
            self.add_sitemap(discovered, sitemap)
        return discovered.found

    def add_sitemap(self, discovered: Discovered, url: str, via: QueuedUrl | None = None) -> None:
        """A sitemap that robots.txt, the source or an index names, when it is on a host of ours."""
        canonical = canonicalize(url, via.url if via else None)
        if canonical is None or (canonical, True) in self._seen:
            return
        self._note_seen((canonical, True))
        if host_of(canonical) not in self._hosts:
            self._left_out(discovered, canonical, "sitemap on another host")
            return
        depth = via.depth if via else 0
        via_id = via.id if via else None
        trap = check_shape(canonical, depth, self._source.limits.depth)
        self._add(
            discovered,
            FoundUrl(canonical, origin_of(canonical), Kind.SITEMAP, depth, 0, via_id, trap),
        )

    def of_answer(self, queued: QueuedUrl, exchange: Exchange) -> Discovered:
        """What this answer leads to. Never raises for content of the web's making."""
        discovered = Discovered()
        if exchange.status in REDIRECTS:
            self._follow(discovered, queued, header_value(exchange, "location"))
        elif queued.kind is Kind.SITEMAP:
            self._read_sitemap(discovered, queued, exchange)
        elif queued.kind is not Kind.ROBOTS and exchange.status < 400:
            self._judge(discovered, queued, _links(exchange))
        return discovered

    def add_links(self, discovered: Discovered, queued: QueuedUrl, urls: Iterable[str]) -> None:
        """Links that were found otherwise than in the answer's bytes: in what was rendered."""
        links = ((canonicalize(raw, queued.url), raw) for raw in urls)
        pages = (Link(url, False, holds_session(raw)) for url, raw in links if url)
        self._judge(discovered, queued, pages)

    def _follow(self, discovered: Discovered, queued: QueuedUrl, location: str) -> None:
        target = canonicalize(location, queued.url) if location else None
        if target is None or queued.kind is Kind.ROBOTS:
            return
        asset = queued.kind is Kind.ASSET
        hops = queued.hops + 1
        decision = self._scope.decide(target, asset)
        url = decision.url
        discovered.redirects.append((queued.id, url[:MAX_URL_CHARACTERS]))
        if not decision.in_scope:
            self._left_out(discovered, target, decision.rule)
            return
        kind = Kind.PAGE if queued.kind is Kind.SEED else queued.kind
        trap = check_shape(url, queued.depth, self._source.limits.depth)
        if hops > MAX_REDIRECT_HOPS:
            trap = f"trap: {hops} redirects in a row"
        self._add(
            discovered,
            FoundUrl(url, origin_of(url), kind, queued.depth, hops, queued.id, trap),
        )

    def _read_sitemap(self, discovered: Discovered, queued: QueuedUrl, exchange: Exchange) -> None:
        if exchange.status != 200:
            discovered.remark(f"sitemap: answered {exchange.status}")
            return
        encoding = header_value(exchange, "content-encoding")
        sitemap = parse_sitemap(_beginning(exchange, encoding))
        if sitemap.problem:
            discovered.remark(f"sitemap: {sitemap.problem}")
        for child in sitemap.sitemaps:
            self.add_sitemap(discovered, child, queued)
        pages = ((canonicalize(raw, queued.url), raw) for raw, _ in newest_first(sitemap.pages))
        links = (Link(url, False, holds_session(raw)) for url, raw in pages if url)
        self._judge(discovered, queued, links)

    def _judge(self, discovered: Discovered, queued: QueuedUrl, links: Iterable[Link]) -> None:
        depth = queued.depth + 1
        for link in links:
            mark = (link.url, link.asset)
            if mark in self._seen:
                continue
            self._note_seen(mark)
            discovered.remark("session id removed", link.had_session)
            decision = self._scope.decide(link.url, link.asset)
            if not decision.in_scope:
                self._left_out(discovered, link.url, decision.rule)
                continue
            url = decision.url
            kind = Kind.ASSET if link.asset else Kind.PAGE
            trap = check_shape(url, depth, self._source.limits.depth)
            self._add(discovered, FoundUrl(url, origin_of(url), kind, depth, 0, queued.id, trap))

    def _add(self, discovered: Discovered, found: FoundUrl) -> None:
        if found.origin not in self._origins:
            self._origins.add(found.origin)
            if self._source.politeness.robots == "obey":
                robots = f"{found.origin}/robots.txt"
                discovered.found.append(FoundUrl(robots, found.origin, Kind.ROBOTS, 0))
        discovered.found.append(found)

    def _left_out(self, discovered: Discovered, url: str, rule: str) -> None:
        key = (host_of(url), rule)
        discovered.out_of_scope[key] = discovered.out_of_scope.get(key, 0) + 1

    def _note_seen(self, mark: tuple[str, bool]) -> None:
        if len(self._seen) >= REMEMBERED_LINKS:
            self._seen.clear()
        self._seen.add(mark)


def _beginning(exchange: Exchange, encoding: str) -> bytes:
    """A sitemap without its content codings: as much as is read of one, and a byte that tells."""
    sent = exchange.beginning(SITEMAP_BYTES + 1)
    return decode_content(sent, encoding, SITEMAP_BYTES + 1).data if encoding else sent


def _links(exchange: Exchange) -> list[Link]:
    mime = mime_of(exchange)
    parsed = not mime or any(name in mime for name in PARSED_TYPES)
    if not parsed or exchange.entity_bytes > PARSED_BYTES:
        return links_of(b"", "", None, exchange.url, exchange.headers)
    encoding = header_value(exchange, "content-encoding")
    body = exchange.entity()
    if encoding:
        decoded = decode_content(body, encoding, PARSED_BYTES)
        body = b"" if decoded.opaque else decoded.data
    charset = named_charset(header_value(exchange, "content-type"))
    return links_of(body, mime, charset, exchange.url, exchange.headers)
