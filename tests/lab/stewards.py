"""What a reconciler works with in a test, and its rounds one by one."""

from __future__ import annotations

from pathlib import Path

from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.database import Database
from healtharchive.model.journal import Event, read
from healtharchive.steward.means import StewardMeans
from healtharchive.work.stopping import Stop
from tests.lab.queue import ACTOR
from tests.lab.workers import settings_for


def means_for(
    directory: Path, database: Database, clock: Clock | None = None, **settings: object
) -> StewardMeans:
    """The means of a steward whose files are all in this directory."""
    used = clock or SystemClock()
    return StewardMeans(
        settings=settings_for(directory, **settings),
        database=database,
        clock=used,
        stop=Stop(used),
        actor=ACTOR,
    )


def events_about(database: Database, subject: str, *, what: str = "") -> list[Event]:
    """The journal about one kind of thing; of one kind of event with `what`."""
    with database.read() as connection:
        told = read(connection, subject=subject)
    return [each for each in told if not what or each.what == what]
