"""The reconciler of the search index's format: an older index becomes one of this program's.

A child does it at low priority while the older index answers; what that one leaves behind is
deleted in a later round, when nobody reads it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from healtharchive.model.journal import record
from healtharchive.model.told import last_told
from healtharchive.search import formats
from healtharchive.steward.delegating import Patience, delegate
from healtharchive.steward.index_child import IndexFormatOrder
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

CHILD = "healtharchive.steward.index_child"
SUBJECT = "search_index"
RENEW, BEGUN, DROP = "renew_index", "renew_index_begun", "drop_old_index"
NOT_YET = "not all of it yet, the next round goes on"
EVERY_SECONDS = 900.0
# A large archive takes hours, in several rounds: one that ends too seldom would seem to hang.
ROUND_SECONDS = 3600.0
PATIENCE = Patience(deadline_seconds=2 * ROUND_SECONDS, silence_seconds=900.0)


@dataclass(frozen=True, slots=True)
class Observed:
    """The format of the index that answers, and that of an older one beside it; empty: none.

    `begun`: the new one is being made already.
    """

    serving: str
    older: str
    begun: bool = False


def observe(home: Path) -> Observed:
    """What is in the directory of the indexes."""
    serving, older = formats.serving(home), formats.remains(home)
    return Observed(serving.name, older.name if older else "", formats.is_unfinished(home))


def plan(observed: Observed) -> list[Step]:
    """Make it anew, or delete what is left of the older one. Pure."""
    if not observed.older:
        return []
    if observed.serving == observed.older:
        why = f"it has format {observed.older}, which answers until it has {formats.FORMAT}"
        return [Step(RENEW, SUBJECT, formats.FORMAT, why, {"begun": observed.begun})]
    why = f"the search index has format {observed.serving} now, and nobody reads this one"
    return [Step(DROP, SUBJECT, observed.older, why)]


def under_way(connection: Connection) -> str:
    """How far the journal says that it is; empty when no index is being made anew."""
    told = last_told(connection, SUBJECT, (BEGUN, RENEW, DROP))
    if told is None:
        return ""
    return told.why if told.what == BEGUN or told.why.startswith(NOT_YET) else ""


@dataclass(slots=True)
class IndexFormat:
    """Makes the index anew when the program has another format for it."""

    means: StewardMeans
    name: str = "index_format"
    caps: Caps = field(default_factory=Caps)

    def every_seconds(self) -> float:
        """How often it looks."""
        return EVERY_SECONDS

    def plan(self) -> Sequence[Step]:
        """See `plan`."""
        return plan(observe(self.means.settings.search_dir))

    def apply(self, step: Step) -> str:
        """Have a child do it. SetupError when that was not possible; what is done is kept."""
        if step.what == DROP:
            delegate(CHILD, IndexFormatOrder(drop=True), self.means, PATIENCE)
            return "it is deleted"
        if not step.evidence["begun"]:
            self._journal(step)
        facts = delegate(CHILD, IndexFormatOrder(ROUND_SECONDS), self.means, PATIENCE)
        written = f"{facts['pages']} pages written, {facts['payloads']} payloads read"
        if not facts["whole"]:
            return f"{NOT_YET}: {written}"
        return f"the search index has format {formats.FORMAT} now: {written}"

    def _journal(self, step: Step) -> None:
        """That it has begun: it may take hours."""
        database = self.means.database
        with database.begin() as connection:
            record(
                connection,
                at=database.now(connection),
                actor=self.means.actor,
                subject=step.subject,
                subject_id=step.subject_id,
                what=BEGUN,
                why=step.why,
            )
