"""What becomes of an alert with each look: pending, firing, over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from healtharchive.model.alerts import LONGEST_ID, Alert, AlertState, Sighting
from healtharchive.model.wire import to_plain
from healtharchive.steward.alert_rules import Finding
from healtharchive.steward.settling import TIMES_BACK, comebacks

CALM_SECONDS = 30.0  # not found for so long, it is gone; a shorter gap is none
EXPLAINED_AT = "explained_at"  # in the evidence: when another alert last explained it
# In the evidence, for whoever writes to people: what a person would run, what happens by itself,
# and what a person alone can do.
COMMAND, NEXT, ONLY_YOU = "command", "next", "only_you"

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """Found, and no row has it yet."""

    key: Key
    sighting: Sighting
    since: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """Found again."""

    alert: Alert
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class Gone:
    """A pending alert that is not found any more. `kept`: its row shows what explained it."""

    alert: Alert
    kept: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What the alerts that are not over come to. `fires` and `over` are told in the journal."""

    fires: tuple[Alert, ...]
    over: tuple[Alert, ...]


Note = Begun | Seen | Gone


def key_of(finding: Finding) -> Key:
    """What tells an incident from others, as its row has it."""
    return finding.rule.name, finding.found.subject, finding.found.subject_id[:LONGEST_ID]


def notes(
    findings: Sequence[Finding],
    rows: Iterable[Alert],
    now: datetime,
    ended: Iterable[Alert] = (),
) -> list[Note]:
    """What is to be remembered of one look; no state that people hear of changes by it.

    `ended` are those that fired and are over since a while, the oldest first.
    """
    known = {each.key: each for each in rows}
    back = comebacks(ended)
    found = {key_of(each): each for each in reversed(findings)}
    noted: list[Note] = []
    for key, finding in found.items():
        row = known.get(key)
        if row is None:
            since = min(finding.found.since or now, now)
            before = {TIMES_BACK: back[key]} if key in back else {}
            noted.append(Begun(key, _sighting(finding, before, now), since))
        else:
            noted.append(Seen(row, _sighting(finding, row.evidence, now)))
    for key, row in known.items():
        if key not in found and row.state is AlertState.PENDING and _is_gone(row, now):
            noted.append(Gone(row, kept=bool(row.inhibited_by)))
    return noted


def changes(rows: Iterable[Alert], lasts_seconds: Mapping[str, float], now: datetime) -> Changes:
    """What fires and what is over now. `lasts_seconds` is how long, by the rules' names."""
    rows = list(rows)
    fires = [
        each
        for each in rows
        if each.state is AlertState.PENDING
        and each.seen_at == now
        and _has_lasted(each, lasts_seconds.get(each.name, 0.0), now)
    ]
    over = [each for each in rows if each.state is AlertState.FIRING and _is_gone(each, now)]
    return Changes(tuple(fires), tuple(over))


def _has_lasted(alert: Alert, lasts_seconds: float, now: datetime) -> bool:
    """Whether it has been so for long; what is or was explained must last by itself after that."""
    explained_at = alert.evidence.get(EXPLAINED_AT)
    if explained_at is None:
        return now - alert.since >= timedelta(seconds=lasts_seconds)
    # The explanation may flicker as everything may: a gap in it is none either.
    wait = max(lasts_seconds, CALM_SECONDS)
    began = max(alert.since, datetime.fromisoformat(explained_at))
    return now - began >= timedelta(seconds=wait)


def _is_gone(alert: Alert, now: datetime) -> bool:
    return now - alert.seen_at >= timedelta(seconds=CALM_SECONDS)


def _sighting(finding: Finding, before: Mapping[str, Any], now: datetime) -> Sighting:
    evidence = {
        **to_plain(dict(finding.found.evidence)),
        COMMAND: finding.command,
        NEXT: finding.next_step.by_itself,
        ONLY_YOU: finding.next_step.only_you,
    }
    explained_at = now.isoformat() if finding.explained_by else before.get(EXPLAINED_AT)
    if explained_at is not None:
        evidence[EXPLAINED_AT] = explained_at
    if TIMES_BACK in before:
        evidence[TIMES_BACK] = before[TIMES_BACK]
    return Sighting(
        finding.rule.severity, finding.found.sentence, evidence, finding.explained_by or None
    )
