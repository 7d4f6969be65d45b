"""Every check of a machine, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from healtharchive.cli.machine import (
    checks_containers,
    checks_database,
    checks_files,
    checks_operation,
    checks_program,
    checks_system,
)
from healtharchive.cli.machine.checks import Ask, Check, Checked, Surroundings, ask, fail
from healtharchive.cli.machine.systemctl import unit
from healtharchive.crawl.sources import load_all
from healtharchive.model.clock import Clock, SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, HealthArchiveError, SetupError
from healtharchive.model.schema import check
from healtharchive.model.source import SourceDefinition
from healtharchive.model.target import TargetDefinition
from healtharchive.settings import Settings, connect, load
from healtharchive.steward.condition import Condition
from healtharchive.steward.observing import look
from healtharchive.storage.declared import load_targets
from healtharchive.work.outage import OUTAGES
from healtharchive.work.systemd import is_booted

WITHOUT_SETTINGS = (checks_program.python, checks_program.sqlite)
CHECKS: Sequence[Check] = (
    checks_program.extras,
    checks_program.browser,
    checks_containers.container,
    checks_program.data_sets,
    checks_files.env_file,
    checks_files.secrets_file,
    checks_files.directories,
    checks_files.room,
    checks_database.database,
    checks_database.services,
    checks_database.targets,
    checks_database.ends,
    checks_files.keys,
    checks_system.fuse,
    checks_system.limits,
    checks_system.clock,
    checks_system.memory,
    checks_system.kernel,
    checks_operation.units,
    checks_operation.mounter,
    checks_operation.web_server,
    checks_operation.listeners,
    checks_database.operations,
    checks_operation.hours,
    checks_operation.edition,
    checks_operation.alerting,
    checks_operation.deploy_lock,
)


def examine() -> Iterator[Checked]:
    """Everything that can be said of this machine."""
    for first in WITHOUT_SETTINGS:
        yield from first()
    try:
        settings = load()
    except SetupError as error:
        yield fail("settings", error.what, error.cure)
        return
    broken: list[Checked] = []
    around = surroundings(settings, SystemClock(), ask, broken, booted=is_booted())
    yield from broken
    for each in CHECKS:
        yield from each(around)


def surroundings(
    settings: Settings, clock: Clock, ask: Ask, broken: list[Checked], *, booted: bool
) -> Surroundings:
    """What the checks look at. What is broken itself is added to `broken`."""
    database = _database(settings)
    return Surroundings(
        settings=settings,
        clock=clock,
        ask=ask,
        database=database,
        condition=_condition(settings, database, clock),
        sources=_sources(settings, broken),
        targets=_targets(settings, broken),
        user=_user(ask) if booted else "",
        booted=booted,
    )


def _database(settings: Settings) -> Database | None:
    remote = checks_database.remote_database(settings.database_url)
    try:
        return None if remote else connect(settings)
    except HealthArchiveError:
        return None  # the check of the database says so


def _condition(settings: Settings, database: Database | None, clock: Clock) -> Condition | None:
    if database is None:
        return None
    try:
        check(database)
        return look(database, settings, clock)
    except (HealthArchiveError, *OUTAGES):
        return None


def _sources(settings: Settings, broken: list[Checked]) -> dict[str, SourceDefinition]:
    try:
        return load_all(settings.sources_dir)
    except BadInput as error:
        broken.append(fail("sources", error.what, error.cure))
        return {}


def _targets(settings: Settings, broken: list[Checked]) -> tuple[TargetDefinition, ...]:
    try:
        return load_targets(settings.targets_file)
    except BadInput as error:
        broken.append(fail("targets file", error.what, error.cure))
        return ()


def _user(ask: Ask) -> str:
    """Who the worker's unit runs as; empty when it is not installed."""
    said = ask(["systemctl", "show", "--property=User,LoadState", unit("worker")])
    facts = dict(line.partition("=")[::2] for line in said.text.splitlines() if "=" in line)
    if not said.well or facts.get("LoadState") != "loaded":
        return ""
    return facts.get("User") or "root"
