"""That no good copy of a segment is left anywhere: told once for each loss.

Nobody is told by this: it is what an incident's draft goes by. SegmentLost asks for itself.
"""

from __future__ import annotations

from sqlalchemy import Connection

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.local_readings import GOOD
from healtharchive.model.segments import SegmentFile
from healtharchive.model.states import SegmentEvent
from healtharchive.model.told import LOST, last_told

SUBJECT = "segment"
FOUND_AGAIN = (SegmentEvent.RESTORE, GOOD)  # what ends a loss


def note_loss(
    database: Database, connection: Connection, segment: SegmentFile, *, actor: Actor
) -> None:
    """Write that a segment is lost, unless that was written since it was last well."""
    told = last_told(connection, SUBJECT, (LOST, *FOUND_AGAIN), segment.file_name)
    if told is not None and told.what == LOST:
        return
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject=SUBJECT,
        subject_id=segment.file_name,
        what=LOST,
        why=f"no good copy of {segment.name} is left anywhere",
        evidence={"job": segment.job_id, "sha256": segment.sha256},
    )
