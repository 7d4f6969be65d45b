"""How Prometheus finds each alert: the expression, and the sentence with what it found.

Joins go by `instance`, so one Prometheus may watch several archives. What is allowed comes from
`healtharchive_limit_seconds` and `_ratio`: a changed setting needs no new rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healtharchive.steward.alert_rules import Severity

JOB_NAME = "healtharchive"  # of the scrape job, in Prometheus' configuration
STALE_TEXTFILE_SECONDS = 300
WAITING = "queued|parked|retryable|completed"


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression and its sentence. `labels` are those beside `instance` that tell two apart."""

    expr: str
    summary: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRule:
    """An alert that only Prometheus can raise: whoever would tell of it otherwise is what fails."""

    name: str
    severity: Severity
    lasts_seconds: float
    meaning: str
    command: str
    explained_by: tuple[str, ...] = ()


def _limit(name: str) -> str:
    return f'healtharchive_limit_seconds{{limit="{name}"}}'


def _over(value: str, limit: str, operator: str = ">") -> str:
    """The series that are over a limit, with their labels."""
    return f"{value} {operator} on (instance) group_left () {limit}"


def _of_target(condition: str) -> str:
    return f"healtharchive_target_info and on (instance, target) ({condition})"


def _of_job(condition: str) -> str:
    return f"healtharchive_job_info and on (instance, job_id) ({condition})"


def _down(service: str) -> str:
    return f'healtharchive_service_processes{{service="{service}"}} == 0'


def _not_held(service: str) -> str:
    """Where nobody said that the service is meant to be down."""
    return (
        " unless on (instance) sum by (instance) "
        f'(healtharchive_service_holds{{service="{service}"}}) > 0'
    )


def _spool_over(limit: str) -> str:
    ratio = f'healtharchive_limit_ratio{{limit="{limit}"}}'
    return _over("healtharchive_spool_used_ratio", ratio, ">=")


def _pages(result: str) -> str:
    return f'rate(healtharchive_job_pages_total{{result="{result}"}}[10m])'


