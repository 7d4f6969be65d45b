"""What follows from how an attempt ended. Pure: `ending_of` decides, `model.leases` writes it.

| the attempt                        | crawl       | index       | retry budget |
| ---------------------------------- | ----------- | ----------- | ------------ |
| complete, or a limit was reached   | COMPLETE    | INDEX_DONE  | kept         |
| infra: storage, disk, database …   | PARK        | PARK        | kept         |
| failed, but names another engine   | RELEASE     | –           | kept         |
| failed, or ended without a word    | RETRY_LATER | RETRY_LATER | spent        |
| the same, budget used up           | FAIL        | FAIL        | used up      |
| stopped because it was told to     | RELEASE     | RELEASE     | kept         |
| killed, after some progress        | RELEASE     | RELEASE     | refilled     |
| killed before any progress         | as failed   | as failed   | spent        |
| fenced                             | nothing     | nothing     | kept         |
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

from healtharchive.model.attempts import Ending, Work
from healtharchive.model.blame import Blame, Fault
from healtharchive.model.jobs import Job
from healtharchive.model.orders import Report
from healtharchive.model.source import EngineName
from healtharchive.model.states import JobEvent
from healtharchive.work.parking import BackOff, Roll

REASON_CHARS = 2000
LONGEST_RETRY_SECONDS = 3600.0


class Exit(StrEnum):
    """How an attempt ended, in one word: the column `attempts.exit`."""

    COMPLETE = "complete"
    LIMIT = "limit"
    STOPPED = "stopped"
    INFRA = "infra"
    FAILED = "failed"
    FENCED = "fenced"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, before anybody decides what follows."""

    exit: Exit
    reason: str = ""
    blame: str = ""
    errno: int | None = None
    progressed: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits and budgets of jobs. `retry_seconds` doubles with each retry."""

    back_off: BackOff
    retry_seconds: float
    index_retry_budget: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What a decision hangs on beside the outcome: the time, how long it ran, earlier starts."""

    now: datetime
    ran_seconds: float
    starts: tuple[datetime, ...]


def outcome_of_report(end: Report, *, progressed: bool) -> Outcome:
    """A child's last words as an outcome."""
    exit = Exit(end.outcome) if end.outcome else Exit.FAILED
    reason = end.reason or ("" if exit is not Exit.FAILED else "the child gave no reason")
    blame = end.blame or (Blame.JOB if exit is Exit.FAILED else "")
    return Outcome(exit, reason, blame, end.errno, progressed, dict(end.evidence))


def outcome_of_death(status: int, *, asked_to_stop: str, progressed: bool) -> Outcome:
    """A child that ended without last words; `status` is negative for a signal.

    `asked_to_stop` is why we had told it to stop, empty if we had not.
    """
    if asked_to_stop:
        return Outcome(Exit.STOPPED, f"{asked_to_stop}; it had to be ended", progressed=progressed)
    if status < 0:
        name = _signal_name(-status)
        evidence = {"signal": name, "progressed": progressed}
        return Outcome(
            Exit.KILLED, f"its process was ended by {name}", Blame.HOST, None, progressed, evidence
        )
    reason = f"its process ended with status {status} and no report"
    return Outcome(Exit.FAILED, reason, Blame.BUG, None, progressed, {"status": status})


def outcome_of_fault(fault: Fault) -> Outcome:
    """Trouble of the worker's own side, before or beside the child."""
    exit = Exit.INFRA if fault.parks else Exit.FAILED
    return Outcome(exit, fault.reason, fault.blame, fault.errno)


