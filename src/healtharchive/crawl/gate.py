"""robots.txt before everything else: what each host allows (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass, field

from healtharchive.crawl.batch import Batch
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.robots import Robots, parse
from healtharchive.crawl.transport import Exchange, FetchFailed, Transport
from healtharchive.crawl.urls import canonicalize
from healtharchive.model.clock import Clock
from healtharchive.model.source import Politeness
from healtharchive.warc.decoding import decode_content

FRESH_SECONDS = 24 * 3600.0  # RFC 9309 §2.4
KEPT_BYTES = 512_000  # RFC 9309 §2.5 asks for 500 KiB at least
MAX_REDIRECTS = 5  # RFC 9309 §2.3.1.2
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(slots=True)
class RobotsGate:
    """Each host's rules, as far as they are known in this attempt."""

    frontier: Frontier
    transport: Transport
    paces: Paces
    clock: Clock
    agent: str
    politeness: Politeness
    rules: dict[str, Robots] = field(default_factory=dict)
    asking: set[str] = field(default_factory=set)
    unreachable: dict[str, str] = field(default_factory=dict)  # origin -> why

    def known(self, origin: str) -> bool:
        """Whether this host's rules are at hand, from this attempt or fresh in the frontier."""
        if self.politeness.robots == "ignore" or origin in self.rules:
            return True
        kept = self.frontier.robots(origin)
        if kept is None or self.clock.now().timestamp() - kept[2] > FRESH_SECONDS:
            return False
        if kept[0] is None or kept[0] >= 500:
            return False
        self._set(origin, kept[0], kept[1])
        return True

    def verdict(self, origin: str, url: str) -> tuple[bool, str]:
        """Whether the URL may be fetched, and by which rule."""
        if self.politeness.robots == "ignore":
            return True, "robots.txt is ignored for this source"
        return self.rules[origin].verdict(self.agent, url)

    async def read(self, answer: Exchange | None) -> tuple[int | None, bytes]:
        """The status and body an answer to robots.txt leads to: redirects are followed."""
        if answer is None:
            return None, b""
        status, url, body = answer.status, answer.url, _body(answer)
        location = _location(answer)
        for _ in range(MAX_REDIRECTS):
            target = canonicalize(location, url) if status in REDIRECTS and location else None
            if target is None:
                break
            try:
                further = await self.transport.fetch(target)
            except FetchFailed:
                return None, b""
            status, url, body = further.status, further.url, _body(further)
            location = _location(further)
            further.body.close()
        # More redirects than five: as if there were no robots.txt.
        return (404 if status in REDIRECTS else status), body

    async def read_again(self, origin: str) -> tuple[int | None, bytes]:
        """Fetch the rules anew, without a record: the first answer is in the archive.

        FetchFailed when the host may not be asked at all.
        """
        try:
            answer = await self.transport.fetch(f"{origin}/robots.txt")
        except FetchFailed as failure:
            if failure.permanent:
                raise
            return None, b""
        try:
            return await self.read(answer)
        finally:
            answer.body.close()

    def accept(self, origin: str, status: int | None, body: bytes, batch: Batch) -> tuple[str, ...]:
        """Take what was read as the host's rules; the sitemaps they name.

        A 5xx or no answer disallows everything (RFC 9309 §2.3.1.4): `unreachable` says so.
        """
        self.asking.discard(origin)
        if status is None or status >= 500:
            self.unreachable[origin] = f"its robots.txt answered {status or 'nothing'}"
            return ()
        self.unreachable.pop(origin, None)
        batch.robots.append((origin, status, body, self.clock.now().timestamp()))
        return self._set(origin, status, body).sitemaps

    def close(self, origin: str) -> None:
        """Disallow all of a host for this attempt: its rules cannot be had."""
        self.rules[origin] = parse(None, b"")

    def _set(self, origin: str, status: int, body: bytes) -> Robots:
        rules = self.rules[origin] = parse(status, body)
        self.paces.of(origin).obey_crawl_delay(rules.crawl_delay(self.agent))
        return rules


def _body(answer: Exchange) -> bytes:
    encoding = next((v for name, v in answer.headers if name.lower() == "content-encoding"), "")
    return decode_content(answer.entity(), encoding).data[:KEPT_BYTES]


def _location(answer: Exchange) -> str:
    return next((value for name, value in answer.headers if name.lower() == "location"), "")
