"""The crawler's own counts and our frontier: they agree, or the crawl is not called complete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from healtharchive.crawl.batch import FoundUrl, Kind
from healtharchive.crawl.container.logs import CrawlStatus
from healtharchive.crawl.container.state import Saved
from healtharchive.crawl.frontier import Frontier, url_key
from healtharchive.crawl.frontier_schema import DONE, EXCLUDED, FAILED, QUEUED
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.urls import canonicalize, origin_of
from healtharchive.model.clock import Clock

STEP = 500
GAVE_UP = "the crawler gave up on it"
NO_RECORD = "the crawler left no record of it"
NOT_ASKED = "not asked for by a crawler in a container"
ANSWERED = "answered "


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the crawler says, and what we hold. `recorded` of its `finished` pages have an answer.

    `crawled` and `failed` are of its last status line, None when there was none.
    """

    crawled: int | None
    failed: int | None
    finished: int
    given_up: int
    recorded: int
    missing: tuple[str, ...] = ()

    @property
    def objection(self) -> str:
        """Why the crawl must not be called complete; empty when everything adds up."""
        if self.crawled is None:
            return "the crawler never said how many pages it crawled"
        if self.missing:
            return (
                f"the crawler says it finished {self.finished} pages, and {self.recorded} of them"
                f" have a record; without one: {self.missing[0]}"
            )
        if self.crawled != self.finished:
            return (
                f"the crawler says it crawled {self.crawled} pages, and its own state lists"
                f" {self.finished}, of which {self.recorded} have a record"
            )
        if self.failed != self.given_up:
            return (
                f"the crawler says {self.failed} pages failed, and its own state lists"
                f" {self.given_up}"
            )
        return ""

    def evidence(self) -> dict[str, str | int | float | bool | None]:
        """Both sides in numbers."""
        return {
            "crawler_crawled": self.crawled,
            "crawler_failed": self.failed,
            "crawler_finished": self.finished,
            "adopted_pages": self.recorded,
            "without_record": len(self.missing),
        }


@dataclass(slots=True)
class Settlement:
    """Brings the crawler's lists and the frontier together."""

    frontier: Frontier
    ledger: Ledger
    scope: Scope
    clock: Clock
    url_tries: int
    _handed: set[bytes] = field(default_factory=set)

    async def hand_over(self, urls: Iterable[str], *, anywhere: bool = False) -> None:
        """Queue pages that the crawler knows in our frontier too, so that none depends on it alone.

        Whichever engine works next continues from there. Pages out of scope are left out, but for
        those that the crawler has visited (`anywhere`).
        """
        new: list[FoundUrl] = []
        for raw in urls:
            url = canonicalize(raw)
            if url is None or url_key(url) in self._handed:
                continue
            self._handed.add(url_key(url))
            if anywhere or self.scope.decide(url).in_scope:
                new.append(FoundUrl(url, origin_of(url), Kind.PAGE, 1))
        for at in range(0, len(new), STEP):
            admitted = await self.ledger.admit(new[at : at + STEP])
            now = self.clock.now().timestamp()
            waiting = ((each.id, now) for each in admitted if each.ours)
            self.ledger.batch.postponed.extend(waiting)
            await self.ledger.commit([])

    def is_settled(self, url: str) -> bool:
        """Whether a URL of the crawler's is done, failed or left out in our frontier."""
        return self._state(url)[0] in (DONE, FAILED, EXCLUDED)

    def _state(self, url: str) -> tuple[int | None, str]:
        canonical = canonicalize(url)
        rows = self.frontier.ask(
            "SELECT state, reason FROM urls WHERE key = ?", (url_key(canonical or url),)
        )
        return (int(rows[0][0]), str(rows[0][1] or "")) if rows else (None, "")

    def waiting(self) -> list[str]:
        """The pages that are queued in our frontier."""
        rows = self.frontier.ask(
            "SELECT url FROM urls WHERE state = ? AND kind >= ? ORDER BY id", (QUEUED, Kind.SEED)
        )
        return [row[0] for row in rows]

    async def settle(self, saved: Saved) -> int:
        """Decide about every page that is still queued when the crawler says it is done.

        Returns how many have a try left: the crawler has to be sent for them again.
        """
        await self.hand_over(saved.finished, anywhere=True)
        await self.hand_over([*saved.queued_urls, *saved.failed_urls])
        given_up = {canonicalize(url) or url for url in saved.failed_urls}
        rows = self.frontier.ask(
            "SELECT id, url, kind, tries, reason FROM urls WHERE state = ?", (QUEUED,)
        )
        again = 0
        now = self.clock.now().timestamp()
        batch = self.ledger.batch
        for url_id, url, kind, tries, reason in rows:
            if kind < Kind.SEED:
                batch.excluded.append((url_id, NOT_ASKED))
            elif url in given_up:
                batch.failed.append((url_id, reason or GAVE_UP))
            elif tries + 1 >= self.url_tries:
                batch.failed.append((url_id, reason or NO_RECORD))
            else:
                batch.retries.append((url_id, now, reason or ""))
                again += 1
        if not batch.empty:
            await self.ledger.commit([])
        return again

    async def compare(self, saved: Saved, status: CrawlStatus | None) -> Agreement:
        """The crawler's count, its list of finished pages, and what we hold of them."""
        missing = await asyncio.to_thread(self._missing, saved.finished)
        return Agreement(
            crawled=status.crawled if status else None,
            failed=status.failed if status else None,
            finished=len(saved.finished),
            given_up=len(saved.failed),
            recorded=len(saved.finished) - len(missing),
            missing=tuple(missing),
        )

    def _missing(self, urls: Iterable[str]) -> list[str]:
        """Pages of which no answer was kept, neither as a capture nor as a passing one."""
        found: list[str] = []
        for url in urls:
            state, reason = self._state(url)
            if state not in (DONE, EXCLUDED) and not reason.startswith(ANSWERED):
                found.append(url)
        return found
