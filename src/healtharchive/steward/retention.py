"""The retention reconciler: old rows that nobody asks for leave the database, month by month.

Each month of a kind becomes a file below `state_dir/retired`; a child does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from healtharchive.model.retention import KINDS, RETIRE, SUBJECT, Month, months_due
from healtharchive.steward.delegating import Patience, delegate
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.retention_child import RetireOrder
from healtharchive.steward.retired_files import file_of
from healtharchive.steward.rounds import Caps, Step

CHILD = "healtharchive.steward.retention_child"
EVERY_SECONDS = 3600.0
MONTHS = 4  # of each kind in one round
PATIENCE = Patience(deadline_seconds=7200.0, silence_seconds=900.0)
WORDS = {
    "actions": "automatic actions",
    "alerts": "alerts that are over",
    "services": "processes that ended",
    "service_holds": "pauses and owed restarts that ended",
    "events": "events",
}


@dataclass(frozen=True, slots=True)
class Due:
    """Rows of one kind and month that nobody asks for."""

    kind: str
    month: Month
    rows: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.month}"


@dataclass(frozen=True, slots=True)
class Observed:
    """What is due, from before `cutoff`."""

    cutoff: datetime
    due: tuple[Due, ...]


def cutoff_of(now: datetime, days: float) -> datetime:
    """The beginning of the month that long ago: only whole months are retired. Pure."""
    return Month.of(now - timedelta(days=days)).begin


def plan(observed: Observed, state_dir: Path) -> list[Step]:
    """A step for each month of each kind. Pure."""
    return [
        Step(
            RETIRE,
            SUBJECT,
            each.name,
            f"{each.rows} {WORDS[each.kind]} of {each.month} are from before "
            f"{observed.cutoff:%Y-%m-%d}, and nothing asks for them",
            evidence={"rows": each.rows, "file": str(file_of(state_dir, each.name))},
            quiet=True,  # the child tells of it, together with the first rows that it deletes
        )
        for each in observed.due
    ]


@dataclass(slots=True)
class Retention:
    """Moves what is old from the database to files."""

    means: StewardMeans
    name: str = SUBJECT
    caps: Caps = field(default_factory=Caps)

    def every_seconds(self) -> float:
        """How often it looks."""
        return EVERY_SECONDS

    def plan(self) -> Sequence[Step]:
        """See `plan`."""
        return plan(self.observe(), self.means.settings.state_dir)

    def observe(self) -> Observed:
        """What is due; no file is looked at."""
        database = self.means.database
        with database.read() as connection:
            cutoff = cutoff_of(database.now(connection), self.means.settings.journal_days)
            due = [
                Due(kind, month, rows)
                for kind in KINDS
                for month, rows in months_due(connection, kind, cutoff, MONTHS)
            ]
        return Observed(cutoff, tuple(due))

    def apply(self, step: Step) -> str:
        """Move the rows of one month. SetupError when that was not possible; nothing is lost."""
        with self.means.database.read() as connection:
            now = self.means.database.now(connection)
        cutoff = cutoff_of(now, self.means.settings.journal_days)
        kind, _, month = step.subject_id.partition("-")
        order = RetireOrder(step.evidence["file"], kind, month, cutoff.isoformat())
        facts = delegate(CHILD, order, self.means, PATIENCE)
        if facts.get("busy"):
            return "another steward is doing it"
        return f"{facts['rows']} rows were moved to {order.file}"
