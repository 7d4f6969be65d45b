"""A night that went wrong, as its journal tells it: the one of 2026-01-24, in small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from healtharchive.model.journal import Actor, record
from healtharchive.model.tables_operation import alerts, progress_samples, services

NIGHT = datetime(2026, 1, 24, 5, 45, tzinfo=UTC)
UNTIL = datetime(2026, 1, 24, 12, 35, tzinfo=UTC)
WORKER = Actor("healtharchive-worker.service", 812, "vps1")
STEWARD = Actor("healtharchive-steward.service", 813, "vps1")
OPERATOR = Actor("session-4.scope", 4711, "vps1")
PARKS = 40


def at(hour: int, minute: int, second: int = 0) -> datetime:
    """A moment of the night."""
    return datetime(2026, 1, 24, hour, minute, second, tzinfo=UTC)


@dataclass
class Night:
    """Writes the journal of the night to a database."""

    connection: Connection
    job_id: int
    ids: dict[str, int] = field(default_factory=dict)

    def write(self) -> None:
        """All of it."""
        self._say("cause", at(5, 30), STEWARD, "deploy", "1", "done", "a new version")
        self._trouble()
        self._stop()
        self._recovery()
        self._measurements()

    def _trouble(self) -> None:
        trip = {"verdict": "stale", "errno": 107}
        self._say(
            "trip",
            at(6, 17, 10),
            STEWARD,
            "target",
            "box",
            "trip",
            "errno 107",
            ("closed", "open"),
            trip,
            self.ids["cause"],
        )
        bundle = {"bundle": "box-061712-before.json"}
        self._say(
            "repair", at(6, 17, 12), STEWARD, "target", "box", "recovery_began", "a dead sshfs",
            evidence=bundle, caused_by=self.ids["trip"],
        )  # fmt: skip
        for number in range(PARKS):
            moment = at(6, 18) + timedelta(seconds=15 * number)
            job = str(self.job_id)
            self._say(
                "", moment, WORKER, "job", job, "claim", "w claimed it", ("parked", "running")
            )
            self._say(
                "", moment, WORKER, "job", job, "park", f"stale mount, {number} s",
                ("running", "parked"), caused_by=self.ids["trip"],
            )  # fmt: skip

    def _stop(self) -> None:
        sender = {"signal": "SIGTERM", "sender_pid": None}
        self._say(
            "", at(6, 28, 1), WORKER, "worker", "w", "stop_signal",
            "SIGTERM from an unknown sender", evidence=sender,
        )  # fmt: skip
        self._say("", at(6, 28, 2), WORKER, "worker", "w", "stopped", "SIGTERM")

    def _recovery(self) -> None:
        closed, job = ("open", "closed"), str(self.job_id)
        self._say("", at(12, 20), STEWARD, "target", "box", "trial_ok", "well again", closed)
        self._say("", at(12, 31, 3), OPERATOR, "worker", "w2", "started", "it was started")
        claimed = ("parked", "running")
        self._say("", at(12, 31, 5), WORKER, "job", job, "claim", "w2 claimed it", claimed)

    def _measurements(self) -> None:
        life = {"host": "vps1", "unit": WORKER.unit, "pid": 812, "version": "0.1.0"}
        first = {"started_at": at(5, 0), "beat_at": at(6, 28), "stopped_at": at(6, 28, 2)}
        second = {"started_at": at(12, 31, 3), "beat_at": at(12, 35), "stopped_at": None}
        rows = [
            {"service": "worker", "holder": "w", **life, **first, "stop_reason": "SIGTERM"},
            {"service": "worker", "holder": "w2", **life, **second, "stop_reason": None},
        ]
        self.connection.execute(insert(services), rows)
        self._samples()
        self.connection.execute(
            insert(alerts).values(
                name="WorkerDown",
                severity="critical",
                subject="worker",
                subject_id="all",
                state="over",
                summary="no worker lives and 1 job waits",
                evidence={},
                since=at(6, 28, 2),
                seen_at=at(12, 31),
                fired_at=at(6, 30, 2),
                over_at=at(12, 31, 33),
                sent_at=at(6, 31),
            )
        )

    def _samples(self) -> None:
        moments = {at(5, 50): 10, at(6, 0): 20, at(6, 17): 30, at(12, 32): 30, at(12, 34): 31}
        nothing = {"fence": 1, "urls_queued": 5, "urls_failed": 0, "bytes_written": 0}
        rows = [
            {"job_id": self.job_id, "at": moment, "urls_done": done, **nothing}
            for moment, done in moments.items()
        ]
        self.connection.execute(insert(progress_samples), rows)

    def _say(
        self,
        name: str,
        moment: datetime,
        actor: Actor,
        subject: str,
        subject_id: str,
        what: str,
        why: str,
        states: tuple[str | None, str | None] = (None, None),
        evidence: Mapping[str, Any] | None = None,
        caused_by: int | None = None,
    ) -> None:
        self.ids[name] = record(
            self.connection,
            at=moment,
            actor=actor,
            subject=subject,
            subject_id=subject_id,
            what=what,
            why=why,
            from_state=states[0],
            to_state=states[1],
            evidence=evidence,
            caused_by=caused_by,
        )