TARGET, JOB = ("target", "place"), ("job_id", "source", "target", "place")
SOMETHING_TO_DO = (
    "(count by (instance) (healtharchive_job_info) "
    'or count by (instance) (healtharchive_target_info{target!="spool"}))'
)
SERVICES = {
    "StewardDown": Expr(
        f"{_down('steward')} and on (instance) {SOMETHING_TO_DO}{_not_held('steward')}",
        "No steward is running: nothing is repaired, shipped or checked.",
    ),
    "WorkerDown": Expr(
        "healtharchive_worker_waiting_jobs > 0 "
        f"and on (instance) {_down('worker')}{_not_held('worker')}",
        "No worker is running, and {{ $value }} jobs have something to do.",
    ),
    "ServeDown": Expr(
        f"{_down('serve')} and on (instance) "
        'time() - healtharchive_service_beat_timestamp_seconds{service="serve"} < 86400'
        f"{_not_held('serve')}",
        "The web pages are not served.",
    ),
    "WorkerPaused": Expr(
        "healtharchive_worker_paused == 1 and on (instance) "
        f'sum by (instance) (healtharchive_jobs{{state=~"{WAITING}"}}) > 0',
        "The workers have been paused for a day, and jobs wait.",
    ),
    "RestartOwed": Expr(
        _over("time() - healtharchive_service_restart_owed_timestamp_seconds", _limit("repay")),
        "Automation stopped the {{ $labels.service }}, and nobody started it again in time.",
        ("service",),
    ),
    "ReconcilerFailing": Expr(
        "healtharchive_reconciler_failures >= 3 or on (instance, reconciler) ("
        "time() - healtharchive_reconciler_last_round_timestamp_seconds > on (instance, reconciler)"
        " clamp_min(10 * healtharchive_reconciler_pace_seconds, 600)"
        ") and on (instance) "
        'time() - healtharchive_service_start_timestamp_seconds{service="steward"} > 600',
        "The steward's {{ $labels.reconciler }} fails again and again, or makes no rounds.",
        ("reconciler",),
    ),
}
STORAGE = {
    "TargetDown": Expr(
        _of_target(
            'healtharchive_target_breaker_state{state="closed"} == 0 unless on (instance, target) '
            'healtharchive_target_verdict{target="spool", verdict="full"} == 1'
        ),
        "{{ $labels.target }} cannot be used; the jobs that need it wait.",
        TARGET,
    ),
    "TargetHeld": Expr(
        _of_target("healtharchive_target_held == 1"),
        "{{ $labels.target }} is down and is not mended automatically: a person must decide.",
        TARGET,
    ),
    "TargetFlapping": Expr(
        _of_target(
            "healtharchive_target_trips >= 3 and on (instance, target) ("
            + _over(
                "time() - healtharchive_target_breaker_timestamp_seconds", _limit("flapping"), "<="
            )
            + ' or on (instance, target) healtharchive_target_breaker_state{state="closed"} == 0)'
        ),
        "{{ $labels.target }} has failed again and again, each time soon after it had come back.",
        TARGET,
    ),
    "SpoolFilling": Expr(
        _spool_over("spool_warn"),
        "{{ $value | humanizePercentage }} of the disk under jobs_root is used.",
    ),
    "SpoolFull": Expr(
        _spool_over("spool_soft"),
        "{{ $value | humanizePercentage }} of the disk under jobs_root is used: no crawl is begun.",
    ),
    "DiskFullSoon": Expr(
        "predict_linear(healtharchive_spool_free_bytes[6h], "
        f"scalar(min({_limit('spool_full')}))) < 0",
        "The disk under jobs_root will be full within days if it goes on like this.",
    ),
    "ShippingLate": Expr(
        _of_target(_over("healtharchive_target_shipping_lag_seconds", _limit("ship_lag"), ">=")),
        "Sealed segments wait for too long to be copied to {{ $labels.target }}.",
        TARGET,
    ),
    "CopyBad": Expr(
        _of_target(
            "sum by (instance, target) "
            '(healtharchive_copies_bytes{state=~"differs|gone|failed"}) > 0'
        ),
        "Copies on {{ $labels.target }} are missing or differ from what was captured.",
        TARGET,
    ),
    "SegmentLost": Expr(
        "healtharchive_lost_segments > 0",
        "No good copy is left anywhere of {{ $value }} segments.",
    ),
    "FixityLate": Expr(
        _of_target(
            _over(
                "time() - healtharchive_target_unread_timestamp_seconds",
                f"1.1 * {_limit('fixity')}",
            )
        ),
        "Copies on {{ $labels.target }} are not read back as often as they should be.",
        TARGET,
    ),
}
JOBS = {
    "JobStalled": Expr(
        _of_job(
            "healtharchive_job_idle_seconds > on (instance, job_id) healtharchive_job_stall_seconds"
        ),
        "The crawl of job {{ $labels.job_id }} ({{ $labels.source }}) gets nothing done.",
        JOB,
    ),
    "JobFailed": Expr(
        'sum by (instance, source, state) (healtharchive_jobs{state=~"failed|index_failed"}) > 0',
        "{{ $value }} jobs of {{ $labels.source }} are {{ $labels.state }} and not tried again.",
        ("source", "state"),
    ),
    "JobParkedLong": Expr(
        # A job that is tried now and then is parked all the same.
        _of_job("max_over_time(healtharchive_job_parked[15m]) == 1"),
        "Job {{ $labels.job_id }} ({{ $labels.source }}) has been parked for hours.",
        JOB,
    ),
    "CrawlErrors": Expr(
        _of_job(f"({_pages('failed')} > on (instance, job_id) {_pages('done')}) > 1 / 60"),
        "The crawl of job {{ $labels.job_id }} ({{ $labels.source }}) has more errors than pages.",
        JOB,
    ),
    "IndexLate": Expr(
        _of_job(_over("healtharchive_job_index_lag_seconds", _limit("index_lag"), ">=")),
        "The captures of job {{ $labels.job_id }} ({{ $labels.source }}) are not searchable yet.",
        JOB,
    ),
    "ComparisonLate": Expr(
        "healtharchive_comparison_lag_seconds > 0",
        "What changed in pages that were indexed a day ago is not computed yet.",
    ),
    "CampaignNotReady": Expr(
        "healtharchive_campaign_settled == 1 "
        "and on (instance, campaign) healtharchive_campaign_ready == 0",
        "All jobs of {{ $labels.campaign }} have ended, and it is not ready for search.",
        ("campaign",),
    ),
}
BACKUP_LATE = f"1.5 * {_limit('backup')}"
BACKUP_AT = "healtharchive_backup_timestamp_seconds"
BACKUP_AGE = f"time() - {BACKUP_AT}"
UNPROVEN_AGE = "time() - healtharchive_backup_unproven_timestamp_seconds"
RESTORE_LATE = f"2 * {_limit('restore_test')}"
STEWARD_AGE = 'time() - healtharchive_service_start_timestamp_seconds{service="steward"}'
KEEPING = {
    "BackupOld": Expr(
        f"max by (instance) ({_over(BACKUP_AGE, BACKUP_LATE)}) or max by (instance) "
        f"({_over(STEWARD_AGE, BACKUP_LATE)} unless on (instance) {BACKUP_AT})",
        "The newest backup of the database is too old, or there is none.",
    ),
    "RestoreFailed": Expr(
        "max by (instance) (healtharchive_restore_test_ok == 0) or max by (instance) "
        f"({_over(UNPROVEN_AGE, RESTORE_LATE)})",
        "The newest backup of the database could not be restored, or was not tried for long.",
    ),
    "Drift": Expr(
        "healtharchive_drift == 1",
        "Something is not as it was written down: {{ $labels.thing }}.",
        ("thing",),
    ),
    "Expiring": Expr(
        "healtharchive_expiry_warn_timestamp_seconds <= time()",
        "The {{ $labels.kind }} {{ $labels.name }} ends soon, has ended or is not as it should be.",
        ("kind", "name"),
    ),
    "ReportsWaiting": Expr(
        "healtharchive_reader_reports_open > 0",
        "{{ $value }} reports of readers are not answered.",
    ),
    "DeployLocked": Expr(
        _over("healtharchive_deploy_lock_age_seconds", _limit("deploy_lock"), ">="),
        "The deploy lock is {{ $value | humanizeDuration }} old: most likely it was forgotten.",
    ),
}
OWN = {
    "DatabaseDown": Expr(
        "healtharchive_database_up == 0", "The web pages run and the database does not answer."
    ),
    "ScrapeDown": Expr(
        f'up{{job="{JOB_NAME}"}} == 0', "{{ $labels.instance }} does not answer Prometheus."
    ),
    "TextfileStale": Expr(
        f"time() - healtharchive_textfile_timestamp_seconds > {STALE_TEXTFILE_SECONDS}",
        "The steward has not written its metrics for {{ $value | humanizeDuration }}.",
    ),
}
OWN_RULES = (
    OwnRule(
        name="DatabaseDown",
        severity="critical",
        lasts_seconds=120.0,
        meaning="Nothing else can be told while the database does not answer.",
        command="healtharchive doctor",
    ),
    OwnRule(
        name="ScrapeDown",
        severity="critical",
        lasts_seconds=120.0,
        meaning="The web pages or their machine are down, or the network to them is.",
        command="healtharchive status",
    ),
    OwnRule(
        name="TextfileStale",
        severity="warning",
        lasts_seconds=0.0,
        meaning="The steward is down, or cannot write its directory or ask the database.",
        command="healtharchive steward run metrics",
        explained_by=("StewardDown",),
    ),
)
EXPRS: Mapping[str, Expr] = {**SERVICES, **STORAGE, **JOBS, **KEEPING, **OWN}
# Alerts that Prometheus cannot find, and why not.
UNTELLABLE: Mapping[str, str] = {}
