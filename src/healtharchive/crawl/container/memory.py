"""What the container engine remembers, in tables of its own in the job's frontier.

Every write is fenced as the frontier's are: an attempt that was overtaken writes nothing more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from healtharchive.crawl.container.stalls import Spent
from healtharchive.crawl.frontier import Frontier

# A record without a URL is known by its id: the index keeps that question cheap.
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS container_files (name TEXT PRIMARY KEY,"
    " adopted_bytes INTEGER NOT NULL, segment TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS container_payloads (claimed TEXT PRIMARY KEY,"
    " payload_digest TEXT NOT NULL, file TEXT NOT NULL, offset INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS container_memory"
    " (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS captures_record ON captures(record_id) WHERE url_id IS NULL",
)


@dataclass(frozen=True, slots=True)
class KnownPayload:
    """A payload by the digest that a crawler wrote: our own digest of it, and where it was seen."""

    claimed: str
    payload_digest: str
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What outlives an attempt: how far the log was read, and what was done about troubles."""

    log_since: str = ""
    workers: int = 0
    fewer_workers: int = 0
    back_offs: int = 0
    restarts: int = 0
    last_trouble_at: float = 0.0

    def spent(self, workers: int) -> Spent:
        """The budgets; with all workers when none was ever taken away."""
        return Spent(
            self.workers or workers,
            self.fewer_workers,
            self.back_offs,
            self.restarts,
            self.last_trouble_at,
        )

    def with_spent(self, spent: Spent) -> Remembered:
        """The same after an action."""
        return replace(
            self,
            workers=spent.workers,
            fewer_workers=spent.fewer_workers,
            back_offs=spent.back_offs,
            restarts=spent.restarts,
            last_trouble_at=spent.last_at,
        )


class Memory:
    """The tables, opened for one attempt."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        with frontier.fenced() as db:
            for statement in SCHEMA:
                db.execute(statement)

    # -- what outlives an attempt --------------------------------------------------------------

    def recall(self) -> Remembered:
        """What was kept last; nothing yet at first."""
        rows = self._frontier.ask("SELECT value FROM container_memory WHERE key = 'engine'")
        known: dict[str, Any] = json.loads(rows[0][0]) if rows else {}
        names = {field.name for field in fields(Remembered)}
        return Remembered(**{name: value for name, value in known.items() if name in names})

    def keep(self, remembered: Remembered) -> None:
        """Keep it durably."""
        with self._frontier.fenced() as db:
            db.execute(
                "INSERT OR REPLACE INTO container_memory VALUES ('engine', ?)",
                (json.dumps(asdict(remembered)),),
            )

    # -- the crawler's files -------------------------------------------------------------------

    def adopted_bytes(self, name: str) -> int:
        """Up to where a file of the crawler's was adopted."""
        rows = self._frontier.ask(
            "SELECT adopted_bytes FROM container_files WHERE name = ?", (name,)
        )
        return int(rows[0][0]) if rows else 0

    def is_sealed(self, name: str) -> bool:
        """Whether the segment that holds the last of a file's records is sealed."""
        rows = self._frontier.ask(
            "SELECT segments.state FROM container_files JOIN segments ON segments.name = segment"
            " WHERE container_files.name = ?",
            (name,),
        )
        return bool(rows) and rows[0][0] == "sealed"

    def adopted(
        self, name: str, up_to_bytes: int, segment: str, payloads: Iterable[KnownPayload]
    ) -> None:
        """Note that a file is adopted up to here: only after the commit that made it so."""
        with self._frontier.fenced() as db:
            db.execute(
                "INSERT INTO container_files VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " adopted_bytes = excluded.adopted_bytes,"
                " segment = CASE excluded.segment WHEN '' THEN segment ELSE excluded.segment END",
                (name, up_to_bytes, segment),
            )
            self._note_payloads(db, payloads)

    @staticmethod
    def _note_payloads(db: sqlite3.Connection, payloads: Iterable[KnownPayload]) -> None:
        db.executemany(
            "INSERT OR IGNORE INTO container_payloads VALUES (?, ?, ?, ?)",
            [(each.claimed, each.payload_digest, each.file, each.offset) for each in payloads],
        )

    # -- what is held already ------------------------------------------------------------------

    def holds_record(self, record_id: str) -> bool:
        """Whether a record that belongs to no URL was adopted before."""
        query = "SELECT 1 FROM captures WHERE record_id = ? AND url_id IS NULL LIMIT 1"
        return bool(self._frontier.ask(query, (record_id,)))

    def holds_payload(self, payload_digest: str) -> bool:
        """Whether a response with this payload is in a segment."""
        query = "SELECT 1 FROM captures WHERE payload_digest = ? AND kind = 'response' LIMIT 1"
        return bool(self._frontier.ask(query, (payload_digest,)))

    def payload(self, claimed: str) -> KnownPayload | None:
        """What is known of a payload by the digest that the crawler wrote."""
        rows = self._frontier.ask(
            "SELECT claimed, payload_digest, file, offset FROM container_payloads"
            " WHERE claimed = ?",
            (claimed,),
        )
        return KnownPayload(*rows[0]) if rows else None
