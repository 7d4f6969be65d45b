"""What a command begins with: settings, logging, and the database they name."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from healtharchive.model.clock import Clock, SystemClock
from healtharchive.settings import Settings, load, open_database

if TYPE_CHECKING:
    from healtharchive.model.database import Database


@dataclass(frozen=True, slots=True)
class Session:
    """The settings, the database and the clock of one command."""

    settings: Settings
    database: Database
    clock: Clock


def read_settings() -> Settings:
    """The settings of this process, with logging set up as they say."""
    settings = load()
    log_to_stderr(settings.log_level)
    return settings


def begin(*, embedded: bool = False) -> Session:
    """An opened archive. `embedded` lets the command make its own database in data_dir."""
    settings = read_settings()
    return Session(settings, open_database(settings, embedded=embedded), SystemClock())


class StderrHandler(logging.Handler):
    """Writes to what stderr is when a line is written, not to what it was at the beginning."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(self.format(record), file=sys.stderr, flush=True)


def log_to_stderr(level: str) -> None:
    """Log lines go to stderr, in UTC; stdout is for results only."""
    handler = StderrHandler()
    formatter = logging.Formatter(
        "%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Alembic tells each of its steps; the command says the result itself.
    logging.getLogger("alembic").setLevel(max(root.level, logging.WARNING))
