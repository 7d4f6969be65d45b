"""What becomes of a job, the index or a campaign: by itself and when, or by a person. Pure.

`why`, `status`, the messages and the operations pages say the same of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from healtharchive.model.services import Service
from healtharchive.model.states import JobStatus
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Found, NextStep
from healtharchive.steward.condition import Condition, RunningNow, WaitingNow
from healtharchive.steward.moments import moment, span
from healtharchive.steward.next_rounds import NO_STEWARD, in_round, steward_lives

COMPARE_SECONDS = 120.0  # between rounds of the reconciler that catches up with comparisons
COMPARED = "three jobs a round"


def after_job(
    status: JobStatus, job_id: int, not_before: datetime | None, lease_ends: datetime | None,
    now: datetime, *, worker_alive: bool,
) -> str:  # fmt: skip
    """What happens to a job by itself from here, and when; or what a person must do."""
    claimed = "the first worker with room claims it"
    if not worker_alive:
        claimed = "a worker claims it, but none is running: start `healtharchive worker`"
    when = moment(not_before, now) if not_before and not_before > now else ""
    lease = moment(lease_ends, now) if lease_ends else "an unknown time"
    said: dict[JobStatus, Callable[[], str]] = {
        JobStatus.QUEUED: lambda: f"{f'not before {when}, ' if when else ''}{claimed}",
        JobStatus.PARKED: lambda: f"{f'at {when} ' if when else ''}{claimed} and tries again",
        JobStatus.RETRYABLE: lambda: f"{f'at {when} ' if when else ''}{claimed} and tries again",
        JobStatus.RUNNING: lambda: (
            f"it goes on; should its worker fall silent, another takes over after {lease}"
        ),
        JobStatus.INDEXING: lambda: (
            f"it goes on; should its worker fall silent, another takes over after {lease}"
        ),
        JobStatus.COMPLETED: lambda: f"{f'at {when} ' if when else ''}{claimed} to index it",
        JobStatus.INDEXED: lambda: "nothing; it is captured and searchable",
        JobStatus.PAUSED: lambda: (
            f"nothing by itself; `healtharchive resume --id {job_id}` continues it"
        ),
        JobStatus.FAILED: lambda: (
            f"nothing by itself; `healtharchive retry-job --id {job_id}` tries again"
        ),
        JobStatus.INDEX_FAILED: lambda: (
            f"nothing by itself; `healtharchive retry-job --id {job_id}` indexes it again"
        ),
        JobStatus.CANCELLED: lambda: (
            f"nothing by itself; `healtharchive retry-job --id {job_id}` takes it up again"
        ),
    }
    return said[status]()


# -- for the rules -------------------------------------------------------------------------


def after_failure(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a job that is given up."""
    job = _job(found, (*condition.failed, *condition.waiting))
    by_itself = _after(job, condition)
    if job.status == JobStatus.INDEX_FAILED:
        by_itself += (
            "; only where this machine or a target was the cause, the steward indexes it once "
            "more, an hour after it failed"
        )
    return NextStep(
        f"{by_itself}.",
        f"mend what it failed of, then `healtharchive retry-job --id {job.job_id}`.",
    )


def after_parking(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a job that waits for the world."""
    job = _job(found, condition.waiting)
    return NextStep(
        f"{_after(job, condition)}; at most {settings.starts_per_hour} times an hour, for ever, "
        "and it spends no retry.",
        "mend what the reason names; a site that is away: nothing, or pause the job until it is "
        "back.",
    )


def _after(job: WaitingNow, condition: Condition) -> str:
    return after_job(
        JobStatus(job.status),
        job.job_id,
        job.next_at,
        None,
        condition.now,
        worker_alive=bool(condition.services[Service.WORKER].living),
    )


def after_stall(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a crawl that gets nothing done: it is started anew while its budget lasts."""
    job = _running(found, condition)
    left = max(0, job.restarts_per_day - job.restarts_in_day)
    if not steward_lives(condition):
        by_itself = f"{NO_STEWARD}; then it starts the crawl anew."
    elif left:
        by_itself = (
            "the steward has it started anew within a minute, with its frontier and all its "
            f"retries; {left} more times in this day at most."
        )
    else:
        by_itself = (
            f"nothing: it was started anew {job.restarts_in_day} times in a day, which is all it "
            "may be."
        )
    return NextStep(
        by_itself,
        "is the site down or does it lock us out? Then pause the job. Does one page hang the "
        "engine? Exclude it in the source file.",
    )


def after_errors(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a crawl that meets more errors than pages."""
    job = _running(found, condition)
    left = f"; what is queued takes {span(job.eta_seconds)} more" if job.eta_seconds else ""
    return NextStep(
        "it goes on politely: a host that asks for a pause gets it, and failed URLs are tried "
        f"again later{left}.",
        "write to the site's operators or raise `delay_seconds` of the source (429, 403), name "
        "another engine where only this one fails, or pause the job.",
    )


def after_late_index(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of captures that are not searchable."""
    late = [each for each in condition.waiting if each.status == JobStatus.COMPLETED]
    indexing = [each for each in condition.running if each.work != "crawl"]
    if indexing:
        first = indexing[0]
        by_itself = (
            f"job {first.job_id} ({first.source}) is being indexed; a worker indexes one job at a "
            f"time, and {len(late)} more wait."
        )
    elif late:
        by_itself = f"job {late[0].job_id} ({late[0].source}): {_after(late[0], condition)}."
    else:
        by_itself = "the first worker with room indexes it."
    return NextStep(
        by_itself,
        "if its index attempt hangs, restart that worker: the index goes on after the last "
        "segment. If it is only slow: a faster disk, more memory, or patience.",
    )


def after_late_comparison(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of editions that nobody has compared."""
    return NextStep(
        in_round(condition, "lagging", COMPARE_SECONDS, f"compares what was missed, {COMPARED}"),
        "`healtharchive changes --compute` does it now and says what is in the way; a bug: report "
        "it.",
    )


def after_campaign(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a campaign whose jobs have ended without its being ready."""
    return NextStep(
        "nothing more: its jobs have spent their retries, or were judged incomplete.",
        "try each job that is named again, or accept it as it is: "
        f"`healtharchive campaign status {found.subject_id}` has the reasons.",
    )


def _job(found: Found, jobs: tuple[WaitingNow, ...]) -> WaitingNow:
    return next(each for each in jobs if str(each.job_id) == found.subject_id)


def _running(found: Found, condition: Condition) -> RunningNow:
    return next(each for each in condition.running if str(each.job_id) == found.subject_id)
