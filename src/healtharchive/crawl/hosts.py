"""Politeness: how fast each host is asked, backing off when it struggles and recovering after."""

from __future__ import annotations

from dataclasses import dataclass, field

from healtharchive.model.source import Politeness

# After this many good answers in a row a host is asked a little faster again.
GOOD_BEFORE_FASTER = 10
FIRST_BACKOFF_SECONDS = 1.0
# A host that answered nothing this often in a row is down: the job waits instead of burning
# through its URLs.
UNREACHABLE_AFTER = 20


@dataclass(slots=True)
class HostPace:
    """The pace of one host. Times are seconds of one clock, given by the caller.

    `base_delay` is the source's own delay or the robots.txt Crawl-delay, whichever is longer.
    """

    politeness: Politeness
    base_delay: float = 0.0
    delay: float = 0.0
    concurrency: int = 0
    in_flight: int = 0
    next_start: float = 0.0
    blocked_until: float = 0.0
    asked_seconds: float = 0.0  # for how long it asked to be left alone
    good_in_a_row: int = 0
    dead_in_a_row: int = 0

    def __post_init__(self) -> None:
        self.base_delay = max(self.base_delay, self.politeness.delay_seconds)
        self.delay = self.base_delay
        self.concurrency = self.concurrency or max(1, self.politeness.concurrency)

    def obey_crawl_delay(self, seconds: float | None) -> None:
        """A robots.txt Crawl-delay: one request at a time, that far apart (at most the cap)."""
        if seconds:
            self.base_delay = max(self.base_delay, min(seconds, self.politeness.max_delay_seconds))
            self.delay = max(self.delay, self.base_delay)
            self.concurrency = 1

    def wait_seconds(self, now: float) -> float:
        """How long until another request may start; infinite while all places are taken."""
        if self.in_flight >= self.concurrency:
            return float("inf")
        return max(0.0, self.next_start - now, self.blocked_until - now)

    def why_it_waits(self, now: float) -> str:
        """Who asked for the wait before the next request."""
        if self.blocked_until > max(now, self.next_start):
            return self._why_it_is_left_alone()
        if self.delay > self.base_delay:
            return "it struggles, and is asked more slowly"
        if self.base_delay > self.politeness.delay_seconds:
            return "its robots.txt asks for that delay (Crawl-delay)"
        return "its source asks for that delay"

    def _why_it_is_left_alone(self) -> str:
        most = self.politeness.max_retry_after_seconds
        if self.asked_seconds <= most:
            return "it asked to be left alone so long (Retry-After)"
        return (
            f"it asked to be left alone for {self.asked_seconds:.0f} s (Retry-After), and is for "
            f"max_retry_after_seconds of its source ({most:.0f} s)"
        )

    def started(self, now: float) -> None:
        """A request to this host begins."""
        self.in_flight += 1
        self.next_start = now + self.delay

    def ended(self) -> None:
        """A request to this host is over, however it went."""
        self.in_flight -= 1

    def good(self) -> None:
        """The host answered: after ten in a row it is asked faster again, down to the base."""
        self.dead_in_a_row = 0
        self.good_in_a_row += 1
        if self.good_in_a_row < GOOD_BEFORE_FASTER:
            return
        self.good_in_a_row = 0
        halved = self.delay / 2
        floor = FIRST_BACKOFF_SECONDS / 4
        self.delay = self.base_delay if halved < max(self.base_delay, floor) else halved
        most = 1 if self.base_delay > self.politeness.delay_seconds else self.politeness.concurrency
        self.concurrency = min(max(1, most), self.concurrency + 1)

    def struggling(self, now: float, retry_after: float | None = None, *, dead: bool) -> None:
        """The host asked for less (429, 503) or did not answer (`dead`).

        One that says when to come again (Retry-After) is taken at its word, up to the source's
        bound; any other is asked more slowly from now on.
        """
        self.good_in_a_row = 0
        self.dead_in_a_row = self.dead_in_a_row + 1 if dead else 0
        self.concurrency = max(1, self.concurrency // 2)
        if retry_after is not None:
            self.asked_seconds = retry_after
            most = self.politeness.max_retry_after_seconds
            self.blocked_until = now + min(retry_after, most)
            return
        doubled = max(FIRST_BACKOFF_SECONDS, self.delay * 2)
        self.delay = max(self.base_delay, min(doubled, self.politeness.max_delay_seconds))

    @property
    def unreachable(self) -> bool:
        """Whether the host looks down as a whole."""
        return self.dead_in_a_row >= UNREACHABLE_AFTER


@dataclass(slots=True)
class Paces:
    """The pace of every host of a job."""

    politeness: Politeness
    by_origin: dict[str, HostPace] = field(default_factory=dict)

    def of(self, origin: str) -> HostPace:
        """The host's pace, a fresh one the first time."""
        if origin not in self.by_origin:
            self.by_origin[origin] = HostPace(self.politeness)
        return self.by_origin[origin]
