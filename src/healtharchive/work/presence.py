"""That a long-lived process is there: its start, its stop and who asked for it, in the journal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.work.outage import OUTAGES, describe
from healtharchive.work.signals import StopSignal
from healtharchive.work.stopping import Stop

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Presence:
    """One process in the journal. `subject` is what it is: worker or steward."""

    subject: str
    holder: str
    database: Database
    actor: Actor
    _signal: StopSignal | None = None

    def on_signal(self, received: StopSignal, stop: Stop) -> None:
        """Stop because of a signal; its sender goes into the journal."""
        logger.info("stopping: %s", received.sentence)
        if not stop.asked:
            self._signal = received
        stop.ask(received.sentence)

    @contextmanager
    def noted(self, stop: Stop) -> Iterator[None]:
        """Writes that it began, and at the end why it stopped."""
        self._record("started", "it was started")
        try:
            yield
        finally:
            self._record("stopped", stop.reason)

    def note_signal(self) -> None:
        """Write which signal ended it, if one did."""
        if self._signal is not None:
            self._record("stop_signal", self._signal.sentence, self._signal.evidence)

    def _record(self, what: str, why: str, evidence: dict[str, object] | None = None) -> None:
        try:
            with self.database.begin() as connection:
                record(
                    connection,
                    at=self.database.now(connection),
                    actor=self.actor,
                    subject=self.subject,
                    subject_id=self.holder[:128],
                    what=what,
                    why=why,
                    evidence=evidence,
                )
        except OUTAGES as error:
            logger.warning(
                "the journal misses that the %s %s: %s", self.subject, what, describe(error)
            )
