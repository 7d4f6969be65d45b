"""The breaker of a target: what one more look, or one more trouble, does to it. Pure.

| state     | what is seen                         | becomes   |
| --------- | ------------------------------------ | --------- |
| closed    | a definite fault (107, wrong mount, no pulse …) | open      |
| closed    | the third vague one (EIO, a time-out)| open      |
| open      | good looks for long enough           | half-open |
| half-open | any bad look                         | open      |
| half-open | its trial gets on, or nobody waits   | closed    |

How long the good looks must last doubles with every trip that follows the last one within
`forget_seconds`: a target that flaps is not tried again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from healtharchive.model.states import TargetEvent, TargetState
from healtharchive.model.target import Verdict

# One sighting is enough: the errno, or the mount table, leaves no doubt.
DEFINITE = frozenset(
    {
        Verdict.STALE,
        Verdict.WRONG_MOUNT,
        Verdict.MISSING,
        Verdict.READ_ONLY,
        Verdict.NOT_WRITABLE,
        Verdict.FULL,
    }
)
LONGEST_GOOD_SECONDS = 20.0  # longer would only keep a target from those who wait for it


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a target counts as dead, and when as well again."""

    strikes: int = 3
    good_probes: int = 3
    good_seconds: float = 4.0
    forget_seconds: float = 600.0

    def good_seconds_after(self, trip_streak: int) -> float:
        """How long the looks must be good after the `trip_streak`-th trip in a row."""
        doubled = self.good_seconds * 2.0 ** min(max(trip_streak, 1) - 1, 16)
        return min(doubled, max(self.good_seconds, LONGEST_GOOD_SECONDS))


@dataclass(frozen=True, slots=True)
class BreakerFacts:
    """What the decision hangs on: a target's row."""

    state: TargetState
    since: datetime
    tripped_at: datetime | None = None
    trip_streak: int = 0
    strikes: int = 0
    good_probes: int = 0
    good_since: datetime | None = None
    ever_healthy: bool = True  # a target that was never there has not flapped


@dataclass(frozen=True, slots=True)
class Change:
    """What follows: the step to take, if any, and the columns that change with it."""

    event: TargetEvent | None
    columns: dict[str, Any] = field(default_factory=dict)


def after_look(
    facts: BreakerFacts,
    verdict: Verdict,
    now: datetime,
    policy: BreakerPolicy,
    *,
    certain: bool = False,
) -> Change:
    """What a look at the target does to its breaker. `certain`: also a vague verdict is sure."""
    if verdict is Verdict.HEALTHY:
        return _after_good(facts, now, policy)
    return after_trouble(facts, now, policy, definite=certain or verdict in DEFINITE)


def after_trouble(
    facts: BreakerFacts, now: datetime, policy: BreakerPolicy, *, definite: bool
) -> Change:
    """What a failure does, seen by a look or by a job."""
    strikes = facts.strikes + 1
    columns: dict[str, Any] = {"strikes": strikes, "good_probes": 0, "good_since": None}
    enough = definite or strikes >= policy.strikes or facts.state is TargetState.HALF_OPEN
    if facts.state is TargetState.OPEN or not enough:
        return Change(None, columns)
    forget = timedelta(seconds=policy.forget_seconds)
    recent = facts.tripped_at is not None and now - facts.tripped_at < forget
    flapped = recent and facts.ever_healthy
    streak = facts.trip_streak + 1 if flapped else int(facts.ever_healthy)
    columns |= {"tripped_at": now, "trip_streak": streak}
    failed = facts.state is TargetState.HALF_OPEN
    return Change(TargetEvent.TRIAL_FAILED if failed else TargetEvent.TRIP, columns)


def _after_good(facts: BreakerFacts, now: datetime, policy: BreakerPolicy) -> Change:
    good_since = facts.good_since or now
    good = facts.good_probes + 1
    columns: dict[str, Any] = {"strikes": 0, "good_probes": good, "good_since": good_since}
    lasted = (now - good_since).total_seconds()
    if (
        facts.state is TargetState.OPEN
        and good >= policy.good_probes
        and lasted >= policy.good_seconds_after(facts.trip_streak)
    ):
        return Change(TargetEvent.PROBE_OK, columns)
    return Change(None, columns)
