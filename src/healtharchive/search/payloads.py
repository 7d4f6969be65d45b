"""The payloads a source has been captured with: later editions write a revisit instead of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BUSY_SECONDS = 30.0
PAYLOADS_NAME = "payloads.sqlite"

TABLE = """
CREATE TABLE IF NOT EXISTS payloads (
  digest TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  captured_at TEXT NOT NULL,
  record_id TEXT NOT NULL,
  bytes INTEGER NOT NULL
) WITHOUT ROWID
"""
ADD = """
INSERT INTO payloads (digest, url, captured_at, record_id, bytes) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload with the response that holds it. `captured_at` as in its WARC-Date."""

    digest: str
    url: str
    captured_at: str
    record_id: str
    size_bytes: int


class Payloads:
    """The source's file of payloads, open for adding."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A rollback journal, not WAL: a crawl opens the file read-only, maybe in a directory
        # that it cannot write to.
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self._db.execute(TABLE)

    def add(self, payloads: Sequence[Payload]) -> None:
        """Add those that are not known, durably. sqlite3.Error when the disk fails."""
        if not payloads:
            return
        rows = [(p.digest, p.url, p.captured_at, p.record_id, p.size_bytes) for p in payloads]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(ADD, rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
