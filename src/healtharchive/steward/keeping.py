"""The reconciler of small files on targets: the list of what is not shown lies beside the bytes.

Without it an archive that is made anew from its cold tier would show what was taken down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from healtharchive.model.actions import last_applied
from healtharchive.model.errors import SetupError
from healtharchive.model.kept_list import KEPT_NAME, last_change, list_text
from healtharchive.model.shipments import KeepOrder, SmallFile, TargetOrder
from healtharchive.model.states import TargetState
from healtharchive.model.suppression import list_suppressions
from healtharchive.model.targets import get_target, list_targets
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

KEEP = "keep_suppressions"


@dataclass(frozen=True, slots=True)
class Holder:
    """A target that bytes are shipped to, and when it last got the list."""

    name: str
    healthy: bool
    kept_at: datetime | None


def plan(changed_at: datetime | None, holders: Iterable[Holder]) -> list[Step]:
    """Which targets lack the newest list. Pure."""
    if changed_at is None:
        return []
    late = [each for each in holders if each.kept_at is None or each.kept_at <= changed_at]
    return [
        Step(
            KEEP,
            "target",
            each.name,
            f"the list of what is not shown changed at {changed_at:%Y-%m-%dT%H:%M:%SZ}",
        )
        for each in late
        if each.healthy
    ]


@dataclass(slots=True)
class Keeping:
    """Brings the list to every target that takes sealed segments."""

    means: StewardMeans
    name: str = "keeping"
    caps: Caps = field(default_factory=lambda: Caps(cooldown_seconds=30.0))

    def every_seconds(self) -> float:
        """A takedown should not wait longer for its copies than a segment does."""
        return self.means.settings.ship_every_seconds

    def plan(self) -> list[Step]:
        """See `plan`."""
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            targets = [each for each in list_targets(connection) if each.ship]
            holders = [
                Holder(
                    each.name,
                    each.state is TargetState.CLOSED,
                    last_applied(connection, "target", each.name, KEEP, now),
                )
                for each in targets
            ]
            return plan(last_change(connection, now), holders)

    def apply(self, step: Step) -> str:
        """Write the list there. SetupError when the target does not take it."""
        with self.means.database.read() as connection:
            target = get_target(connection, step.subject_id)
            active = list_suppressions(connection)
        file = SmallFile(KEPT_NAME, list_text(active).decode())
        order = TargetOrder(target.definition, KeepOrder((file,)), target.identity or "")
        end = list(carry(order, self.means.stop, stall_seconds=60.0))[-1]
        if end.outcome != "complete":
            raise SetupError(f"Target '{target.name}' did not take {KEPT_NAME}: {end.reason}.")
        return f"{KEPT_NAME} with {len(active)} suppressions lies on {target.name}"
