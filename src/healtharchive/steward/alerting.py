"""The reconciler of alerts: what is found becomes pending, fires when it lasts, and ends.

Looking writes what it saw, also in a dry run, as looks at targets do: how long something lasts is
known from nothing else. What people hear of is a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.alerts import (
    Alert,
    begin_alert,
    drop_alert,
    end_alert,
    ended_alerts,
    fire_alert,
    open_alerts,
    see_alert,
    take_turn,
)
from healtharchive.steward.alert_rules import Finding
from healtharchive.steward.alert_states import Begun, Changes, Note, Seen, changes, notes
from healtharchive.steward.findings import findings
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.observing import look
from healtharchive.steward.rounds import Caps, Step
from healtharchive.steward.settling import REMEMBERED

FIRES, OVER = "alert_fires", "alert_over"
LONGEST_PACE_SECONDS = 10.0  # a gap between looks must be well below the calm that ends an alert
Look = Callable[[], Sequence[Finding]]


def looking(means: StewardMeans) -> Look:
    """What is found by looking at the whole archive with every rule."""
    return lambda: findings(look(means.database, means.settings, means.clock), means.settings)


@dataclass(slots=True)
class Alerts:
    """Keeps the rows of the alerts. `look` says what is found now."""

    means: StewardMeans
    look: Look
    name: str = "alerts"
    caps: Caps = field(default_factory=lambda: Caps(per_hour=1000, per_day=10_000))

    def every_seconds(self) -> float:
        """Often enough to tell a flicker from an end."""
        return min(self.means.settings.steward_every_seconds, LONGEST_PACE_SECONDS)

    def plan(self) -> list[Step]:
        """Look once; which alerts fire or are over."""
        found = self.look()
        database = self.means.database
        with database.begin() as connection:
            take_turn(connection)
            now = database.now(connection)
            ended = ended_alerts(connection, now - REMEMBERED)
            for note in notes(found, open_alerts(connection), now, ended):
                _write(connection, note, now)
            lasts = {each.rule.name: each.rule.lasts_seconds for each in found}
            return steps(changes(open_alerts(connection), lasts, now))

    def apply(self, step: Step) -> str:
        """Write the change that the step says."""
        change = fire_alert if step.what == FIRES else end_alert
        database = self.means.database
        with database.begin() as connection:
            change(connection, step.evidence["alert"], database.now(connection))
        return step.why


def steps(changed: Changes) -> list[Step]:
    """The changes as steps, which leave an event each. A deploy does not silence them. Pure."""
    return [
        *(_step(FIRES, each, each.summary) for each in changed.fires),
        *(
            _step(OVER, each, f"it was not so any more since {each.seen_at:%H:%M:%S}Z")
            for each in changed.over
        ),
    ]


def _step(what: str, alert: Alert, why: str) -> Step:
    evidence = {"alert": alert.id, "severity": alert.severity, "since": alert.since.isoformat()}
    return Step(what, "alert", alert.event_id, why, evidence, urgent=True)


def _write(connection: Connection, note: Note, now: datetime) -> None:
    if isinstance(note, Begun):
        begin_alert(connection, note.key, note.sighting, since=note.since, now=now)
    elif isinstance(note, Seen):
        see_alert(connection, note.alert.id, note.sighting, now)
    elif note.kept:
        end_alert(connection, note.alert.id, now)
    else:
        drop_alert(connection, note.alert.id)
