"""That a long-lived process is there: its start, its stop and who asked for it, in the journal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from healtharchive import __version__
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.services import note_beat, note_start, note_stop
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
    beat_seconds: float = 10.0
    _signal: StopSignal | None = None
    _beat_at: float = field(default_factory=time.monotonic)

    def on_signal(self, received: StopSignal, stop: Stop) -> None:
        """Stop because of a signal; its sender goes into the journal."""
        logger.info("stopping: %s", received.sentence)
        if not stop.asked:
            self._signal = received
        stop.ask(received.sentence)

    @contextmanager
    def noted(self, stop: Stop) -> Iterator[None]:
        """Writes that it began, and at the end why it stopped."""
        self._note("began", self._begin)
        try:
            yield
        finally:
            self._note("stopped", lambda connection: self._end(connection, stop.reason))

    def beat(self) -> None:
        """Write now and then that it lives; to be called by the loop whose life is meant."""
        now = time.monotonic()
        if now - self._beat_at < self.beat_seconds:
            return
        self._beat_at = now
        with self.database.begin() as connection:
            note_beat(self.database, connection, self.subject, self.holder)

    def note_signal(self) -> None:
        """Write which signal ended it, if one did."""
        received = self._signal
        if received is not None:
            self._note(
                "was told to stop",
                lambda connection: self._record(
                    connection, "stop_signal", received.sentence, received.evidence
                ),
            )

    def _begin(self, connection: Connection) -> None:
        database, actor = self.database, self.actor
        note_start(database, connection, self.subject, self.holder, __version__, actor=actor)
        self._record(connection, "started", "it was started")

    def _end(self, connection: Connection, reason: str) -> None:
        note_stop(self.database, connection, self.subject, self.holder, reason)
        self._record(connection, "stopped", reason)

    def _record(
        self,
        connection: Connection,
        what: str,
        why: str,
        evidence: dict[str, object] | None = None,
    ) -> None:
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

    def _note(self, what: str, write: Callable[[Connection], None]) -> None:
        try:
            with self.database.begin() as connection:
                write(connection)
        except OUTAGES as error:
            logger.warning(
                "the journal misses that the %s %s: %s", self.subject, what, describe(error)
            )
