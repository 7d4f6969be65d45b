"""How many copies a target holds, and how many of them were not read for too long."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.copies import CopyState
from healtharchive.model.tables import copies


def copies_on(connection: Connection, target: str, late_before: datetime) -> tuple[int, int]:
    """(all, those last read before then) of the good copies on a target."""
    there = select(func.count()).where(
        copies.c.target == target, copies.c.state == CopyState.VERIFIED
    )
    late = there.where(copies.c.verified_at < late_before)
    return (
        int(connection.execute(there).scalar_one()),
        int(connection.execute(late).scalar_one()),
    )
