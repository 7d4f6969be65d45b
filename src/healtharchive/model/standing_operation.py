"""How operation stands in numbers: services, reconcilers, alerts, actions, backups, the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from healtharchive.model.actions import actions_ever
from healtharchive.model.alerts import AlertState
from healtharchive.model.condition import open_reports
from healtharchive.model.expiries import Expiry, expiries
from healtharchive.model.measures import Measure
from healtharchive.model.restore_tests import RestoreTests, restore_tests
from healtharchive.model.rounds import Round, list_rounds
from healtharchive.model.services import (
    Hold,
    HoldKind,
    Process,
    Service,
    open_holds,
    processes,
)
from healtharchive.model.tables import events
from healtharchive.model.tables_operation import alerts, measures, services
from healtharchive.model.target import SPOOL
from healtharchive.model.told import last_of_each

RUN = "run"  # the service of a process that works on one job
SPOOL_MEASURES = ("spool_used_percent", "spool_free_bytes", "spool_total_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStanding:
    """One kind of service: its living processes, and why it is meant to be down.

    `beat_at` is the newest sign of life of any process, `started_at` the start of the living one
    that runs the longest, `owed_since` when the oldest owed restart should have been, where
    nothing has been started since.
    """

    living: int
    beat_at: datetime | None
    started_at: datetime | None
    holds: Mapping[HoldKind, int]
    owed_since: datetime | None


@dataclass(frozen=True, slots=True)
class Tried:
    """Something that is done now and then: when it last went well, and whether the last try did."""

    good_at: datetime | None
    last_went_well: bool | None  # None: nobody has tried


@dataclass(frozen=True, slots=True)
class SpoolStanding:
    """The disk under jobs_root, as it was measured last."""

    seen_at: datetime
    used_percent: float
    free_bytes: float
    total_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStanding:
    """`alerts` that fire by (name, severity); `actions` by (subject, what, outcome, target).

    That target is empty of all but repairs of targets. `drift` says of each thing that ever
    drifted whether it does now.
    """

    services: Mapping[Service, ServiceStanding]
    runs: int  # living processes that work on one job each, beside the workers
    rounds: Sequence[Round]
    alerts: Mapping[tuple[str, str], int]
    actions: Mapping[tuple[str, str, str, str], int]
    events: int
    backup: Tried
    restore: Tried  # of the newest backup
    unproven_since: datetime | None
    expiries: Sequence[Expiry]
    drift: Mapping[str, bool]
    open_reports: int
    spool: SpoolStanding | None


def operation_standing(
    connection: Connection, now: datetime, living_seconds: float
) -> OperationStanding:
    """How the operation stands now."""
    newest = select(func.coalesce(func.max(events.c.id), 0))
    tried = _database_events(connection)
    tests = restore_tests(connection)
    drift = last_of_each(connection, "drift", ("found", "over"))
    living = _living(connection, now, living_seconds)
    return OperationStanding(
        services=_services(connection, living, now),
        runs=sum(each.service == RUN for each in living),
        rounds=list_rounds(connection),
        alerts=_alerts(connection),
        actions=actions_ever(connection),
        events=int(connection.execute(newest).scalar_one()),
        backup=_tried(tried, "backup"),
        restore=_restore(tests),
        unproven_since=tests.unproven_since,
        expiries=expiries(connection, now),
        drift={thing: each.what == "found" for thing, each in drift.items()},
        open_reports=open_reports(connection)[0],
        spool=_spool(connection),
    )


# -- services ------------------------------------------------------------------------------


def _living(connection: Connection, now: datetime, living_seconds: float) -> list[Process]:
    heard_since = now - timedelta(seconds=living_seconds)
    return [each for each in processes(connection) if each.beat_at >= heard_since]


def _services(
    connection: Connection, living: Sequence[Process], now: datetime
) -> dict[Service, ServiceStanding]:
    newest = func.max(services.c.beat_at).label("beat_at")
    query = select(services.c.service, newest).group_by(services.c.service)
    beats = {row.service: row.beat_at for row in connection.execute(query)}
    holds = [each for each in open_holds(connection) if not _is_over(each, now)]
    return {
        service: _service(
            [each for each in living if each.service == service],
            [each for each in holds if each.service == service],
            beats.get(service),
        )
        for service in Service
    }


def _is_over(hold: Hold, now: datetime) -> bool:
    """Whether an operator's pause has come to its end by itself."""
    return hold.kind == HoldKind.PAUSE and hold.until is not None and hold.until <= now


def _service(
    living: Sequence[Process], holds: Sequence[Hold], beat_at: datetime | None
) -> ServiceStanding:
    hosts = {each.host for each in living}
    owed = [
        hold.until or hold.at
        for hold in holds
        if hold.kind == HoldKind.OWED and not (hold.host in hosts if hold.host else hosts)
    ]
    return ServiceStanding(
        living=len(living),
        beat_at=beat_at,
        started_at=min((each.started_at for each in living), default=None),
        holds={kind: sum(each.kind == kind for each in holds) for kind in HoldKind},
        owed_since=min(owed, default=None),
    )


# -- what automation did -------------------------------------------------------------------


def _alerts(connection: Connection) -> dict[tuple[str, str], int]:
    query = select(alerts.c.name, alerts.c.severity, func.count()).where(
        alerts.c.state == AlertState.FIRING, alerts.c.inhibited_by.is_(None)
    )
    rows = connection.execute(query.group_by(alerts.c.name, alerts.c.severity))
    return {(name, severity): int(count) for name, severity, count in rows}


# -- what the journal says -----------------------------------------------------------------


def _database_events(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """The newest event of each kind about the database: its number and time."""
    query = select(events.c.what, func.max(events.c.id), func.max(events.c.at))
    rows = connection.execute(query.where(events.c.subject == "database").group_by(events.c.what))
    return {what: (int(number), at) for what, number, at in rows}


def _restore(tests: RestoreTests) -> Tried:
    good_at = tests.good.at if tests.good is not None else None
    return Tried(good_at, None if tests.last is None else tests.failed is None)


def _tried(found: Mapping[str, tuple[int, datetime]], what: str) -> Tried:
    good, bad = found.get(what), found.get(f"{what}_failed")
    if good is None:
        return Tried(None, None if bad is None else False)
    return Tried(good[1], bad is None or bad[0] < good[0])


# -- the disk ------------------------------------------------------------------------------


def _spool(connection: Connection) -> SpoolStanding | None:
    """The newest measure of each kind; None before the first."""
    used, free, total = (_newest_measure(connection, each) for each in SPOOL_MEASURES)
    if used is None or free is None or total is None:
        return None
    return SpoolStanding(used.at, used.value, free.value, total.value)


def _newest_measure(connection: Connection, name: str) -> Measure | None:
    query = select(measures.c.at, measures.c.value).where(
        measures.c.name == name, measures.c.subject == SPOOL
    )
    row = connection.execute(query.order_by(measures.c.at.desc()).limit(1)).one_or_none()
    return None if row is None else Measure(*row)
