"""The child for backups: one task on stdin (make, restore, send, fetch), its end on stdout."""

from __future__ import annotations

import sys
from typing import Any

from healtharchive.model.database import Database
from healtharchive.settings import load
from healtharchive.steward.backup_fetching import fetch
from healtharchive.steward.backup_files import FetchOrder, MakeOrder, RestoreOrder, SendOrder, Task
from healtharchive.steward.backup_making import make
from healtharchive.steward.backup_sending import send
from healtharchive.steward.backup_testing import restore
from healtharchive.steward.delegating import Tell, serve_one


def work(task: Task, tell: Tell) -> dict[str, Any]:
    """Do one task; its facts."""
    order = task.work
    if isinstance(order, SendOrder):
        return send(order, tell)
    if isinstance(order, FetchOrder):
        return fetch(order, tell)
    settings = load()
    # Its schema is not asked for: what is there is backed up, whichever program made it.
    database = Database(settings.database_url, settings.origin("database_url"))
    try:
        if isinstance(order, MakeOrder):
            return make(order, database, tell)
        assert isinstance(order, RestoreOrder)
        return restore(order, database, tell)
    finally:
        database.dispose()


if __name__ == "__main__":
    sys.exit(serve_one(Task, work))