def ending_of(
    job: Job, work: Work, outcome: Outcome, moment: Moment, policy: RetryPolicy, roll: Roll
) -> Ending | None:
    """What follows for the job; None when nothing may be written, the job being another's."""
    match outcome.exit:
        case Exit.FENCED:
            return None
        case Exit.COMPLETE | Exit.LIMIT:
            return _completed(work, outcome, moment)
        case Exit.STOPPED:
            return _ending(JobEvent.RELEASE, outcome, {})
        case Exit.INFRA:
            return _parked(job, outcome, moment, policy, roll)
        case Exit.KILLED if outcome.progressed:
            # A crawl that gets on between two kills is not failing: its budget is whole again.
            return _ending(JobEvent.RELEASE, outcome, {_counter(work): 0})
        case Exit.FAILED if _next_engine(job, outcome):
            return _handed_over(job, outcome)
        case _:
            return _failed(job, work, outcome, moment, policy, roll)


def _completed(work: Work, outcome: Outcome, moment: Moment) -> Ending:
    if work is Work.INDEX:
        columns: dict[str, Any] = {"indexed_at": moment.now, "park_streak": 0, "last_error": None}
        return _ending(JobEvent.INDEX_DONE, outcome, columns)
    columns = {
        "outcome": outcome.exit.value,  # which limit it was is the attempt's reason
        "finished_at": moment.now,
        "park_streak": 0,
        "last_error": None,
    }
    return _ending(JobEvent.COMPLETE, outcome, columns)


def _parked(job: Job, outcome: Outcome, moment: Moment, policy: RetryPolicy, roll: Roll) -> Ending:
    streak = policy.back_off.streak_after(job.park_streak, moment.ran_seconds)
    not_before = policy.back_off.not_before(streak, moment.starts, moment.now, roll)
    columns = {
        "not_before": not_before,
        "parked_reason": outcome.reason,
        "park_count": job.park_count + 1,
        "park_streak": streak,
        "last_error": outcome.reason,
    }
    return _ending(JobEvent.PARK, outcome, columns, not_before)


def _next_engine(job: Job, outcome: Outcome) -> str:
    """The engine that is to go on with the job's frontier; empty where none is named, or the same.

    An engine names one that never names another: it cannot go to and fro.
    """
    named = str(outcome.evidence.get("next_engine") or "")
    return named if named in get_args(EngineName) and named != job.config.get("engine") else ""


def _handed_over(job: Job, outcome: Outcome) -> Ending:
    engine = _next_engine(job, outcome)
    config = {**job.config, "engine": engine}
    columns = {"config": config, "engine": engine, "last_error": outcome.reason}
    return _ending(JobEvent.RELEASE, outcome, columns)


def _failed(
    job: Job, work: Work, outcome: Outcome, moment: Moment, policy: RetryPolicy, roll: Roll
) -> Ending:
    counter = _counter(work)
    spent: int = getattr(job, counter)
    budget = job.retry_budget if work is Work.CRAWL else policy.index_retry_budget
    columns: dict[str, Any] = {"last_error": outcome.reason}
    if spent >= budget:
        columns["finished_at"] = moment.now
        return _ending(JobEvent.FAIL, outcome, columns)
    delays = BackOff(
        policy.retry_seconds,
        max(policy.retry_seconds, LONGEST_RETRY_SECONDS),
        policy.back_off.jitter,
        policy.back_off.forget_seconds,
        policy.back_off.starts_per_hour,
    )
    not_before = delays.not_before(spent + 1, moment.starts, moment.now, roll)
    columns |= {counter: spent + 1, "not_before": not_before}
    return _ending(JobEvent.RETRY_LATER, outcome, columns, not_before)


def _counter(work: Work) -> str:
    return "retry_count" if work is Work.CRAWL else "index_retry_count"


def _ending(
    event: JobEvent,
    outcome: Outcome,
    columns: Mapping[str, Any],
    not_before: datetime | None = None,
) -> Ending:
    evidence = dict(outcome.evidence)
    if not_before is not None:
        evidence["not_before"] = not_before.isoformat(timespec="seconds")
    return Ending(
        event,
        exit=outcome.exit.value,
        blame=str(outcome.blame),
        reason=outcome.reason[:REASON_CHARS],
        errno=outcome.errno,
        columns=columns,
        evidence=evidence,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
