"""Checks of the database, and of what it knows of services, targets, ends and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from healtharchive.cli.machine.checks import Checked, Surroundings, fail, fine, unknown, warn
from healtharchive.cli.machine.requirements import numbers
from healtharchive.model import postgres, schema
from healtharchive.model.database import Database
from healtharchive.model.deploying import server_version
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.expiries import Expiry
from healtharchive.model.services import HoldKind
from healtharchive.model.states import TargetState
from healtharchive.model.target import Verdict
from healtharchive.model.targets import Target, list_targets
from healtharchive.model.tokens import any_good
from healtharchive.steward.postgres_tools import program
from healtharchive.storage.mountinfo import covering, read_mounts
from healtharchive.work.outage import OUTAGES, describe

LEAST_POSTGRESQL = 15
CLOCK_WARN_SECONDS, CLOCK_FAIL_SECONDS = 2.0, 30.0
SEEN_LATELY = timedelta(minutes=10)
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs", "lustre", "davfs")


def is_remote(filesystem: str) -> bool:
    """Whether a file system may hang with its server."""
    return filesystem in REMOTE or filesystem.split(".", 1)[0] == "fuse"


def remote_database(url: str) -> str:
    """Why a SQLite database is not even opened: its file system is remote; empty when it is not."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return ""
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return ""
    disk = covering(read_mounts(), parsed.database)
    if disk is None or not is_remote(disk.filesystem):
        return ""
    return f"{parsed.database} lies on {disk.source} ({disk.filesystem})"


def database(around: Surroundings) -> Iterator[Checked]:
    """The connection, the server, the schema and the clock."""
    if around.settings.database_url and (where := remote_database(around.settings.database_url)):
        cure = "Move it to a local disk and set HEALTHARCHIVE_DATABASE_URL."
        yield fail("database", f"The database {where}: SQLite needs a local disk.", cure)
        return
    if around.database is None:
        cure = "Set HEALTHARCHIVE_DATABASE_URL, then `healtharchive db upgrade`."
        yield fail("database", "No database is set.", cure)
        return
    try:
        with around.database.read() as connection:
            version = server_version(around.database, connection)
            behind = around.clock.now() - around.database.now(connection)
    except OUTAGES as error:
        cure = error.cure if isinstance(error, HealthArchiveError) else "`healtharchive config`"
        yield fail("database", f"{describe(error)}", cure)
        return
    yield from _server(around.database, version)
    yield from _schema(around.database)
    yield from _clock(abs(behind.total_seconds()))


def _server(found: Database, version: str) -> Iterator[Checked]:
    if found.is_sqlite:
        yield fine("database", f"{found.label} answers (SQLite {version}).")
        return
    major = numbers(version)[0]
    if major < LEAST_POSTGRESQL:
        cure = f"Upgrade it to {LEAST_POSTGRESQL} or newer."
        yield fail("database", f"PostgreSQL {version} is too old.", cure)
    else:
        yield fine("database", f"{found.label} answers (PostgreSQL {version}).")
    try:
        yield fine("pg_dump", f"{program('pg_dump', major)} can back it up.")
    except SetupError as error:
        yield fail("pg_dump", error.what, error.cure)
    yield from restoring(found)


def restoring(found: Database) -> Iterator[Checked]:
    """Whether PostgreSQL lets us restore backups as a test."""
    with found.read() as connection:
        may, role = postgres.may_create_databases(connection)
    if may:
        yield fine("restore tests", f"The role {role} may create a database to restore into.")
    else:
        cure = f"sudo -u postgres psql -c 'ALTER ROLE {role} CREATEDB'"
        said = f"The role {role} may not create a database: no backup is ever tried."
        yield warn("restore tests", said, cure)


def _schema(found: Database) -> Iterator[Checked]:
    try:
        schema.check(found)
    except SetupError as error:
        yield fail("schema", error.what, error.cure)
    else:
        yield fine("schema", f"The schema is {schema.head()}, as this program needs it.")


def _clock(apart: float) -> Iterator[Checked]:
    said = f"The database's clock and this machine's are {apart:.1f} s apart."
    if apart >= CLOCK_FAIL_SECONDS:
        yield fail("database clock", said, "Set both by NTP: timedatectl set-ntp true")
    elif apart >= CLOCK_WARN_SECONDS:
        yield warn("database clock", said, "Set both by NTP: timedatectl set-ntp true")
    else:
        yield fine("database clock", said)


