"""Metrics of the operation: services, the steward's rounds, alerts, backups, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from healtharchive.model.expiries import Expiry
from healtharchive.model.services import HoldKind, Service
from healtharchive.model.standing import Standing
from healtharchive.model.standing_operation import Tried
from healtharchive.settings import Settings
from healtharchive.steward.metrics_declared import Value, Values, declared, moments, one

DAY_SECONDS = 86_400.0

LIVING = declared("service_processes", "Processes of a service that live.", "service")
BEAT = declared(
    "service_beat_timestamp_seconds",
    "When any process of a service last said that it lives (Unix time).",
    "service",
)
STARTED = declared(
    "service_start_timestamp_seconds",
    "When the living process of a service that runs the longest was started (Unix time).",
    "service",
)
HOLDS = declared(
    "service_holds",
    "Why a service is meant to be down: an operator's pauses, owed restarts.",
    "service",
    "kind",
)
PAUSED = declared("worker_paused", "1 while an operator has paused the workers, else 0.")
OWED = declared(
    "service_restart_owed_timestamp_seconds",
    "When a service that automation stopped should have been started again (Unix time).",
    "service",
)
ROUND = declared(
    "reconciler_last_round_seconds", "How long a reconciler's last round took.", "reconciler"
)
ROUNDS = declared("reconciler_rounds_total", "Its rounds.", "reconciler", kind="counter")
FAILURES = declared("reconciler_failures", "Its rounds in a row that failed.", "reconciler")
ENDED = declared(
    "reconciler_last_round_timestamp_seconds",
    "When its last round ended (Unix time), as it was noted last.",
    "reconciler",
)
PACE = declared("reconciler_pace_seconds", "How long after a round the next begins.", "reconciler")
ALERTS = declared("alerts_firing", "Alerts that fire, by rule.", "name", "severity")
ACTIONS = declared(
    "actions_total",
    "What automation did, failed to do or refused.",
    "subject",
    "what",
    "outcome",
    kind="counter",
)
RECOVERIES = declared(
    "recoveries_total",
    "Repairs of targets: applied, failed or refused.",
    "target",
    "result",
    kind="counter",
)
EVENTS = declared("events_total", "Lines of the journal.", kind="counter")
BACKUP = declared("backup_timestamp_seconds", "When the newest good backup was made (Unix time).")
BACKUP_OK = declared("backup_ok", "1 when the last try to make a backup went well, else 0.")
RESTORE = declared(
    "restore_test_timestamp_seconds", "When the newest backup was last right in a test (Unix time)."
)
UNPROVEN = declared(
    "backup_unproven_timestamp_seconds",
    "Since when no test of a newest backup went well: the last good one, or the first backup.",
)
RESTORE_OK = declared(
    "restore_test_ok", "1 when the last test of the newest backup went well, else 0."
)
EXPIRY = declared(
    "expiry_timestamp_seconds", "When a certificate or token ends (Unix time).", "kind", "name"
)
EXPIRY_WARN = declared(
    "expiry_warn_timestamp_seconds",
    "From when on somebody should know: it ends soon or cannot be looked at (Unix time).",
    "kind",
    "name",
)
DRIFT = declared(
    "drift", "1 for something that is not as it was configured, 0 when it is again.", "thing"
)
REPORTS = declared("reader_reports_open", "Readers' reports that nobody has answered.")
LOCK = declared("deploy_lock_age_seconds", "How old the deploy lock is, while there is one.")
SECONDS = declared("limit_seconds", "The settings that alerts go by, as times.", "limit")
RATIO = declared("limit_ratio", "The settings that alerts go by, as parts of 1.", "limit")
DECLARED = (
    LIVING, BEAT, STARTED, HOLDS, PAUSED, OWED, ROUND, ROUNDS, FAILURES, ENDED, PACE, ALERTS,
    ACTIONS, RECOVERIES, EVENTS, BACKUP, BACKUP_OK, RESTORE, RESTORE_OK, UNPROVEN, EXPIRY,
    EXPIRY_WARN, DRIFT, REPORTS, LOCK, SECONDS, RATIO,
)  # fmt: skip


def values(
    found: Standing,
    settings: Settings,
    deploy_lock_age_seconds: float | None,
) -> Values:
    """What is to be told of each."""
    operation, services = found.operation, found.operation.services
    rounds = operation.rounds
    return {
        LIVING: [((name,), each.living) for name, each in services.items()],
        BEAT: moments((name, each.beat_at) for name, each in services.items()),
        STARTED: moments((name, each.started_at) for name, each in services.items()),
        HOLDS: [
            ((name, kind), number)
            for name, each in services.items()
            for kind, number in each.holds.items()
        ],
        PAUSED: one(float(services[Service.WORKER].holds[HoldKind.PAUSE] > 0)),
        OWED: moments((name, each.owed_since) for name, each in services.items()),
        ROUND: [((each.name,), each.seconds) for each in rounds],
        ROUNDS: [((each.name,), each.rounds) for each in rounds],
        FAILURES: [((each.name,), each.failures) for each in rounds],
        ENDED: moments((each.name, each.ended_at) for each in rounds),
        PACE: [
            ((each.name,), each.every_seconds) for each in rounds if each.every_seconds is not None
        ],
        ALERTS: [(key, count) for key, count in operation.alerts.items()],
        ACTIONS: _actions(operation.actions),
        RECOVERIES: [
            ((target, outcome), count)
            for (_, _, outcome, target), count in operation.actions.items()
            if target
        ],
        EVENTS: one(operation.events),
        BACKUP: _good(operation.backup),
        BACKUP_OK: _went_well(operation.backup),
        RESTORE: _good(operation.restore),
        RESTORE_OK: _went_well(operation.restore),
        UNPROVEN: _at(operation.unproven_since),
        EXPIRY: _ends(operation.expiries, lambda each: each.ends_at),
        EXPIRY_WARN: _ends(
            operation.expiries, lambda each: each.warn_at(settings.certificate_days)
        ),
        DRIFT: [((thing,), float(now)) for thing, now in operation.drift.items()],
        REPORTS: one(operation.open_reports),
        LOCK: one(deploy_lock_age_seconds),
        SECONDS: [((name,), seconds) for name, seconds in limits_seconds(settings).items()],
        RATIO: [((name,), ratio) for name, ratio in limits_ratio(settings).items()],
    }


def limits_seconds(settings: Settings) -> dict[str, float]:
    """The times that alerts go by, so that rules need not be made anew when one is changed."""
    return {
        "backup": settings.backup_every_seconds,
        "deploy_lock": settings.deploy_lock_seconds,
        "flapping": settings.park_forget_seconds,
        "fixity": settings.fixity_days * DAY_SECONDS,
        "index_lag": settings.index_lag_seconds,
        "repay": settings.repay_seconds,
        "restore_test": settings.restore_test_days * DAY_SECONDS,
        "ship_lag": settings.ship_lag_seconds,
        "spool_full": settings.spool_days_warn * DAY_SECONDS,
    }


def limits_ratio(settings: Settings) -> dict[str, float]:
    """How full the disk may be before something follows."""
    return {
        "spool_warn": settings.spool_warn_percent / 100,
        "spool_soft": settings.spool_soft_percent / 100,
        "spool_full": settings.spool_full_percent / 100,
    }


def _actions(counted: Mapping[tuple[str, str, str, str], int]) -> list[Value]:
    """Those of all targets together: a name of a target is no kind of action."""
    summed: Counter[tuple[str, ...]] = Counter()
    for (*kind, _), number in counted.items():
        summed[tuple(kind)] += number
    return list(summed.items())


def _ends(found: Iterable[Expiry], moment: Callable[[Expiry], datetime | None]) -> list[Value]:
    told = ((each, moment(each)) for each in found)
    return [((each.kind, each.name), at.timestamp()) for each, at in told if at is not None]


def _good(tried: Tried) -> list[Value]:
    return _at(tried.good_at)


def _at(moment: datetime | None) -> list[Value]:
    return one(None if moment is None else moment.timestamp())


def _went_well(tried: Tried) -> list[Value]:
    return one(None if tried.last_went_well is None else float(tried.last_went_well))
