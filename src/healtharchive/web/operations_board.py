"""How the archive is, as the operations pages show it: one look for everybody who looks now."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from healtharchive.model import journal
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.journal import Event
from healtharchive.model.wire import to_plain
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Finding
from healtharchive.steward.condition import Condition
from healtharchive.steward.findings import findings
from healtharchive.steward.observing import look

LOOK_SECONDS = 1.9  # streams ask every two
NEWEST = 100  # events
# What changes although nothing happened.
RESTLESS = frozenset({"now", "beat_at", "probed_at", "eta_seconds", "deploy_lock_age_seconds"})


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is wrong: the sentence, what is next, what to run and read, what it explains.

    `next` is what happens by itself and when, `only_you` what a person alone can do.
    """

    severity: str
    name: str
    subject: str
    subject_id: str
    sentence: str
    next: str
    only_you: str
    command: str
    playbook: str
    explains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the condition, what is wrong of it, and the newest events, oldest first."""

    condition: Condition
    lines: tuple[Line, ...]
    events: tuple[Event, ...]
    digest: str

    @property
    def level(self) -> str:
        """The gravest severity of what is wrong; empty when all is well."""
        return self.lines[0].severity if self.lines else ""


@dataclass
class Board:
    """Looks at most every LOOK_SECONDS, whoever asks."""

    settings: Settings
    database: Database
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at: float = float("-inf")
    _seen: Seen | None = None

    def seen(self, *, fresh: bool = False) -> Seen:
        """The last look if it is young, otherwise another one; with `fresh` always another one."""
        with self._lock:
            young = self.clock.monotonic() - self._at < LOOK_SECONDS
            if self._seen is None or fresh or not young:
                self._seen = self._look()
                self._at = self.clock.monotonic()
            return self._seen

    def _look(self) -> Seen:
        condition = look(self.database, self.settings, self.clock)
        with self.database.read() as connection:
            events = journal.read(connection, limit=NEWEST)
        lines = tuple(lines_of(findings(condition, self.settings)))
        return Seen(condition, lines, tuple(events), digest_of(condition))


def lines_of(found: list[Finding]) -> list[Line]:
    """What is wrong, the gravest first; what something else explains stands with that. Pure."""
    return [
        Line(
            each.rule.severity,
            each.rule.name,
            each.found.subject,
            each.found.subject_id,
            each.found.sentence,
            each.next_step.by_itself,
            each.next_step.only_you,
            each.command,
            each.rule.playbook,
            tuple(
                other.found.sentence
                for other in found
                if (other.explained_by, other.cause_id) == (each.rule.name, each.found.subject_id)
            ),
        )
        for each in found
        if not each.explained_by
    ]


def digest_of(condition: Condition) -> str:
    """What is another one once anything of the condition is."""
    said = json.dumps(_calm(to_plain(condition)), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _calm(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _calm(each) for name, each in value.items() if name not in RESTLESS}
    return [_calm(each) for each in value] if isinstance(value, list) else value
