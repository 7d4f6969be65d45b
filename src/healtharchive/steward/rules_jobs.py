"""Rules about jobs and campaigns: stalled, failed, parked for long, late to be searchable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import AlertRule, Found
from healtharchive.steward.condition import Condition, RunningNow, WaitingNow
from healtharchive.steward.next_jobs import (
    after_campaign,
    after_errors,
    after_failure,
    after_late_comparison,
    after_late_index,
    after_parking,
    after_stall,
)
from healtharchive.steward.rules_storage import TARGET_TROUBLE

LEAST_ERRORS = 1.0  # a minute; below that it is a slow site, not a failing one


def _job_stalled(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.running:
        since = _still_since(each)
        if each.work != "crawl" or since is None:
            continue
        stalled = since + timedelta(seconds=each.stall_seconds)
        if condition.now < stalled:
            continue
        yield _of_job(
            each,
            f"The crawl of job {each.job_id} ({each.source}) has got nothing done since "
            f"{since:%Y-%m-%d %H:%M:%S}Z; {each.urls_queued} URLs wait.",
            {"since": since.isoformat(), "stall_seconds": each.stall_seconds},
            since=stalled,
        )


def _of_job(
    job: RunningNow | WaitingNow,
    sentence: str,
    evidence: Mapping[str, Any],
    *,
    command: str = "",
    since: datetime | None = None,
) -> Found:
    """What is wrong with one job, which its targets may explain."""
    return Found(
        "job",
        str(job.job_id),
        sentence,
        evidence,
        command=command or f"healtharchive why job {job.job_id}",
        since=since,
        needs=job.targets,
    )


def _still_since(job: RunningNow) -> datetime | None:
    """When a crawl last got something done, or began; or when its polite wait is over."""
    moments = (job.progress_at, job.started_at, job.waits_until)
    return max((each for each in moments if each is not None), default=None)


def _crawl_errors(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.running:
        errors, pages = each.errors_per_minute, each.pages_per_minute
        if errors is None or pages is None or errors < LEAST_ERRORS or errors <= pages:
            continue
        yield _of_job(
            each,
            f"The crawl of job {each.job_id} ({each.source}) meets more errors than pages: "
            f"{errors:.0f} and {pages:.0f} a minute.",
            {"errors_per_minute": errors, "pages_per_minute": pages},
            command=f"healtharchive show-job --id {each.job_id}",
        )


def _job_failed(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.failed:
        done = "could not be indexed" if each.status == "index_failed" else "failed"
        why = f": {each.why}" if each.why else ""
        yield _of_job(
            each,
            f"Job {each.job_id} ({each.source}) {done} and is not tried again by itself{why}.",
            {"status": each.status, "error": each.last_error},
            since=each.since,
        )


def _job_parked_long(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.waiting:
        if each.status != "parked":
            continue
        since = f" and has got nothing done since {each.since:%Y-%m-%d %H:%M}Z" * bool(each.since)
        yield _of_job(
            each,
            f"Job {each.job_id} ({each.source}) is parked{since}: {each.why}.",
            {"why": each.why, "target": each.target},
            since=each.since,
        )


def _index_late(condition: Condition, settings: Settings) -> Iterator[Found]:
    since = condition.unindexed_since
    allowed = timedelta(seconds=settings.index_lag_seconds)
    if since is None or condition.now - since < allowed:
        return
    yield Found(
        "search",
        "index",
        f"Captured pages wait to be searchable since {since:%Y-%m-%d %H:%M}Z.",
        {"since": since.isoformat()},
        since=since,
        needs=_needed_by_late(condition, condition.now - allowed),
    )


def _needed_by_late(condition: Condition, before: datetime) -> tuple[str, ...]:
    """The targets that every job needs which waits to be indexed since before then."""
    late = [
        set(each.targets)
        for each in condition.waiting
        if each.status == "completed" and each.since is not None and each.since <= before
    ]
    return tuple(sorted(set.intersection(*late))) if late else ()


def _comparison_late(condition: Condition, settings: Settings) -> Iterator[Found]:
    since = condition.uncompared_since
    if since is None:
        return
    yield Found(
        "search",
        "comparison",
        f"What changed in pages that were indexed at {since:%Y-%m-%d %H:%M}Z is not computed yet.",
        {"since": since.isoformat()},
        since=since,
    )


def _campaign_not_ready(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.campaigns:
        if each.ready or not each.settled:
            continue
        more = f", and {len(each.reasons) - 1} more" if len(each.reasons) > 1 else ""
        yield Found(
            "campaign",
            each.name,
            f"All jobs of campaign {each.name} have ended and it is not ready for search: "
            f"{each.reasons[0] if each.reasons else 'nobody knows why'}{more}.",
            {"reasons": list(each.reasons)},
            command=f"healtharchive campaign status {each.name}",
        )


NO_WORKER = ("WorkerDown", "WorkerPaused", "RestartOwed")
JOB_RULES = (
    AlertRule(
        name="JobFailed",
        severity="warning",
        lasts_seconds=0.0,
        meaning="A job has spent its retries and is not tried again by itself.",
        find=_job_failed,
        next_step=after_failure,
        command="healtharchive list-jobs --status failed",
    ),
    AlertRule(
        name="JobStalled",
        severity="warning",
        lasts_seconds=300.0,
        meaning="A crawl runs and gets nothing done.",
        find=_job_stalled,
        next_step=after_stall,
        command="healtharchive list-jobs --status running",
        explained_by=(*TARGET_TROUBLE, *NO_WORKER),
    ),
    AlertRule(
        name="JobParkedLong",
        severity="warning",
        lasts_seconds=7200.0,
        meaning="A job waits for the world to mend, and has done so for hours.",
        find=_job_parked_long,
        next_step=after_parking,
        command="healtharchive list-jobs --status parked",
        explained_by=(*TARGET_TROUBLE, "SpoolFull"),
    ),
    AlertRule(
        name="CrawlErrors",
        severity="warning",
        lasts_seconds=900.0,
        meaning="A crawl meets more errors than pages.",
        find=_crawl_errors,
        next_step=after_errors,
        command="healtharchive list-jobs --status running",
        explained_by=TARGET_TROUBLE,
    ),
    AlertRule(
        name="IndexLate",
        severity="warning",
        lasts_seconds=0.0,
        meaning="What was captured is not searchable for hours.",
        find=_index_late,
        next_step=after_late_index,
        command="healtharchive list-jobs --status completed",
        explained_by=(*TARGET_TROUBLE, *NO_WORKER),
    ),
    AlertRule(
        name="ComparisonLate",
        severity="info",
        lasts_seconds=86_400.0,
        meaning="What changed between two editions is not computed a day after indexing.",
        find=_comparison_late,
        next_step=after_late_comparison,
        command="healtharchive changes --compute",
        explained_by=(*NO_WORKER, "StewardDown"),
    ),
    AlertRule(
        name="CampaignNotReady",
        severity="info",
        lasts_seconds=3600.0,
        meaning="All jobs of a campaign have ended, and it is not ready for search.",
        find=_campaign_not_ready,
        next_step=after_campaign,
        command="healtharchive campaign list",
    ),
)
