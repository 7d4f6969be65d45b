"""Which URL is fetched next: each host's ready URLs, at that host's pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from healtharchive.crawl.batch import Kind, QueuedUrl
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.hosts import Paces
from healtharchive.model.clock import Clock

LOW_WATER = 50
HIGH_WATER = 200


class Dispatch:
    """The queued URLs of a job in memory, a few hundred a host; the frontier has the rest.

    `busy` are the URLs that are here, in flight, or settled but not yet committed: the frontier
    still calls them queued.
    """

    def __init__(self, frontier: Frontier, paces: Paces, clock: Clock) -> None:
        self.busy: set[int] = set()
        self._frontier = frontier
        self._paces = paces
        self._clock = clock
        self._waiting: dict[str, deque[QueuedUrl]] = {}
        self._stale = True

    def committed(self, settled: Iterable[int]) -> None:
        """A commit has made these URLs' states durable, and may have queued new ones."""
        self.busy.difference_update(settled)
        self._stale = True

    def refill(self) -> None:
        """Bring hosts that run low up to `HIGH_WATER` URLs, when the frontier has news."""
        if not self._stale:
            return
        self._stale = False
        now = self._clock.now().timestamp()
        for origin in self._frontier.waiting_origins():
            waiting = self._waiting.setdefault(origin, deque())
            if len(waiting) < LOW_WATER:
                ready = self._frontier.ready(origin, now, HIGH_WATER + len(self.busy))
                fresh = [each for each in ready if each.id not in self.busy]
                fresh = fresh[: HIGH_WATER - len(waiting)]
                waiting.extend(fresh)
                self.busy.update(each.id for each in fresh)

    def look_again(self) -> None:
        """Time has passed: URLs that waited for their moment may be ready by now."""
        self._stale = True

    def origins(self) -> list[str]:
        """The hosts that have a URL waiting here."""
        return [origin for origin, waiting in self._waiting.items() if waiting]

    def head(self, origin: str) -> QueuedUrl | None:
        """The host's next URL, left in its place."""
        waiting = self._waiting.get(origin)
        return waiting[0] if waiting else None

    def take(self, origin: str) -> QueuedUrl:
        """The host's next URL, taken out."""
        waiting = self._waiting[origin]
        if len(waiting) <= LOW_WATER:
            self._stale = True
        return waiting.popleft()

    def put_back(self, origin: str, queued: QueuedUrl) -> None:
        """A URL that could not be asked for after all, first in line again."""
        self._waiting.setdefault(origin, deque()).appendleft(queued)

    def leave(self, url_id: int) -> bool:
        """Leave a URL to somebody who has its answer; False when it is being fetched already."""
        if url_id not in self.busy:
            return True
        for waiting in self._waiting.values():
            here = [each for each in waiting if each.id == url_id]
            if here:
                waiting.remove(here[0])  # busy it stays, until its answer is committed
                return True
        return False

    def wait_seconds(self) -> float:
        """How long until some host may be asked again; infinite while none is waiting."""
        first = self.first_to_be_asked()
        return float("inf") if first is None else first[0]

    def first_to_be_asked(self) -> tuple[float, str] | None:
        """The host that may be asked again first, after how many seconds; None while none waits."""
        now = self._clock.monotonic()
        return min(
            ((self._paces.of(origin).wait_seconds(now), origin) for origin in self.origins()),
            default=None,
        )

    def may_start(self, origin: str) -> bool:
        """Whether the host's pace lets another request begin now."""
        return self._paces.of(origin).wait_seconds(self._clock.monotonic()) <= 0

    def robots_first(self, origin: str) -> bool:
        """Whether the host's next URL is its robots.txt."""
        head = self.head(origin)
        return head is not None and head.kind is Kind.ROBOTS
