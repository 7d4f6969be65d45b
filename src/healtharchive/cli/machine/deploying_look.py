"""What a deployment meets: read from the database, this machine's packages and its services."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from sqlalchemy import Connection

from healtharchive import __version__
from healtharchive.cli.machine import deploying_lock, requirements
from healtharchive.cli.machine.deploying import HOLDS_SINCE, Drain, Standing
from healtharchive.cli.machine.deploying_schema import objections, pending
from healtharchive.cli.machine.systemctl import Services
from healtharchive.model import deploying, schema
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.services import Process, Service, processes
from healtharchive.settings import Settings
from healtharchive.storage.errand import run

DISK_SECONDS = 5.0


def look(settings: Settings, database: Database, clock: Clock, services: Services) -> Standing:
    """How it stands now."""
    current = schema.current(database) or ""
    with database.read() as connection:
        drains = _drains(database, connection) if current else ()
        living = _living(connection) if current >= HOLDS_SINCE else ()
        size = deploying.database_bytes(database, connection) if current else 0
    running = tuple(each for each in Service if services.running(each))
    return Standing(
        schema=current,
        head=schema.head(),
        pending={revision: tuple(objections(text)) for revision, text in pending(current).items()},
        unmet=tuple(
            requirements.unmet(requirements.own_requirements(), requirements.installed_version)
        ),
        drains=drains,
        database_bytes=size,
        free_bytes=free_bytes(settings.backup_dir),
        source_error=_source_error(settings),
        lock=_lock(settings, clock),
        running=running,
        unmanaged=tuple(
            sorted({each.service for each in living if not each.unit.endswith(".service")})
        ),
        version=__version__,
        versions=tuple(sorted({each.version for each in living})),
    )


def free_bytes(directory: Path) -> int | None:
    """What is free on the disk of a directory that may not be there yet; None: nobody knows."""
    near = next((each for each in (directory, *directory.parents) if _is_there(each)), None)
    if near is None or shutil.which("df") is None:
        return None
    looked = run(["df", "--output=avail", "-B1", str(near)], DISK_SECONDS)
    words = looked.output.split()
    return int(words[-1]) if looked.status == 0 and words[-1:] and words[-1].isdigit() else None


def _is_there(directory: Path) -> bool:
    looked = run(["test", "-d", str(directory)], DISK_SECONDS)
    return looked.status == 0


def _drains(database: Database, connection: Connection) -> tuple[Drain, ...]:
    now = database.now(connection)
    return tuple(
        Drain(each.job_id, each.source, each.work, (now - each.started_at).total_seconds())
        for each in deploying.held_jobs(connection)
    )


def _living(connection: Connection) -> tuple[Process, ...]:
    """The processes of this machine that say that they live."""
    here = socket.gethostname()
    return tuple(
        each
        for each in processes(connection)
        if each.host == here and Path(f"/proc/{each.pid}").exists()
    )


def _source_error(settings: Settings) -> str:
    from healtharchive.crawl.sources import load_all

    try:
        load_all(settings.sources_dir)
    except BadInput as error:
        return error.what.rstrip(".")
    return ""


def _lock(settings: Settings, clock: Clock) -> str:
    path = settings.deploy_lock
    found, age = deploying_lock.read(path), deploying_lock.age_seconds(path, clock.now())
    if found is None or age is None or age >= settings.deploy_lock_seconds:
        return ""
    return f"{found.who} deploys already, for {age:.0f} s: {found.why or 'no reason is given'}"
