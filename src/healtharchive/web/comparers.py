"""Who compares two captures for readers: a few children at a time, each with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from healtharchive.crawl.urls import host_of
from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.errors import HealthArchiveError
from healtharchive.search.compare.request import (
    DEADLINE_SECONDS,
    Compared,
    CompareOrder,
    compare_in_child,
)
from healtharchive.web.reading import StorageUnavailable
from healtharchive.web.turns import Turns

MOST_HOSTS = 10_000


class LiveUnavailable(HealthArchiveError):
    """There is no page of today to compare with now; `key` names the sentence."""

    def __init__(self, reason: str, key: str = "live") -> None:
        super().__init__(reason)
        self.key = key


class Comparers:
    """`limit` comparisons at a time; who would wait longer than a few seconds is sent away.

    Only one of them asks a site for its page of today, and each site at most every
    `live_every_seconds`.
    """

    def __init__(
        self,
        limit: int = 2,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._turns = Turns(limit, "Every child that compares captures")
        self._deadline_seconds = deadline_seconds
        self._clock = clock or SystemClock()
        self._live = threading.Lock()
        self._asked: dict[str, float] = {}  # host -> when

    def compare(
        self, order: CompareOrder, common: Callable[[], frozenset[str]] = frozenset
    ) -> Compared:
        """The comparison, or why there is none. StorageUnavailable when a page cannot be read.

        `common` finds what most pages of these sites have, and may take its time: it is asked when
        it is this order's turn. Busy when too many compare already.
        """
        self._turns.take()
        try:
            order = replace(order, common=tuple(sorted(common())))
            compared = compare_in_child(order, self._deadline_seconds)
        finally:
            self._turns.give_back()
        if compared.refused == "out_of_reach":
            raise StorageUnavailable(compared.reason)
        return compared

    def compare_live(
        self,
        order: CompareOrder,
        live_every_seconds: float,
        common: Callable[[], frozenset[str]] = frozenset,
    ) -> Compared:
        """The same with today's page. LiveUnavailable when it cannot be had, or not yet again."""
        assert order.new.live is not None
        if not self._live.acquire(blocking=False):
            raise LiveUnavailable("another page of today is being fetched", "live_soon")
        try:
            self._take_turn(host_of(order.new.live.url), live_every_seconds)
            compared = self.compare(order, common)
        finally:
            self._live.release()
        if compared.refused == "live":
            raise LiveUnavailable(compared.reason)
        return compared

    def _take_turn(self, host: str, live_every_seconds: float) -> None:
        now = self._clock.monotonic()
        last = self._asked.get(host)
        if last is not None and now - last < live_every_seconds:
            raise LiveUnavailable(f"{host} was asked a moment ago", "live_soon")
        if len(self._asked) >= MOST_HOSTS:
            self._asked.pop(next(iter(self._asked)))
        self._asked[host] = now
