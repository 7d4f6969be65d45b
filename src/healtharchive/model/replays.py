"""What the last replayed sample of a job's pages came to: an event, and part of every verdict."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, legible, record
from healtharchive.model.tables import events, segments

REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Replays:
    """A sample of rendered pages, replayed from the WARC files alone; `skipped` could not be.

    `worst` is the URL of the page that replays worst, and what is wrong with it; empty when all
    that were judged replay well.
    """

    sampled: int
    well: int
    skipped: int = 0
    worst: str = ""

    @property
    def judged(self) -> int:
        return self.sampled - self.skipped


def segments_digest(connection: Connection, job_id: int) -> str:
    """What changes when the job's sealed segments do: the digest of their names and digests."""
    query = select(segments.c.name, segments.c.sha256).where(segments.c.job_id == job_id)
    rows = connection.execute(query.order_by(segments.c.name))
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in rows)
    return hashlib.sha256(lines.encode()).hexdigest()


def store_replays(
    database: Database,
    connection: Connection,
    job_id: int,
    found: Replays,
    digest: str,
    *,
    actor: Actor,
) -> None:
    """Keep what a sample came to, for the verdicts that follow.

    `digest` is that of the segments it was replayed from. A sample of which nothing could be judged
    is not kept: what was known before is worth more.
    """
    if not found.judged:
        return
    worst = f", the worst {legible(found.worst)}" if found.worst else ""
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job_id,
        what=REPLAYED,
        why=f"of {found.judged} pages sampled {found.well} replay{worst}",
        evidence={**asdict(found), "worst": legible(found.worst), "segments": digest},
    )


def last_replays(connection: Connection, job_id: int) -> Replays | None:
    """What the last sample came to; None when there is none of the segments that there are now."""
    query = select(events.c.evidence).where(
        events.c.subject == "job", events.c.subject_id == str(job_id), events.c.what == REPLAYED
    )
    kept = connection.execute(query.order_by(events.c.id.desc()).limit(1)).scalar()
    if kept is None or kept["segments"] != segments_digest(connection, job_id):
        return None
    return Replays(kept["sampled"], kept["well"], kept["skipped"], kept["worst"])
