"""robots.txt before everything else: what each host allows (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass, field

from healtharchive.crawl.batch import Batch
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.robots import Robots, parse, unavailable
from healtharchive.crawl.transport import Exchange, FetchFailed, Transport
from healtharchive.crawl.urls import canonicalize
from healtharchive.model.clock import Clock
from healtharchive.model.source import Politeness
from healtharchive.warc.decoding import decode_content

FRESH_SECONDS = 24 * 3600.0  # RFC 9309 §2.4
KEPT_BYTES = 512_000  # RFC 9309 §2.5 asks for 500 KiB at least
MAX_REDIRECTS = 5  # RFC 9309 §2.3.1.2
REDIRECTS = (301, 302, 303, 307, 308)
# Where the rules cannot be read again, those that are known hold for another hour.
ASK_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What asking for robots.txt came to. `status` is None without an answer: see `why`."""

    status: int | None
    body: bytes = b""
    why: str = ""

    @property
    def trouble(self) -> str:
        """Why there are no rules, when there are none."""
        if self.status is None:
            return f"its robots.txt cannot be had ({self.why})"
        return f"its robots.txt answered {self.status}"


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
    learned: dict[str, float] = field(default_factory=dict)  # origin -> when, in Unix time
    asking: set[str] = field(default_factory=set)
    unreachable: dict[str, str] = field(default_factory=dict)  # origin -> why

    def known(self, origin: str) -> bool:
        """Whether this host's rules are at hand and fresh, from this attempt or the frontier."""
        if self.politeness.robots == "ignore":
            return True
        now = self.clock.now().timestamp()
        if origin in self.rules and now - self.learned[origin] <= FRESH_SECONDS:
            return True
        kept = self.frontier.robots(origin)
        if kept is None or now - kept[2] > FRESH_SECONDS:
            return False
        if kept[0] is None or unavailable(kept[0]):
            return False
        self._set(origin, kept[0], kept[1], kept[2])
        return True

    def verdict(self, origin: str, url: str) -> tuple[bool, str]:
        """Whether the URL may be fetched, and by which rule."""
        if self.politeness.robots == "ignore":
            return True, "robots.txt is ignored for this source"
        return self.rules[origin].verdict(self.agent, url)

    async def read(self, answer: Exchange) -> Reading:
        """What an answer to robots.txt leads to: redirects are followed."""
        return await follow_rules(self.transport, answer)

    async def read_again(self, origin: str) -> Reading:
        """Fetch the rules anew, without a record: the first answer is in the archive.

        FetchFailed when the host may not be asked at all.
        """
        try:
            return await ask_for_rules(self.transport, origin)
        except FetchFailed as failure:
            if failure.permanent:
                raise
            return Reading(None, why=str(failure))

    def accept(self, origin: str, read: Reading, batch: Batch) -> tuple[str, ...]:
        """Take what was read as the host's rules; the sitemaps they name.

        A 5xx, 429 or no answer disallows everything (RFC 9309 §2.3.1.4): `unreachable` says so.
        Rules that were known before hold on meanwhile (§2.4).
        """
        self.asking.discard(origin)
        now = self.clock.now().timestamp()
        if read.status is None or unavailable(read.status):
            if origin in self.rules:
                self.learned[origin] = now - FRESH_SECONDS + ASK_AGAIN_SECONDS
            else:
                self.unreachable[origin] = read.trouble
            return ()
        self.unreachable.pop(origin, None)
        batch.robots.append((origin, read.status, read.body, now))
        return self._set(origin, read.status, read.body, now).sitemaps

    def close(self, origin: str) -> None:
        """Disallow all of a host for now: its rules cannot be had."""
        self.rules[origin] = parse(None, b"")
        self.learned[origin] = self.clock.now().timestamp()

    def _set(self, origin: str, status: int, body: bytes, at: float) -> Robots:
        self.learned[origin] = at
        rules = self.rules[origin] = parse(status, body)
        self.paces.of(origin).obey_crawl_delay(rules.crawl_delay(self.agent))
        return rules


async def ask_for_rules(transport: Transport, origin: str) -> Reading:
    """What a host's robots.txt says. FetchFailed when the first answer does not come."""
    answer = await transport.fetch(f"{origin}/robots.txt")
    try:
        return await follow_rules(transport, answer)
    finally:
        answer.body.close()


async def follow_rules(transport: Transport, answer: Exchange) -> Reading:
    """What an answer to robots.txt leads to (RFC 9309 §2.3.1.2), its content codings taken off."""
    status, url, body = answer.status, answer.url, _body(answer)
    location = _location(answer)
    for _ in range(MAX_REDIRECTS):
        target = canonicalize(location, url) if status in REDIRECTS and location else None
        if target is None:
            break
        try:
            further = await transport.fetch(target)
        except FetchFailed as failure:
            return Reading(None, why=str(failure))
        status, url, body = further.status, further.url, _body(further)
        location = _location(further)
        further.body.close()
    # More redirects than five: as if there were no robots.txt.
    return Reading(404 if status in REDIRECTS else status, body)


def _body(answer: Exchange) -> bytes:
    encoding = next((v for name, v in answer.headers if name.lower() == "content-encoding"), "")
    return decode_content(answer.entity(), encoding).data[:KEPT_BYTES]


def _location(answer: Exchange) -> str:
    return next((value for name, value in answer.headers if name.lower() == "location"), "")
