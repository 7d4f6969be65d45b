"""A declared pause of a service, which nobody starts meanwhile.

That of the workers also means that nothing is claimed, and what runs goes back to the queue.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.journal import Actor
from healtharchive.model.restarts import held_by_workers, request_restart
from healtharchive.model.services import Hold, HoldKind, Service, end_hold, hold, open_holds

CALLED = {Service.WORKER: "workers", Service.STEWARD: "stewards", Service.SERVE: "web pages"}


def declare_pause(
    database: Database,
    connection: Connection,
    *,
    who: str,
    why: str,
    actor: Actor,
    until: datetime | None = None,
    let_finish: bool = False,
    service: Service = Service.WORKER,
    host: str = "",
) -> int:
    """Write that a service is paused, on one machine or on all; the hold's id.

    BadInput when that is declared already. The attempts of workers are asked to commit and stop,
    unless they may finish. What a person runs by its number goes on.
    """
    held = pause_now(database, connection, host or None, service=service)
    if held is not None:
        raise BadInput(
            f"The {CALLED[service]} are paused already, by {held.who}: {held.why.rstrip('.')}.",
            f"`healtharchive {service} resume` ends that.",
        )
    over = "its time is over"
    end_pauses(database, connection, over, actor=actor, service=service, host=host or None)
    number = hold(
        database,
        connection,
        service,
        HoldKind.PAUSE,
        who=who,
        why=why,
        actor=actor,
        host=host,
        until=until,
    )
    claims = service is Service.WORKER and not let_finish
    for job_id, fence in held_by_workers(connection) if claims else ():
        reason = f"the workers are paused: {why}"
        request_restart(database, connection, job_id, fence, actor=actor, why=reason)
    return number


def pause_now(
    database: Database,
    connection: Connection,
    host: str | None = None,
    *,
    service: Service = Service.WORKER,
) -> Hold | None:
    """The declared pause that is in force; of one machine (and of all) with `host`.

    One whose time is over is in force no more, whether somebody has ended it or not.
    """
    now = database.now(connection)
    for each in open_holds(connection, service, host=host):
        if each.kind == HoldKind.PAUSE and (each.until is None or each.until > now):
            return each
    return None


def end_pauses(
    database: Database,
    connection: Connection,
    why: str,
    *,
    actor: Actor,
    service: Service = Service.WORKER,
    host: str | None = None,
) -> list[Hold]:
    """End every declared pause of a service, each with its event; those that were open.

    With `host` only what holds on that machine.
    """
    return [
        each
        for each in open_holds(connection, service, host=host)
        if each.kind == HoldKind.PAUSE and end_hold(database, connection, each.id, why, actor=actor)
    ]
