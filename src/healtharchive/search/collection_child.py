"""The child that prepares a WACZ: its order on stdin, how far it is and how it ended on stdout.

It may hang on a dead mount; its parent expects that, and ends one that says nothing for long.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from typing import Literal

from healtharchive.model.blame import classify
from healtharchive.model.collection import CollectionName
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.wire import from_line, to_line
from healtharchive.search.collection_prepare import prepare
from healtharchive.search.stored import OutOfReach
from healtharchive.settings import load, open_database

SAY_SECONDS = 0.5
COMMAND = (sys.executable, "-P", "-m", "healtharchive.search.collection_child")


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the child: `progress` with the bytes read so far, or its end."""

    kind: Literal["progress", "ready", "out_of_reach", "failed"]
    bytes: int = 0
    reason: str = ""
    cure: str = ""


def main() -> int:
    """Prepare one collection. Always 0 after its last line, which says how it went."""
    name = from_line(CollectionName, sys.stdin.buffer.readline())
    read = 0
    said_at = 0.0

    def watch(count: int) -> None:
        nonlocal read, said_at
        read += count
        if time.monotonic() - said_at > SAY_SECONDS:
            said_at = time.monotonic()
            _say(Said("progress", read))

    settings = load()
    try:
        database = open_database(settings)
        prepare(database, settings.wacz_dir, name, watch)
        _say(Said("ready", read))
    except OutOfReach as error:
        _say(Said("out_of_reach", read, error.what, error.cure))
    except HealthArchiveError as error:
        _say(Said("failed", read, error.what, error.cure))
    except Exception as error:  # the outermost loop of this process
        logging.getLogger(__name__).exception("%s cannot be prepared", name)
        _say(Said("failed", read, f"{name} cannot be prepared: {classify(error).reason}."))
    return 0


def _say(said: Said) -> None:
    sys.stdout.buffer.write(to_line(said))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
