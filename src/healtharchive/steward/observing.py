"""Looks at the whole archive, from the database alone: how it is, in one record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model import condition as asked
from healtharchive.model.actions import REFUSED
from healtharchive.model.alerts import AlertState, open_alerts
from healtharchive.model.campaigns import Readiness, list_campaigns, readiness
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.expiries import expiries
from healtharchive.model.jobs import count_jobs
from healtharchive.model.restore_tests import restore_tests
from healtharchive.model.rounds import list_rounds
from healtharchive.model.services import Process, Service, last_stopped, open_holds, processes
from healtharchive.model.standing_operation import RUN
from healtharchive.model.targets import list_targets
from healtharchive.model.told import Told, last_of_each, last_told
from healtharchive.settings import Settings
from healtharchive.steward.condition import (
    AlertNow,
    BackupNow,
    CampaignNow,
    Condition,
    ServiceNow,
)
from healtharchive.steward.index_format import under_way
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.observing_jobs import failed_now, running_now, waiting_now
from healtharchive.steward.observing_storage import spool_now, target_now
from healtharchive.work.census import told_apart
from healtharchive.work.stopping import Stop

START = "start"  # what the steward does to a service that is down
MOST_JOBS_TO_INDEX = 50
MOST_ACTIONS = 20
MOST_CAMPAIGNS = 20
MOST_LOST = 100


def look(database: Database, settings: Settings, clock: Clock) -> Condition:
    """How the archive is now. It answers while every mount hangs."""
    means = StewardMeans(settings=settings, database=database, clock=clock, stop=Stop(clock))
    with database.read() as connection:
        now = database.now(connection)
        targets = list_targets(connection)
        reports, reports_since = asked.open_reports(connection)
        drift = _drift(connection)
        return Condition(
            now=now,
            services={each: service_now(connection, each, now, settings) for each in Service},
            jobs={str(state): number for state, number in count_jobs(connection).items()},
            for_workers=asked.jobs_for_workers(connection, now),
            running=running_now(connection, now, settings),
            waiting=waiting_now(connection),
            failed=failed_now(connection),
            targets=tuple(target_now(connection, each, means.gates, now) for each in targets),
            campaigns=_campaigns(connection),
            spool=spool_now(connection, targets, now, settings),
            lost_segments=tuple(asked.lost_segments(connection, MOST_LOST)),
            unindexed_since=_unindexed(connection),
            uncompared_since=asked.oldest_uncompared(connection),
            rounds=tuple(list_rounds(connection)),
            actions=asked.last_actions(connection, MOST_ACTIONS),
            alerts=_alerts(connection),
            backup=_backup(connection),
            expiries=tuple(expiries(connection, now)),
            reports_open=reports,
            reports_since=reports_since,
            drift=tuple(each.why for each in drift),
            runs=_runs(connection, now, settings),
            drift_names=tuple(each.subject_id for each in drift),
            deploy_lock_age_seconds=means.deploy_lock_age_seconds(),
            index_renewal=under_way(connection),
        )


# -- processes -----------------------------------------------------------------------------


def service_now(
    connection: Connection, service: Service, now: datetime, settings: Settings
) -> ServiceNow:
    """One kind of process: those that live, those that fell silent, and why it is down."""
    found = processes(connection, service)
    living, silent = told_apart(found, now, settings.heartbeat_seconds)
    stopped = last_stopped(connection, service)
    by = ""
    if stopped is not None:
        told = last_told(connection, service, ("stop_signal",), stopped.holder[:128])
        by = told.why if told is not None and told.at >= stopped.started_at else ""
    holds = tuple(open_holds(connection, service))
    seen = ServiceNow(service, tuple(living), tuple(silent), holds, stopped, by)
    return replace(seen, refused=_start_refused(connection, seen))


def _start_refused(connection: Connection, service: ServiceNow) -> str:
    """Why the steward did not start it, where it runs nowhere; empty when it did, or will."""
    newest = service.newest
    if service.living or newest is None:
        return ""
    tried = asked.last_attempt_to(connection, START, service.service, newest.host)
    refused = tried is not None and tried.outcome == REFUSED and tried.at >= newest.started_at
    return str(tried.why) if tried is not None and refused else ""


def _runs(connection: Connection, now: datetime, settings: Settings) -> tuple[Process, ...]:
    found = [each for each in processes(connection) if each.service == RUN]
    return tuple(told_apart(found, now, settings.heartbeat_seconds)[0])


# -- campaigns and the index ---------------------------------------------------------------


def _campaigns(connection: Connection) -> tuple[CampaignNow, ...]:
    newest = list_campaigns(connection)[:MOST_CAMPAIGNS]
    return tuple(_campaign(readiness(connection, each.name)) for each in newest)


def _campaign(found: Readiness) -> CampaignNow:
    reasons = tuple(
        f"job {each.job_id} ({each.source}) {each.reason}" if each.job_id else each.reason
        for each in found.obstacles
    )
    settled = bool(found.jobs) and all(job.settled for job in found.jobs)
    return CampaignNow(found.campaign.name, found.campaign.year, found.ready, reasons, settled)


def _unindexed(connection: Connection) -> datetime | None:
    """Since when the first captured job waits to be searchable, or searchable anew."""
    waits = asked.waits_since(connection, asked.jobs_to_index(connection, MOST_JOBS_TO_INDEX))
    return min(waits.values(), default=None)


# -- what was done, and what goes on -------------------------------------------------------


def _alerts(connection: Connection) -> tuple[AlertNow, ...]:
    return tuple(
        AlertNow(
            each.name,
            each.severity,
            each.subject,
            each.subject_id,
            each.summary,
            each.since,
            each.sent_at,
            each.inhibited_by or "",
        )
        for each in open_alerts(connection)
        if each.state is AlertState.FIRING
    )


def _backup(connection: Connection) -> BackupNow:
    made = last_told(connection, "database", ("backup",))
    tried = last_told(connection, "database", ("backup", "backup_failed"))
    tests = restore_tests(connection)
    return BackupNow(
        made.at if made is not None else None,
        _trouble(tried),
        tests.good.at if tests.good is not None else None,
        _trouble(tests.last),
        tests.unproven_since,
    )


def _trouble(told: Told | None) -> str:
    """Why the newest attempt failed; empty when it did not."""
    return told.why.rstrip(".") if told is not None and told.what.endswith("_failed") else ""


def _drift(connection: Connection) -> list[Told]:
    newest = last_of_each(connection, "drift", ("found", "over"))
    return [each for each in newest.values() if each.what == "found"]
