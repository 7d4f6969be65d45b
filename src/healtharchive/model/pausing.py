"""A declared pause of the workers: nothing is claimed, and what runs goes back to the queue."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.journal import Actor
from healtharchive.model.restarts import held_by_workers, request_restart
from healtharchive.model.services import Hold, HoldKind, Service, end_hold, hold, open_holds


def declare_pause(
    database: Database,
    connection: Connection,
    *,
    who: str,
    why: str,
    actor: Actor,
    until: datetime | None = None,
    let_finish: bool = False,
) -> int:
    """Write that no worker claims anything; the hold's id. BadInput when one is declared already.

    The attempts of workers are asked to commit and stop, unless they may finish. What a person
    runs by its number goes on.
    """
    held = pause_now(database, connection)
    if held is not None:
        raise BadInput(
            f"The workers are paused already, by {held.who}: {held.why.rstrip('.')}.",
            "`healtharchive worker resume` ends that.",
        )
    end_pauses(database, connection, "its time is over", actor=actor)
    number = hold(
        database,
        connection,
        Service.WORKER,
        HoldKind.PAUSE,
        who=who,
        why=why,
        actor=actor,
        until=until,
    )
    for job_id, fence in () if let_finish else held_by_workers(connection):
        reason = f"the workers are paused: {why}"
        request_restart(database, connection, job_id, fence, actor=actor, why=reason)
    return number


def pause_now(database: Database, connection: Connection, host: str | None = None) -> Hold | None:
    """The declared pause of the workers that is in force; of one machine (and of all) with `host`.

    One whose time is over is in force no more, whether somebody has ended it or not.
    """
    now = database.now(connection)
    for each in open_holds(connection, Service.WORKER, host=host):
        if each.kind == HoldKind.PAUSE and (each.until is None or each.until > now):
            return each
    return None


def end_pauses(database: Database, connection: Connection, why: str, *, actor: Actor) -> list[Hold]:
    """End every declared pause of the workers, each with its event; those that were open."""
    return [
        each
        for each in open_holds(connection, Service.WORKER)
        if each.kind == HoldKind.PAUSE and end_hold(database, connection, each.id, why, actor=actor)
    ]
