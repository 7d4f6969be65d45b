"""How long something that comes and goes must be over before people hear that it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from healtharchive.model.alerts import Alert

TIMES_BACK = "times_back"  # in the evidence: how often it came back after its end was told
SETTLING_SECONDS = (0.0, 900.0, 3600.0, 14_400.0)  # by the times that it came back
# Longer than any of the waits: else what comes back just after the longest one begins anew.
REMEMBERED = timedelta(hours=8)

Key = tuple[str, str, str]


def times_back(alert: Alert) -> int:
    """How often it had come back lately after people were told of its end."""
    return int(alert.evidence.get(TIMES_BACK, 0))


def settling_seconds(alert: Alert) -> float:
    """How long it must be over before people are told so."""
    return SETTLING_SECONDS[min(times_back(alert), len(SETTLING_SECONDS) - 1)]


def comebacks(ended: Iterable[Alert]) -> dict[Key, int]:
    """How often each of these has come back if it is found now; `ended` has the oldest first.

    What comes back before its end was told has only not settled: that waits no longer for it.
    """
    newest = {each.key: each for each in ended}
    counted = {
        key: times_back(each) + (each.over_sent_at is not None) for key, each in newest.items()
    }
    return {key: times for key, times in counted.items() if times}
