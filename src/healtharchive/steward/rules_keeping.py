"""Rules about keeping the archive: backups, drift, ends of certificates, reports, the lock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from healtharchive.model.expiries import KEY, KNOWN_HOSTS, Expiry
from healtharchive.model.services import Service
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import AlertRule, Found
from healtharchive.steward.condition import Condition
from healtharchive.steward.next_keeping import (
    after_bad_restore,
    after_drift,
    after_expiry,
    after_lock,
    after_old_backup,
    after_reports,
)

LATE_BACKUP = 1.5  # of the time between two
LATE_RESTORE = 2.0


def _backup_old(condition: Condition, settings: Settings) -> Iterator[Found]:
    backup = condition.backup
    allowed = timedelta(seconds=settings.backup_every_seconds * LATE_BACKUP)
    since = backup.last_at or _first_wanted(condition)
    if since is None or condition.now - since <= allowed:
        return
    last = f"is of {since:%Y-%m-%d %H:%M}Z" if backup.last_at else "was never made"
    failed = f" The last attempt failed: {backup.last_error}." if backup.last_error else ""
    yield Found(
        "database",
        "backup",
        f"The newest backup of the database {last}.{failed}",
        {"last_at": since.isoformat() if backup.last_at else None, "error": backup.last_error},
        since=since + allowed,
    )


def _first_wanted(condition: Condition) -> datetime | None:
    """Since when a steward could have made one."""
    stewards = condition.services[Service.STEWARD].living
    return min((each.started_at for each in stewards), default=None)


def _restore_failed(condition: Condition, settings: Settings) -> Iterator[Found]:
    if condition.backup.restore_error:
        yield Found(
            "database",
            "restore",
            "The newest backup of the database could not be restored beside the archive: "
            f"{condition.backup.restore_error}.",
            {"error": condition.backup.restore_error},
        )
        return
    since = condition.backup.unproven_since
    allowed = timedelta(days=settings.restore_test_days * LATE_RESTORE)
    if since is not None and condition.now - since > allowed:
        yield Found(
            "database",
            "restore",
            f"No backup of the database was restored as a test since {since:%Y-%m-%d %H:%M}Z: "
            "nobody knows whether they are good.",
            {"unproven_since": since.isoformat()},
            since=since + allowed,
        )


def _drift(condition: Condition, settings: Settings) -> Iterator[Found]:
    for number, sentence in enumerate(condition.drift):
        name = condition.drift_names[number] if condition.drift_names else str(number)
        yield Found("drift", name, sentence)


def _expiring(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.expiries:
        since = each.warn_at(settings.certificate_days)
        if since is None or since > condition.now:
            continue
        yield Found(
            each.kind,
            each.name,
            f"The {each.kind} {each.name} {' and '.join(_of_its_end(each, condition.now))}.",
            {"ends_at": each.ends_at.isoformat() if each.ends_at else None},
            command="healtharchive token list" if each.kind == "token" else "",
        )


def _of_its_end(expiry: Expiry, now: datetime) -> Iterator[str]:
    if expiry.ends_at is not None:
        over = expiry.ends_at <= now
        if expiry.kind == KEY:
            verb = "was to be replaced" if over else "is to be replaced"
        else:
            verb = "has ended" if over else "ends"
        yield f"{verb} on {expiry.ends_at:%Y-%m-%d %H:%M}Z"
    if expiry.unseen_since is not None:
        since = f"{expiry.unseen_since:%Y-%m-%d %H:%M}Z"
        is_file = expiry.kind in (KEY, KNOWN_HOSTS)
        verb = "is not as it should be" if is_file else "cannot be looked at"
        yield f"{verb} since {since}: {expiry.trouble}"


def _reports_waiting(condition: Condition, settings: Settings) -> Iterator[Found]:
    if condition.reports_open:
        number = condition.reports_open
        yield Found(
            "report",
            "open",
            f"{number} report{'s' * (number > 1)} of readers {'is' if number == 1 else 'are'} not "
            "answered.",
            {"reports": number},
            since=condition.reports_since,
        )


def _deploy_locked(condition: Condition, settings: Settings) -> Iterator[Found]:
    age = condition.deploy_lock_age_seconds
    if age is not None and age >= settings.deploy_lock_seconds:
        yield Found(
            "deploy",
            "lock",
            f"The deploy lock {settings.deploy_lock} is {age / 3600:.1f} hours old: it is too old "
            "and ignored, and was most likely forgotten.",
            {"age_seconds": round(age)},
        )


KEEPING_RULES = (
    AlertRule(
        name="RestoreFailed",
        severity="critical",
        lasts_seconds=0.0,
        meaning="The newest backup of the database cannot be restored, or was not tried for long.",
        find=_restore_failed,
        next_step=after_bad_restore,
        command="healtharchive backup test",
    ),
    AlertRule(
        name="BackupOld",
        severity="warning",
        lasts_seconds=0.0,
        meaning="The newest backup of the database is too old, or there is none.",
        find=_backup_old,
        next_step=after_old_backup,
        command="healtharchive backup now",
        explained_by=("StewardDown",),
    ),
    AlertRule(
        name="Drift",
        severity="warning",
        lasts_seconds=600.0,
        meaning="The settings, sources or schema in use are not those that are written down.",
        find=_drift,
        next_step=after_drift,
        command="healtharchive events --since 1d",
    ),
    AlertRule(
        name="Expiring",
        severity="warning",
        lasts_seconds=0.0,
        meaning="A certificate, a key or a token ends soon, or one is not as it should be.",
        find=_expiring,
        next_step=after_expiry,
        command="healtharchive doctor",
    ),
    AlertRule(
        name="DeployLocked",
        severity="warning",
        lasts_seconds=0.0,
        meaning="A deploy lock was left behind; it is ignored.",
        find=_deploy_locked,
        next_step=after_lock,
        command="healtharchive deploy unlock",
    ),
    AlertRule(
        name="ReportsWaiting",
        severity="info",
        lasts_seconds=259_200.0,
        meaning="Reports of readers wait for an answer.",
        find=_reports_waiting,
        next_step=after_reports,
        command="healtharchive reports",
    ),
)
