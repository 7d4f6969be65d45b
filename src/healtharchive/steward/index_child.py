"""The child that makes the search index in this program's format from one of an older format.

Killed at any moment, the next one goes on where it was.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from healtharchive.search import formats
from healtharchive.settings import load, open_database
from healtharchive.steward.delegating import Tell, serve_one


@dataclass(frozen=True, slots=True)
class IndexFormatOrder:
    """Make the index anew, for so long; or, with `drop`, delete what an older format left."""

    seconds: float = 0.0
    drop: bool = False


def work(order: IndexFormatOrder, tell: Tell) -> dict[str, Any]:
    """Do it; how much was written."""
    from healtharchive.search.renewal import renew  # the steward needs the order alone

    settings = load()
    if order.drop:
        formats.drop_older(settings.search_dir)
        return {}
    until = time.monotonic() + order.seconds
    database = open_database(settings)
    try:
        done = renew(settings.search_dir, database, tell, lambda: time.monotonic() > until)
    finally:
        database.dispose()
    return {"pages": done.pages, "payloads": done.payloads, "whole": done.whole}


if __name__ == "__main__":
    sys.exit(serve_one(IndexFormatOrder, work))
