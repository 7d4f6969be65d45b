"""How the archive stands in numbers, for those who watch it; captures are not counted anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.database import Database
from healtharchive.model.standing_jobs import JobsStanding, jobs_standing
from healtharchive.model.standing_operation import OperationStanding, operation_standing
from healtharchive.model.standing_storage import StorageStanding, storage_standing


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it at one moment of the database's clock."""

    now: datetime
    jobs: JobsStanding
    storage: StorageStanding
    operation: OperationStanding


def standing(database: Database, connection: Connection, living_seconds: float) -> Standing:
    """How the archive stands now. A process lives whose last beat is not older than so long."""
    now = database.now(connection)
    return Standing(
        now=now,
        jobs=jobs_standing(connection, now),
        storage=storage_standing(connection),
        operation=operation_standing(connection, now, living_seconds),
    )
