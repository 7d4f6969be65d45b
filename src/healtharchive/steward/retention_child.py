"""The child that moves old rows from the database to a file: first the file, whole and read back.

Killed at any moment, it has deleted nothing that is not in the file, and the next one adds no
line twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from healtharchive.model import retention
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.journal import this_process
from healtharchive.model.retention import MOST_IDS, Month
from healtharchive.settings import load
from healtharchive.steward.delegating import Tell, serve_one
from healtharchive.steward.retired_files import add, alone, digest_of, digests_in, line_of

MOST_ROWS = 100_000  # in one order: the digests of so many lines are held


@dataclass(frozen=True, slots=True)
class RetireOrder:
    """Move the rows of a kind and month to a file. `month` is as 2024-03, `cutoff` ISO 8601."""

    file: str
    kind: str
    month: str
    cutoff: str


def work(order: RetireOrder, tell: Tell) -> dict[str, Any]:
    """Do it; how many rows are gone, and how many lines the file got."""
    settings = load()
    database = Database(settings.database_url, settings.origin("database_url"))
    try:
        with _sole(Path(order.file).parent, database) as is_sole:
            if not is_sole:
                return {"rows": 0, "added": 0, "busy": True}
            return retire(order, database, tell)
    finally:
        database.dispose()


def retire(order: RetireOrder, database: Database, tell: Tell) -> dict[str, Any]:
    """Write the rows down, read them back, and only then delete them. SetupError, OSError."""
    path, written = Path(order.file), _Written()
    tell("writing")
    added = add(path, written.lines(order, database, tell))
    tell("reading back")
    missing = set(written.digests.values()) - set(digests_in(path))
    if missing:
        raise SetupError(
            f"{path} lacks {len(missing)} of the lines that were just written to it.",
            "Look at its disk; nothing was deleted from the database.",
        )
    return {"rows": _delete(order, database, list(written.digests), tell), "added": added}


class _Written:
    """The rows that were written, by their ids."""

    def __init__(self) -> None:
        self.digests: dict[int, bytes] = {}

    def lines(self, order: RetireOrder, database: Database, tell: Tell) -> Iterator[bytes]:
        month, cutoff = Month.named(order.month), datetime.fromisoformat(order.cutoff)
        with database.read() as connection:
            for row in retention.rows_due(connection, order.kind, cutoff, month, MOST_ROWS):
                line = line_of(row)
                self.digests[row["id"]] = digest_of(line)
                tell(f"writing row {len(self.digests)}")
                yield line


def _delete(order: RetireOrder, database: Database, ids: list[int], tell: Tell) -> int:
    """In small transactions, with as long a pause after each: others write meanwhile."""
    cutoff = datetime.fromisoformat(order.cutoff)
    gone = 0
    for first in range(0, len(ids), MOST_IDS):
        began = time.monotonic()
        with database.begin() as connection:
            if first == 0:  # at once: whoever is killed after it has told where they are
                _tell_where(order, database, connection, len(ids))
            part = ids[first : first + MOST_IDS]
            gone += retention.retire(connection, order.kind, cutoff, part)
        tell(f"deleted {gone} rows")
        time.sleep(time.monotonic() - began)
    return gone


def _tell_where(order: RetireOrder, database: Database, connection: Connection, rows: int) -> None:
    month, actor = Month.named(order.month), this_process()
    retention.note_retired(database, connection, order.kind, month, rows, order.file, actor=actor)


@contextmanager
def _sole(directory: Path, database: Database) -> Iterator[bool]:
    """Whether nobody else does this now, on this machine or another."""
    with alone(directory) as is_alone:
        if not is_alone:
            yield False
            return
        with database.read() as connection:
            yield retention.take_turn(database, connection)


if __name__ == "__main__":
    sys.exit(serve_one(RetireOrder, work))
