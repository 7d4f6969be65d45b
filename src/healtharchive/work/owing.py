"""Services that are stopped on purpose: why is in the database before anything is stopped."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, HealthArchiveError, SetupError
from healtharchive.model.journal import Actor
from healtharchive.model.pausing import declare_pause
from healtharchive.model.service_past import standing_processes
from healtharchive.model.services import HoldKind, Process, Service, end_hold, hold, processes
from healtharchive.work.holder import holder_of, is_gone, pid_here
from healtharchive.work.stopping import Stop
from healtharchive.work.systemd import Manager, is_booted

# They run what they are given and end with it: whoever called them is the one who owes.
WRAPPERS = ("sudo", "doas", "su", "runuser", "env", "nice", "ionice", "timeout", "setsid", "flock")
MOST_ANCESTORS = 20
LOOK_SECONDS = 0.1

EndProcess = Callable[[Process, float], str]  # within so many seconds; what was done


@dataclass(frozen=True, slots=True)
class Owed:
    """What was stopped, and who owes the restart from when on."""

    hold: int
    who: str
    until: datetime
    done: tuple[str, ...]  # what was done to each worker; empty: none ran here


def stop_workers(
    database: Database,
    *,
    actor: Actor,
    who: str,
    why: str,
    seconds: float,
    patience_seconds: float,
    end: EndProcess,
) -> Owed:
    """Stop the workers of this machine for so long, with their restart owed by `who`.

    What goes wrong while they are stopped ends the hold, and is the caller's error.
    """
    with database.begin() as connection:
        until = database.now(connection) + timedelta(seconds=seconds)
        number = hold(
            database,
            connection,
            Service.WORKER,
            HoldKind.OWED,
            who=who,
            why=why,
            actor=actor,
            host=actor.host,
            until=until,
        )
        known = standing_processes(connection, Service.WORKER)
    try:
        here = [each for each in known if each.host == actor.host and not is_gone(each.holder)]
        done = tuple(end(each, patience_seconds) for each in here)
    except HealthArchiveError as error:
        with database.begin() as connection:
            end_hold(database, connection, number, f"not stopped: {error.what}", actor=actor)
        raise
    return Owed(number, who, until, done)


def pause_pages(
    database: Database,
    *,
    actor: Actor,
    who: str,
    why: str,
    until: datetime | None,
    patience_seconds: float,
    end: EndProcess,
) -> tuple[str, ...]:
    """Declare a pause of the web pages and stop those of this machine; what was done to each.

    BadInput when that is declared already. What goes wrong while they are stopped ends the pause.
    """
    with database.begin() as connection:
        known = [each for each in processes(connection) if each.host == actor.host]
        pages = [each for each in known if each.service == Service.SERVE]
        here = [each for each in pages if not is_gone(each.holder)]
        others = {each.holder for each in known if each.service != Service.SERVE}
        if any(each.holder in others for each in here):
            raise BadInput(
                "The web pages are part of `healtharchive up`.",
                "Stop that, and run `worker` and `steward` without `serve`.",
            )
        number = declare_pause(
            database,
            connection,
            who=who,
            why=why,
            actor=actor,
            until=until,
            service=Service.SERVE,
            host=actor.host,
        )
    try:
        return tuple(end(each, patience_seconds) for each in here)
    except HealthArchiveError as error:
        with database.begin() as connection:
            end_hold(database, connection, number, f"not stopped: {error.what}", actor=actor)
        raise


def who_owes(parent: int) -> str:
    """The holder that owes a restart: the process that called this command, whatever lay between.

    When that one is gone, nobody is left who would start the service again.
    """
    pid = parent
    for _ in range(MOST_ANCESTORS):
        name, above = _name_and_parent(pid)
        if name not in WRAPPERS:
            break
        pid = above
    return holder_of(pid)


def _name_and_parent(pid: int) -> tuple[str, int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    # proc(5): the name stands in brackets and may have some itself; state and parent follow.
    name, _, fields = stat.partition("(")[2].rpartition(")")
    return name, int(fields.split()[1])


def ending(clock: Clock) -> EndProcess:
    """How a process of this machine is ended: by the systemd whose unit it is, or by a signal."""

    def end(process: Process, seconds: float) -> str:
        if process.unit.endswith(".service") and is_booted():
            manager = _manager_of(process.pid)
            manager.order("stop", process.unit, seconds=seconds)
            return f"`{shlex.join(manager.command('stop', process.unit))}` was done"
        return _terminate(process, seconds, clock)

    return end


def _manager_of(pid: int) -> Manager:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        groups = ""
    return Manager("user" if "/user.slice/" in groups else "system")


def _terminate(process: Process, seconds: float, clock: Clock) -> str:
    pid = pid_here(process.holder)
    if pid is None:
        return f"the {process.service} with pid {process.pid} had ended already"
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return f"the {process.service} with pid {pid} had ended already"
    except PermissionError as error:
        raise SetupError(
            f"The {process.service} with pid {pid} belongs to another user.",
            "Stop it as root or as that one.",
        ) from error
    deadline, pause = clock.monotonic() + seconds, Stop(clock)
    while not is_gone(process.holder):
        if clock.monotonic() >= deadline:
            raise SetupError(
                f"The {process.service} with pid {pid} has not ended within {seconds:.0f} s of "
                "SIGTERM.",
                f"`healtharchive why {process.service}` tells what it does.",
            )
        pause.wait(LOOK_SECONDS)
    return f"the {process.service} with pid {pid} was told to end by SIGTERM, and has"