def services(around: Surroundings) -> Iterator[Checked]:
    """The three long-lived processes, as their beats tell."""
    if around.condition is None:
        yield unknown("services", "Without the database nobody knows what runs.")
        return
    for name, service in around.condition.services.items():
        unit = f"healtharchive-{name}.service"
        paused = [each for each in service.holds if each.kind == HoldKind.PAUSE]
        if service.living:
            pids = ", ".join(str(each.pid) for each in service.living)
            yield fine(name, f"The {name} lives (pid {pids}).")
        elif paused:
            yield fine(name, f"The {name} is paused by {paused[0].who}: {paused[0].why}.")
        elif service.silent:
            cure = _start(around, name, "restart")
            yield fail(name, f"The {name} says nothing any more and wrote no stop.", cure)
        elif around.booted and around.ask(["systemctl", "is-active", unit]).well:
            cure = f"journalctl -u {unit} -n 50"
            yield unknown(name, f"systemd runs the {name}, which does not say so itself.", cure)
        else:
            yield warn(name, f"No {name} runs.", _start(around, name))


def _start(around: Surroundings, name: str, verb: str = "start") -> str:
    """The command that has a service run on this machine."""
    unit = f"systemctl {verb} healtharchive-{name}.service"
    return unit if around.booted else f"healtharchive {name}"


def targets(around: Surroundings) -> Iterator[Checked]:
    """Whether each declared target was looked at lately, and carried its identity."""
    if around.database is None or around.condition is None:
        if around.targets:
            yield unknown("targets", "Without the database nobody knows how the targets are.")
        return
    with around.database.read() as connection:
        rows = {each.name: each for each in list_targets(connection)}
    now = around.condition.now
    for each in around.targets:
        about, row = f"target {each.name}", rows.get(each.name)
        cure = f"healtharchive why target {each.name}"
        if row is None or row.probed_at is None:
            yield unknown(about, "No steward has looked at it yet.", _start(around, "steward"))
        elif row.state is not TargetState.CLOSED:
            yield _out_of_use(about, row, cure)
        elif row.last_healthy_at is None or now - row.last_healthy_at > SEEN_LATELY:
            yield warn(about, f"It was last seen well at {row.last_healthy_at}.", cure)
        else:
            identity = "with its identity" if row.identity else "and has no identity to tell"
            yield fine(about, f"It was seen well within the last 10 min, {identity}.")


def _out_of_use(about: str, row: Target, cure: str) -> Checked:
    """Why its breaker is not closed: its trouble, or that it was mended a moment ago."""
    if row.verdict is Verdict.HEALTHY:
        said = "It is well again, and must be so for a while before it is used."
        return warn(about, said, "healtharchive storage status")
    return fail(about, f"It is {row.verdict or 'out of use'}: {row.last_error}.", cure)


def ends(around: Surroundings) -> Iterator[Checked]:
    """Certificates and tokens that end soon, as the steward saw them last."""
    if around.condition is None:
        return
    if around.settings.certificates and not around.condition.expiries:
        start = "healtharchive steward run expiry"
        yield unknown("certificates", "No steward has looked at them yet.", start)
    for each in around.condition.expiries:
        yield from _end(each, around.condition.now, around.settings.certificate_days)


def _end(expiry: Expiry, now: datetime, days: float) -> Iterator[Checked]:
    about, cure = f"{expiry.kind} {expiry.name}", f"Renew the {expiry.kind}."
    if expiry.unseen_since is not None:
        said = f"It cannot be looked at since {expiry.unseen_since:%Y-%m-%d %H:%M}Z"
        yield warn(about, f"{said}: {expiry.trouble}.", "Correct HEALTHARCHIVE_CERTIFICATES.")
    soon = expiry.ends_soon_at(days)
    if expiry.ends_at is None or soon is None:
        return
    day = f"{expiry.ends_at:%Y-%m-%d}"
    if expiry.ends_at <= now:
        yield fail(about, f"It ended on {day}.", cure)
    elif soon <= now:
        yield warn(about, f"It ends on {day}.", cure)
    else:
        yield fine(about, f"It lasts until {day}.")


def operations(around: Surroundings) -> Iterator[Checked]:
    """Whether anybody could use the operations pages, and nobody should who may not."""
    settings = around.settings
    if not settings.operations_port:
        return
    if around.database is None or around.condition is None:
        yield unknown("tokens", "Without the database nobody knows which tokens there are.")
        return
    with around.database.read() as connection:
        there = any_good(around.database, connection)
    if there or settings.admin_token:
        yield fine("tokens", f"The operations pages (port {settings.operations_port}) have one.")
    else:
        cure = "healtharchive token create NAME --scope admin"
        yield warn("tokens", "The operations pages are closed: there is no token.", cure)
