"""Of which alerts people are told now: grouped, once, not at night, and when it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from healtharchive.model.alerts import Alert, AlertState
from healtharchive.settings import Settings
from healtharchive.settings.operation import SEVERITIES
from healtharchive.settings.quiet import QuietHours, quiet_hours
from healtharchive.steward.settling import settling_seconds

CRITICAL = "critical"


class Occasion(StrEnum):
    """Why people are told."""

    PROBLEM = "problem"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class TellingPolicy:
    """When people want to be told, and of what."""

    least: str = "warning"
    group_seconds: float = 60.0
    again_seconds: float = 86_400.0
    quiet: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class Tidings:
    """What one message is about: alerts, the gravest first."""

    occasion: Occasion
    alerts: tuple[Alert, ...]

    @property
    def ids(self) -> list[int]:
        """The rows that it is about."""
        return [each.id for each in self.alerts]


def telling_policy(settings: Settings) -> TellingPolicy:
    """As the settings say."""
    return TellingPolicy(
        settings.notify_from,
        settings.notify_group_seconds,
        settings.notify_again_seconds,
        quiet_hours(settings.quiet_hours, settings.quiet_zone),
    )


def tidings(rows: Iterable[Alert], now: datetime, policy: TellingPolicy) -> list[Tidings]:
    """The messages that are due: at most one of problems and one of what is over.

    `rows` are those that are not over, and those of whose end people may have to be told.
    """
    rows = [each for each in rows if _may(each, now, policy)]
    due = [
        Tidings(Occasion.PROBLEM, _by_gravity(_problems(rows, now, policy))),
        Tidings(Occasion.RECOVERY, _by_gravity(_recoveries(rows, now, policy))),
    ]
    return [each for each in due if each.alerts]


def _problems(rows: Iterable[Alert], now: datetime, policy: TellingPolicy) -> list[Alert]:
    """What fires and nobody knows, when the first of it has waited for others; reminders with it.

    What nobody was told of before it was explained, or over, is never told.
    """
    firing = [
        each
        for each in rows
        if each.state is AlertState.FIRING
        and not each.inhibited_by
        and SEVERITIES.index(each.severity) >= SEVERITIES.index(policy.least)
    ]
    new = [each for each in firing if each.sent_at is None]
    again = [each for each in firing if _since(each.sent_at, now) >= policy.again_seconds]
    waited = any(_since(each.fired_at, now) >= policy.group_seconds for each in new)
    return [*new, *again] if waited or again else []


def _recoveries(rows: Iterable[Alert], now: datetime, policy: TellingPolicy) -> list[Alert]:
    """What people were told of and is over, when the first of it has waited for others.

    What came back lately must stay over for longer, or each time it flaps were two messages.
    """
    rows = list(rows)
    open_again = {each.key for each in rows if each.state is not AlertState.OVER}
    over = [
        each
        for each in rows
        if each.state is AlertState.OVER
        and each.sent_at is not None
        and each.over_sent_at is None
        and each.key not in open_again
        and _since(each.over_at, now) >= settling_seconds(each)
    ]
    waited = any(_since(each.over_at, now) >= policy.group_seconds for each in over)
    return over if waited else []


def _may(alert: Alert, now: datetime, policy: TellingPolicy) -> bool:
    quiet = policy.quiet is not None and policy.quiet.holds(now)
    return alert.severity == CRITICAL or not quiet


def _since(moment: datetime | None, now: datetime) -> float:
    """Seconds since then; less than any wait when it never was."""
    return float("-inf") if moment is None else (now - moment) / timedelta(seconds=1)


def _by_gravity(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts, key=lambda each: (-SEVERITIES.index(each.severity), each.id)))
