"""Polite waits: when every host that is left asked for patience, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.crawl.dispatch import Dispatch
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.hosts import Paces
from healtharchive.crawl.urls import host_of
from healtharchive.model.clock import Clock
from healtharchive.model.orders import Report, Wait

LEAST_SECONDS = 10.0  # a shorter one is over before anybody could ask what it is
NOTED_SECONDS = 300.0  # one as long as this is a line of the journal
SOON = timedelta(seconds=NOTED_SECONDS)
FIRST_POSTPONED = (
    "SELECT not_before, origin, reason FROM urls JOIN hosts ON hosts.id = host_id"
    " WHERE state = 0 AND not_before IS NOT NULL ORDER BY not_before LIMIT 1"
)
SAME_SECONDS = 5.0  # two moments as near as this are one wait, reckoned twice


@dataclass(slots=True)
class PoliteWaits:
    """The polite wait of an attempt that has nothing in flight, looked for again and again."""

    dispatch: Dispatch
    frontier: Frontier
    paces: Paces
    clock: Clock
    _current: Wait | None = None
    _noted_until: datetime | None = None

    def look(self, *, idle: bool) -> Wait | None:
        """The wait that there is now; None while something is fetched or will be at once."""
        found = self._find() if idle else None
        if found is None or self._current is None or not _same(found, self._current):
            self._current = found
        return self._current

    def note(self) -> Report | None:
        """What the journal is to be told of a long wait: once of each."""
        wait = self._current
        if wait is None:
            return None
        until = datetime.fromisoformat(wait.until)
        told = self._noted_until is not None and until <= self._noted_until + SOON
        if told or (until - self.clock.now()).total_seconds() < NOTED_SECONDS:
            return None
        self._noted_until = until
        what = f"waits politely until {until:%Y-%m-%dT%H:%M:%SZ} for {wait.host}"
        evidence: dict[str, str | int | float | bool | None] = {
            "host": wait.host,
            "until": wait.until,
        }
        return Report("note", what=what, reason=wait.reason, evidence=evidence)

    def _find(self) -> Wait | None:
        first = self.dispatch.first_to_be_asked()
        if first is not None:
            seconds, origin = first
            reason = self.paces.of(origin).why_it_waits(self.clock.monotonic())
        else:
            postponed = self.frontier.ask(FIRST_POSTPONED)
            if not postponed:
                return None
            when, origin, why = postponed[0]
            seconds = when - self.clock.now().timestamp()
            reason = f"what is left of it is tried again later ({why})"
        if not LEAST_SECONDS <= seconds < float("inf"):
            return None
        until = self.clock.now() + timedelta(seconds=seconds)
        return Wait(host_of(origin), until.isoformat(timespec="seconds"), reason)


def _same(one: Wait, other: Wait) -> bool:
    apart = datetime.fromisoformat(one.until) - datetime.fromisoformat(other.until)
    alike = (one.host, one.reason) == (other.host, other.reason)
    return alike and abs(apart.total_seconds()) <= SAME_SECONDS
