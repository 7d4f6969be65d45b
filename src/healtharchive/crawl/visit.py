"""One URL's visit: fetch it, then decide whether it is recorded, retried, postponed or failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from healtharchive.crawl.batch import PAGE_KINDS, Capture, Kind, QueuedUrl
from healtharchive.crawl.cookies import CookieJar
from healtharchive.crawl.dates import moment_of
from healtharchive.crawl.discovery import Discovered, Discovery
from healtharchive.crawl.ending import Ending
from healtharchive.crawl.enrichment import (
    CUT_SHORT,
    DROPPED_KINDS,
    Enricher,
    Enrichment,
    Fetched,
    why_refused,
)
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.gate import Reading, RobotsGate
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.recorder import Recorder, header_value, is_html_page
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.transport import Exchange, FetchFailed, Transport
from healtharchive.crawl.urls import host_of, origin_of
from healtharchive.model.blame import Blame
from healtharchive.model.clock import Clock
from healtharchive.model.source import SourceDefinition
from healtharchive.warc.record import dns_record

# Answers that a later try may better (RFC 9110 §15): they are recorded only when tries run out.
TRANSIENT_STATUSES = (408, 425, 429, 502, 503, 504)
STRUGGLING_STATUSES = (429, 503)
FIRST_ERROR_STATUS = 400
RETRY_FIRST_SECONDS = 1.0
RETRY_MOST_SECONDS = 120.0


@dataclass(slots=True)
class Visits:
    """The visits of one attempt, and what they have in common.

    `trouble` is set when the attempt must end: a seed's host is down, or its robots.txt is.
    """

    source: SourceDefinition
    frontier: Frontier
    ledger: Ledger
    recorder: Recorder
    discovery: Discovery
    transport: Transport
    gate: RobotsGate
    paces: Paces
    cookies: CookieJar
    clock: Clock
    enricher: Enricher | None = None
    trouble: Ending | None = None
    pages: int = 0
    _seed_origins: frozenset[str] = frozenset()
    _answering: set[str] = field(default_factory=set)  # origins that gave an answer
    _silent: dict[str, list[tuple[QueuedUrl, str]]] = field(default_factory=dict)
    _dns_recorded: set[str] = field(default_factory=set)
    _scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self._scope = Scope(self.source.scope)
        self._seed_origins = frozenset(
            each.origin for each in Discovery(self.source).seeds() if each.kind is Kind.SEED
        )
        rows = self.frontier.ask(
            "SELECT count(*) FROM captures JOIN urls ON urls.id = url_id WHERE urls.kind IN (2, 3)"
        )
        self.pages = rows[0][0]

    # -- what limits are compared with ---------------------------------------------------------

    @property
    def total_bytes(self) -> int:
        """Compressed bytes recorded in all attempts."""
        return self.frontier.counts.bytes_written + self.ledger.pending_bytes

    @property
    def elapsed_seconds(self) -> float:
        """Crawl time of all attempts."""
        return self.frontier.elapsed_seconds

    def page_limit_reached(self, in_flight: Iterable[QueuedUrl]) -> bool:
        """Whether the pages recorded and in flight are as many as the job may have."""
        limit = self.source.limits.pages
        if limit is None:
            return False
        return self.pages + sum(each.kind in PAGE_KINDS for each in in_flight) >= limit

    # -- a visit -------------------------------------------------------------------------------

    async def visit(self, origin: str, queued: QueuedUrl) -> None:
        """Fetch a URL and settle it in the ledger's batch.

        OSError and sqlite3.Error are the disk's: they end the attempt.
        """
        pace = self.paces.of(origin)
        browser = self._browser_for(queued)
        try:
            fetched = await (browser.fetch(queued) if browser else self._fetch(queued))
        except FetchFailed as failure:
            self._unanswered(origin, queued, failure, plain=browser is None)
            return
        finally:
            pace.ended()
        try:
            await self._answered(origin, queued, fetched)
        finally:
            fetched.exchange.body.close()

    def _browser_for(self, queued: QueuedUrl) -> Enricher | None:
        """Whoever fetches this instead of plain HTTP; a host's rules are never asked for so."""
        if self.enricher is None or queued.kind is Kind.ROBOTS:
            return None
        return self.enricher if self.enricher.fetches(queued.url) else None

    async def _fetch(self, queued: QueuedUrl) -> Fetched:
        cookie = self.cookies.header(queued.url)
        headers = (("Cookie", cookie),) if cookie else ()
        return Fetched(await self.transport.fetch(queued.url, headers))

    async def _answered(self, origin: str, queued: QueuedUrl, fetched: Fetched) -> None:
        exchange = fetched.exchange
        self._hear_from(origin)
        self.cookies.store(queued.url, exchange.headers)
        self._adjust_pace(origin, exchange)
        reason = why_again(exchange)
        if fetched.enrichment is None:
            reason = self._refusal(queued, exchange) or reason
        if reason and queued.tries + 1 < self.source.politeness.url_tries:
            self._retry(queued, reason)
            return
        await self._record(origin, queued, fetched)

    def _refusal(self, queued: QueuedUrl, exchange: Exchange) -> str:
        """Why a page is worth another try that plain HTTP was refused, or empty."""
        if self.enricher is None or queued.kind not in PAGE_KINDS:
            return ""
        why = why_refused(exchange)
        if why:
            return why if self._refused(self.enricher, queued, why) else ""
        if exchange.status < FIRST_ERROR_STATUS:
            self.enricher.welcomed(queued.url)
        return ""

    def _refused(self, browser: Enricher, queued: QueuedUrl, why: str) -> bool:
        last = queued.tries + 2 == self.source.politeness.url_tries
        return browser.refused(queued.url, why, last=last)

    def _adjust_pace(self, origin: str, exchange: Exchange) -> None:
        pace = self.paces.of(origin)
        if exchange.status in STRUGGLING_STATUSES:
            wait = self._retry_after(exchange)
            pace.struggling(self.clock.monotonic(), wait, dead=False)
        elif exchange.truncated not in CUT_SHORT:
            pace.good()

    async def _record(self, origin: str, queued: QueuedUrl, fetched: Fetched) -> None:
        exchange = fetched.exchange
        rules = await self.gate.read(exchange) if queued.kind is Kind.ROBOTS else None
        await self.record_dns(origin)
        enrichment = fetched.enrichment or await self._enrich(queued, exchange)
        if enrichment.again and queued.tries + 1 < self.source.politeness.url_tries:
            self._retry(queued, enrichment.again)
            return
        discovered = self.discovery.of_answer(queued, exchange)
        self.discovery.add_links(discovered, queued, enrichment.links)
        for what in (*enrichment.remarks, *filter(None, [enrichment.again])):
            discovered.remark(what)
        pieces, capture = self.recorder.records(queued.id, exchange, enrichment.attached)
        await self.ledger.append(pieces, capture)
        # No await from here on: the capture and what it leads to are in one commit.
        if rules is not None:
            self._accept_rules(origin, rules, discovered)
        self._keep(discovered)
        self.pages += queued.kind in PAGE_KINDS

    async def _enrich(self, queued: QueuedUrl, exchange: Exchange) -> Enrichment:
        """What the browser has to say of a page; nothing where there is none, or no page."""
        page = queued.kind in PAGE_KINDS and is_html_page(exchange)
        if self.enricher is None or not page:
            return Enrichment()
        return await self.enricher.enrich(queued, exchange)

    async def record_dns(self, origin: str) -> None:
        """Record what the origin's host resolved to, once a job (WARC 1.1 §6.3, "dns")."""
        if origin in self._dns_recorded:
            return
        self._dns_recorded.add(origin)
        host = host_of(origin)
        resolved = self.transport.resolved(host)
        if resolved is None or host in resolved.addresses or self.frontier.dns_is_recorded(origin):
            return
        piece = dns_record(host, resolved.addresses, resolved.ttl_seconds, self.clock.now())
        await self.ledger.append((piece,), Capture("dns", 0, 0, 1, 0, 0))
        self.ledger.batch.dns_recorded.append(origin)

    def follow(self, queued: QueuedUrl, exchange: Exchange) -> None:
        """Take up what an answer leads to that somebody else records, in the same commit."""
        self._keep(self.discovery.of_answer(queued, exchange))

    def lead_to(self, queued: QueuedUrl, url: str) -> bool:
        """Queue what a page has in a frame, or asked for, by the rules for links, in the next
        commit. False, and nothing is queued, where that URL is no page of the source."""
        decision = self._scope.decide(url)
        if not decision.in_scope or decision.url != url:
            return False
        discovered = Discovered()
        self.discovery.add_links(discovered, queued, (url,))
        self._keep(discovered)
        return True

    def _keep(self, discovered: Discovered) -> None:
        batch = self.ledger.batch
        batch.found.extend(discovered.found)
        for key, number in discovered.out_of_scope.items():
            batch.out_of_scope[key] = batch.out_of_scope.get(key, 0) + number
        for what, number in discovered.remarks.items():
            batch.remarks[what] = batch.remarks.get(what, 0) + number
        batch.redirects.extend(discovered.redirects)

    # -- robots.txt ----------------------------------------------------------------------------

    async def read_rules_again(self, origin: str) -> None:
        """Learn a host's rules when its robots.txt is in the archive already, or has failed."""
        try:
            rules = await self.gate.read_again(origin)
        except FetchFailed as failure:
            self._may_not_be_asked(origin, failure)
            return
        discovered = Discovered()
        self._accept_rules(origin, rules, discovered)
        self._keep(discovered)

    def _accept_rules(self, origin: str, rules: Reading, discovered: Discovered) -> None:
        sitemaps = self.gate.accept(origin, rules, self.ledger.batch)
        if self.source.use_robots_sitemaps:
            for sitemap in sitemaps:
                self.discovery.add_sitemap(discovered, sitemap)

    def without_rules(self, origin: str, why: str) -> None:
        """A host whose rules cannot be had: nothing of it may be fetched now.

        For a seed's host the job waits; of another host the URLs are left out, with the reason.
        """
        if origin in self._seed_origins:
            reason = f"{origin} may not be crawled now: {why}"
            self.trouble = Ending("infra", reason, Blame.SITE)
        else:
            self.gate.close(origin)

    # -- what did not work ---------------------------------------------------------------------

    def _unanswered(
        self, origin: str, queued: QueuedUrl, failure: FetchFailed, *, plain: bool
    ) -> None:
        reason = f"{failure.kind}: {failure.detail}"
        if queued.kind is Kind.ROBOTS:
            self.gate.asking.discard(origin)
        if failure.permanent:
            self.ledger.batch.failed.append((queued.id, reason))
            if queued.kind is Kind.ROBOTS:
                self._may_not_be_asked(origin, failure)
            return
        if failure.kind == "render":  # the browser's own, which says nothing of the host
            self._retry_or_fail(queued, reason)
            return
        self.paces.of(origin).struggling(self.clock.monotonic(), dead=True)
        if plain and self._turns_from(queued, failure):
            self._retry_the_silent(origin)
            self._retry_or_fail(queued, reason)
            return
        if origin not in self._seed_origins:
            self._retry_or_fail(queued, reason)
            return
        # Whether the URL or its host is to blame shows with the host's next answer.
        self._silent.setdefault(origin, []).append((queued, reason))
        if self.paces.of(origin).unreachable:
            self._host_is_down(origin)

    def _turns_from(self, queued: QueuedUrl, failure: FetchFailed) -> bool:
        """Whether plain HTTP is no longer the way to this page's host, by now."""
        if self.enricher is None or queued.kind not in PAGE_KINDS:
            return False
        if failure.kind in DROPPED_KINDS:
            self._refused(self.enricher, queued, f"{failure.kind}: {failure.detail}")
        return self.enricher.fetches(queued.url)

    def _may_not_be_asked(self, origin: str, failure: FetchFailed) -> None:
        """A host at a refused address: waiting does not help, a source's own rules would."""
        self.gate.asking.discard(origin)
        if origin in self._seed_origins:
            reason = f"{origin} cannot be crawled: {failure.detail}"
            self.trouble = Ending("failed", reason, Blame.JOB)
        else:
            self.gate.close(origin)

    def _hear_from(self, origin: str) -> None:
        """The host answers: those of its URLs that got no answer have spent a try."""
        self._answering.add(origin)
        self._retry_the_silent(origin)

    def _retry_the_silent(self, origin: str) -> None:
        for queued, reason in self._silent.pop(origin, ()):
            self._retry_or_fail(queued, reason)

    def spend_tries_of_the_silent(self) -> bool:
        """Settle URLs that got no answer when nothing else is left; whether there were any.

        If their host never answered in this attempt, it is down: no try is spent, the job waits.
        """
        any_silent = bool(self._silent)
        for origin in list(self._silent):
            if origin in self._answering:
                self._hear_from(origin)
            else:
                self._host_is_down(origin)
        return any_silent

    def _host_is_down(self, origin: str) -> None:
        silent = self._silent.pop(origin)
        now = self.clock.now().timestamp()
        self.ledger.batch.postponed.extend((queued.id, now) for queued, _ in silent)
        reason = f"{origin} does not answer ({silent[-1][1]})"
        self.trouble = Ending("infra", reason, Blame.SITE)

    def _retry_or_fail(self, queued: QueuedUrl, reason: str) -> None:
        if queued.tries + 1 < self.source.politeness.url_tries:
            self._retry(queued, reason)
        else:
            self.ledger.batch.failed.append((queued.id, reason))

    def _retry(self, queued: QueuedUrl, reason: str) -> None:
        if queued.kind is Kind.ROBOTS:
            self.gate.asking.discard(origin_of(queued.url))
        wait = min(RETRY_MOST_SECONDS, RETRY_FIRST_SECONDS * 2**queued.tries)
        when = self.clock.now().timestamp() + wait
        self.ledger.batch.retries.append((queued.id, when, reason))

    def _retry_after(self, exchange: Exchange) -> float | None:
        """The Retry-After field in seconds (RFC 9110 §10.2.3), None when there is none."""
        value = header_value(exchange, "retry-after").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        moment = moment_of(value)
        return max(0.0, (moment - self.clock.now()).total_seconds()) if moment else None


def why_again(exchange: Exchange) -> str:
    """Why an answer is worth another try, or empty."""
    if exchange.status in TRANSIENT_STATUSES:
        return f"answered {exchange.status}"
    if exchange.truncated in CUT_SHORT:
        return f"cut short ({exchange.truncated})"
    return ""
