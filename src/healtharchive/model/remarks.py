"""What a job's crawl left out and noticed: traps, robots.txt, session ids, sitemap troubles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from healtharchive.model.journal import read

Kind = Literal["excluded", "out of scope", "noted"]
KINDS: tuple[Kind, ...] = ("excluded", "out of scope", "noted")
MOST = 20
LATEST_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Remark:
    """One reason, with the number of URLs (or sitemaps) that it concerned."""

    kind: Kind
    what: str
    number: int


def remarks_of(connection: Connection, job_id: int, *, limit: int = MOST) -> list[Remark]:
    """The most frequent remarks of the job's last finished crawl attempt; none before one ended.

    An attempt counts from the job's beginning, so the last one has what all of them have found.
    """
    events = read(connection, subject="job", subject_id=job_id, limit=LATEST_EVENTS)
    for event in reversed(events):
        found = [
            Remark(kind, name.partition(": ")[2], int(number))
            for name, number in event.evidence.items()
            for kind in KINDS
            if name.startswith(f"{kind}: ") and isinstance(number, int)
        ]
        if found:
            return sorted(found, key=lambda each: -each.number)[:limit]
    return []
