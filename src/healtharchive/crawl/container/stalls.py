"""When a crawl in a container has stalled, and what is done about it: pure rules, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from healtharchive.model.container import ContainerOptions

Trouble = Literal["stalled", "timeout", "http", "network", "crashed", "memory"]
Action = Literal["fewer_workers", "back_off", "restart", "other_engine"]

# What is tried for a trouble, in this order, each as long as its budget lasts. Where a host or a
# network is in trouble, waiting helps more than asking it again with fewer workers.
LADDERS: dict[Trouble, tuple[Action, ...]] = {
    "stalled": ("fewer_workers", "restart", "other_engine"),
    "timeout": ("fewer_workers", "back_off", "restart", "other_engine"),
    "http": ("fewer_workers", "back_off", "restart", "other_engine"),
    "network": ("back_off", "restart", "other_engine"),
    "crashed": ("restart", "other_engine"),
    "memory": ("fewer_workers", "restart", "other_engine"),
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What was done about troubles of this job so far; `last_at` in seconds since 1970."""

    workers: int
    fewer_workers: int = 0
    back_offs: int = 0
    restarts: int = 0
    last_at: float = 0.0


@dataclass(slots=True)
class Watched:
    """What was seen of one container: its last progress, and its pages and errors by time."""

    progress_at: float
    progress: tuple[int, ...] = ()
    _seen: deque[tuple[float, str, int]] = field(default_factory=deque)

    def note(
        self, at: float, progress: tuple[int, ...], pages: int, troubles: Mapping[str, int]
    ) -> None:
        """Take what happened up to `at`: progress is whatever changes when the crawl advances."""
        if progress != self.progress:
            self.progress, self.progress_at = progress, at
        if pages:
            self._seen.append((at, "page", pages))
        self._seen.extend((at, kind, number) for kind, number in troubles.items())

    def within(self, since: float) -> dict[str, int]:
        """How many pages and errors of each kind there were; what is older is forgotten."""
        while self._seen and self._seen[0][0] < since:
            self._seen.popleft()
        found: dict[str, int] = {}
        for _, kind, number in self._seen:
            found[kind] = found.get(kind, 0) + number
        return found


@dataclass(frozen=True, slots=True)
class Finding:
    """A trouble, with the numbers that tell of it."""

    trouble: Trouble
    words: str
    evidence: dict[str, str | int | float | bool | None]


def look(watched: Watched, at: float, options: ContainerOptions) -> Finding | None:
    """The trouble a running container is in, if any."""
    idle = at - watched.progress_at
    if idle >= options.stall_seconds:
        words = f"no progress for {idle:.0f} seconds"
        return Finding("stalled", words, {"idle_seconds": round(idle)})
    happened = watched.within(at - options.error_window_seconds)
    everything = sum(happened.values())
    limits: tuple[tuple[Trouble, int], ...] = (
        ("timeout", options.timeout_errors),
        ("network", options.network_errors),
        ("http", options.http_errors),
    )
    for trouble, least in limits:
        number = happened.get(trouble, 0)
        if number >= least and number >= options.error_share * everything:
            words = f"{number} {trouble} errors against {happened.get('page', 0)} pages"
            evidence: dict[str, str | int | float | bool | None] = {
                f"{kind}_seen": count for kind, count in happened.items()
            }
            evidence["window_seconds"] = options.error_window_seconds
            return Finding(trouble, words, evidence)
    return None


def decide(trouble: Trouble, spent: Spent, options: ContainerOptions) -> Action:
    """What to do about a trouble: the first step of its ladder whose budget is not used up."""
    for action in LADDERS[trouble]:
        if action == "fewer_workers":
            if spent.workers > 1 and spent.fewer_workers < options.fewer_workers:
                return action
        elif action == "back_off":
            if spent.back_offs < options.back_offs:
                return action
        elif action == "restart":
            if spent.restarts < options.restarts:
                return action
        else:
            return action
    raise AssertionError(f"the ladder of {trouble} has no end")


def charge(spent: Spent, action: Action, now: float) -> Spent:
    """The budgets after an action."""
    if action == "fewer_workers":
        return replace(
            spent, workers=spent.workers - 1, fewer_workers=spent.fewer_workers + 1, last_at=now
        )
    if action == "back_off":
        return replace(spent, back_offs=spent.back_offs + 1, last_at=now)
    if action == "restart":
        return replace(spent, restarts=spent.restarts + 1, last_at=now)
    return spent


def forgive(spent: Spent, now: float, options: ContainerOptions) -> Spent:
    """Budgets are full again after a long time without trouble; the workers stay as few."""
    if spent.last_at and now - spent.last_at >= options.forget_seconds:
        return Spent(spent.workers)
    return spent


def restart_wait_seconds(fruitless: int, options: ContainerOptions) -> float:
    """How long to wait before a start, after so many containers in a row without progress."""
    if not fruitless:
        return 0.0
    return min(300.0, options.restart_wait_seconds * 2.0 ** min(fruitless - 1, 10))
