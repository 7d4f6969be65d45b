"""The reconciler that tells people of alerts, and goes on trying while nobody takes the message.

What was told is in the alerts' rows, so another steward goes on where this one was killed. Only one
killed between the delivery and its note tells something twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from healtharchive.model.actions import APPLIED
from healtharchive.model.alerts import (
    Alert,
    alerts_to_tell,
    done_between,
    note_end_told,
    note_told,
)
from healtharchive.model.errors import SetupError
from healtharchive.steward.alert_text import Message, compose, subject_line
from healtharchive.steward.delivery import Carry, carry_out, failures, orders_for
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step, note_step
from healtharchive.steward.telling import (
    Occasion,
    TellingPolicy,
    Tidings,
    telling_policy,
    tidings,
)
from healtharchive.work.parking import BackOff

logger = logging.getLogger(__name__)

TELL = "tell_people"
LONGEST_PACE_SECONDS = 10.0
AGAIN = BackOff(first_seconds=30.0, longest_seconds=1800.0)


@dataclass(slots=True)
class Notify:
    """Sends what is due."""

    means: StewardMeans
    carry: Carry = carry_out
    name: str = "notify"
    # Whatever storms: a telephone that rings all night is switched off. What waits is one message.
    caps: Caps = field(default_factory=lambda: Caps(per_hour=20, per_day=200))
    _due: dict[str, Tidings] = field(default_factory=dict)
    _failed: int = 0  # in a row
    _next_at: datetime | None = None

    def every_seconds(self) -> float:
        """As often as the alerts are looked at."""
        return min(self.means.settings.steward_every_seconds, LONGEST_PACE_SECONDS)

    def plan(self) -> list[Step]:
        """The message that is due, one a round.

        A try that failed left its event, so the next ones leave none: they are made here. A dry run
        has failed at nothing and sends nothing.
        """
        if not addresses(self.means):
            return []
        now, due = self._observe()
        self._due = {each.occasion: each for each in due}
        if not due:
            self._failed, self._next_at = 0, None
            return []
        if self._next_at is None:
            return [self._step(due[0])]
        if now >= self._next_at:
            self._try_again(due[0])
        return []

    def apply(self, step: Step) -> str:
        """Send one message. SetupError when no address took it."""
        return self._deliver(self._due[step.subject_id])

    @property
    def _policy(self) -> TellingPolicy:
        return telling_policy(self.means.settings)

    def _observe(self) -> tuple[datetime, list[Tidings]]:
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            return now, tidings(alerts_to_tell(connection), now, self._policy)

    def _step(self, told: Tidings) -> Step:
        names = [each.event_id for each in told.alerts]
        why = subject_line(told, self.means.actor.host)
        return Step(TELL, "people", told.occasion, why, {"alerts": names}, urgent=True)

    def _try_again(self, told: Tidings) -> None:
        tries = self._failed + 1
        try:
            self._note(told, f"{self._deliver(told)}, at try {tries}")
        except SetupError as error:
            logger.info("%s", error)

    def _deliver(self, told: Tidings) -> str:
        """Send it and write that people know; what was done."""
        where = addresses(self.means)
        orders = orders_for(self._message(told), where)
        reports = self.carry(orders)
        missed = failures(orders, reports)
        database = self.means.database
        with database.begin() as connection:
            now = database.now(connection)
            if len(missed) < len(where):
                note = note_told if told.occasion is Occasion.PROBLEM else note_end_told
                note(connection, told.ids, now)
        if len(missed) == len(where):
            self._failed += 1
            wait = timedelta(seconds=AGAIN.wait_seconds(self._failed, lambda: 0.5))
            self._next_at = now + wait
            raise SetupError(
                f"Nobody could be told: {'; '.join(missed)}.",
                "It is tried again and again; `healtharchive alerts test` tries it now.",
            )
        self._failed, self._next_at = 0, None
        but = f", but not by {'; '.join(missed)}" if missed else ""
        return f"{len(told.alerts)} alerts were told by {len(where) - len(missed)} addresses{but}"

    def _message(self, told: Tidings) -> Message:
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            done = {
                each.id: done_between(connection, each, _until(each, now)) for each in told.alerts
            }
        return compose(
            told,
            done,
            host=self.means.actor.host,
            now=now,
            again_seconds=self._policy.again_seconds,
        )

    def _note(self, told: Tidings, why: str) -> None:
        """What a round notes of a step, for a try that was none."""
        with self.means.database.begin() as connection:
            note_step(self._step(told), self.means, connection, APPLIED, why)


def addresses(means: StewardMeans) -> list[str]:
    """Where alerts are sent."""
    return means.settings.notify_urls.split()


def send_test(means: StewardMeans, carry: Carry = carry_out) -> int:
    """Send a test message to every address; how many there are. SetupError when one took none."""
    where = addresses(means)
    if not where:
        raise SetupError(
            "HEALTHARCHIVE_NOTIFY_URLS is empty: alerts are sent nowhere.",
            "Set it in the env file, such as to ntfy://ntfy.sh/TOPIC; docs/alerts.md has more.",
        )
    host = means.actor.host
    message = Message(
        f"HealthArchive {host}: a test",
        f"HealthArchive on {host} can reach you.\n",
        Occasion.RECOVERY,
    )
    orders = orders_for(message, where)
    if missed := failures(orders, carry(orders)):
        raise SetupError(
            f"The test message was not taken: {'; '.join(missed)}.",
            "Correct HEALTHARCHIVE_NOTIFY_URLS; docs/alerts.md has examples.",
        )
    return len(where)


def _until(alert: Alert, now: datetime) -> datetime:
    return alert.over_at or now
