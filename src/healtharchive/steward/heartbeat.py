"""The dead man's switch: an address outside is asked while all is well, and misses us when not.

A beat is no event: only that they began, went unanswered, and were answered again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from healtharchive.model.rounds import Round, list_rounds
from healtharchive.steward.delivery import Carry, carry_out, heartbeat_order
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step

logger = logging.getLogger(__name__)

BEGINS, UNANSWERED, ANSWERED = "heartbeat_begins", "heartbeat_unanswered", "heartbeat_answered"
NAME, ALERTS = "heartbeat", "alerts"
FAILURES = 3  # in a row, and a reconciler is not well
SILENT_SECONDS = 300.0  # rounds are noted every minute
RETIRED = timedelta(days=30)  # of a reconciler that another version had
IDLE_SECONDS = 60.0  # between two looks whether there is an address at all


@dataclass(slots=True)
class Heartbeat:
    """Asks the address while the steward's rounds go well."""

    means: StewardMeans
    carry: Carry = carry_out
    name: str = NAME
    caps: Caps = field(default_factory=Caps)
    _began: bool = False
    _answered: bool = True

    def every_seconds(self) -> float:
        """As the settings say."""
        settings = self.means.settings
        return settings.heartbeat_every_seconds if settings.heartbeat_url else IDLE_SECONDS

    def plan(self) -> list[Step]:
        """That the beats begin; once they have, each round is one beat. A dry run is none."""
        if not self.means.settings.heartbeat_url:
            return []
        if not self._began:
            return [_step(BEGINS, "an address outside is asked as long as all is well")]
        why = self._beat()
        if why is None or (why == "") == self._answered:
            return []
        self._answered = why == ""
        if self._answered:
            return [_step(ANSWERED, "the address answers again")]
        logger.warning("the heartbeat is not answered: %s", why)
        return [_step(UNANSWERED, f"the address does not answer: {why}")]

    def apply(self, step: Step) -> str:
        """Begin to beat, with the first one. The other steps only say what was seen."""
        if step.what != BEGINS:
            return step.why
        self._began = True
        why = self._beat()
        self._answered = not why
        return f"{step.why}; it does not answer: {why}" if why else step.why

    def _beat(self) -> str | None:
        """Ask once: why it was not answered, empty when it was; None when we must not ask."""
        database = self.means.database
        with database.read() as connection:
            trouble = unwell(list_rounds(connection), database.now(connection))
        if trouble:
            logger.info("no heartbeat: %s", trouble)
            return None
        (report,) = self.carry([heartbeat_order(self.means.settings.heartbeat_url)])
        return "" if report.taken else report.why or "nothing was said why"


def unwell(rounds: Iterable[Round], now: datetime) -> str:
    """Which reconciler's rounds do not go well; empty when all do. Pure.

    The heartbeat's own trouble is none of it.
    """
    for each in rounds:
        ended = each.ended_at or each.began_at
        age = now - ended
        if each.name == ALERTS and age > timedelta(seconds=SILENT_SECONDS):
            return f"{each.name} had no round since {ended:%Y-%m-%d %H:%M:%S}Z"
        if each.name != NAME and each.failures >= FAILURES and age <= RETIRED:
            return f"{each.name} failed {each.failures} times in a row"
    return ""


def _step(what: str, why: str) -> Step:
    return Step(what, "heartbeat", "address", why, urgent=True)
