"""Rules about processes: the steward, workers, the web pages, and what is meant to be down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from healtharchive.model.rounds import Round
from healtharchive.model.services import Hold, HoldKind, Service
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import AlertRule, Found
from healtharchive.steward.condition import Condition, ServiceNow
from healtharchive.steward.next_services import (
    after_failing,
    after_missing,
    after_owed,
    after_pause,
    after_steward,
    covering,
    due_at,
    start_command,
)

DAY = timedelta(days=1)
WAITING = ("queued", "parked", "retryable", "completed")
HELD = ("running", "indexing")
FAILURES = 3
MISSED_ROUNDS = 10
LEAST_SILENCE_SECONDS = 600.0  # rounds that found nothing to do are only noted every minute


def jobs_waiting(condition: Condition) -> int:
    """How many jobs a worker has to do, sooner or later."""
    return sum(condition.jobs.get(each, 0) for each in WAITING)


# -- the steward ---------------------------------------------------------------------------


def _steward_down(condition: Condition, settings: Settings) -> Iterator[Found]:
    steward = condition.services[Service.STEWARD]
    if steward.living or covering(steward, settings, condition.now) or not has_work(condition):
        return
    yield Found(
        "service",
        Service.STEWARD,
        f"No steward is running{_last(steward)}: nothing is repaired, shipped or checked.",
        command=start_command(steward),
        since=steward.seen_at,
    )


def has_work(condition: Condition) -> bool:
    """Whether there is anything that a steward would look after."""
    targets = any(each.name != "spool" for each in condition.targets)
    jobs = jobs_waiting(condition) or any(condition.jobs.get(each, 0) for each in HELD)
    owed = any(
        hold.kind == HoldKind.OWED for each in condition.services.values() for hold in each.holds
    )
    return bool(targets or jobs or owed)


def _reconciler_failing(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.rounds:
        if each.failures >= FAILURES:
            yield Found(
                "reconciler",
                each.name,
                f"The steward's {each.name} failed {each.failures} times in a row: "
                f"{each.last_error}.",
                {"failures": each.failures, "error": each.last_error},
                command=f"healtharchive steward run {each.name} --dry-run",
            )
            continue
        silent = _silent_since(condition, each)
        if silent is not None:
            yield Found(
                "reconciler",
                each.name,
                f"The steward's {each.name} has made no round since {_at(silent)}.",
                {"ended_at": silent.isoformat()},
                command=f"healtharchive steward run {each.name} --dry-run",
                since=silent,
            )


def _silent_since(condition: Condition, last: Round) -> datetime | None:
    """When its last round ended, if a living steward should have made another long ago."""
    stewards = condition.services[Service.STEWARD].living
    if last.every_seconds is None or last.ended_at is None or not stewards:
        return None
    patience = max(last.every_seconds * MISSED_ROUNDS, LEAST_SILENCE_SECONDS)
    began = max(last.ended_at, min(each.started_at for each in stewards))
    return last.ended_at if condition.now - began > timedelta(seconds=patience) else None


# -- workers and pages ---------------------------------------------------------------------


def _worker_down(condition: Condition, settings: Settings) -> Iterator[Found]:
    worker = condition.services[Service.WORKER]
    waiting = condition.for_workers - len(condition.runs)
    if worker.living or waiting <= 0 or covering(worker, settings, condition.now):
        return
    yield Found(
        "service",
        Service.WORKER,
        f"No worker is running{_last(worker)}, and {_jobs(waiting)}.",
        {"jobs": waiting},
        command=start_command(worker),
        since=worker.seen_at,
    )


def _serve_down(condition: Condition, settings: Settings) -> Iterator[Found]:
    serve = condition.services[Service.SERVE]
    seen = serve.seen_at
    if serve.living or seen is None or condition.now - seen > DAY:
        return
    if covering(serve, settings, condition.now) or _ended_at_the_terminal(serve):
        return
    yield Found(
        "service",
        Service.SERVE,
        f"The web pages are not served{_last(serve)}.",
        command=start_command(serve),
        since=seen,
    )


def _ended_at_the_terminal(service: ServiceNow) -> bool:
    """Whether who looked at it ended it: a try-out that is over is no trouble."""
    return not service.silent and service.stopped_by.endswith("from the terminal")


def _worker_paused(condition: Condition, settings: Settings) -> Iterator[Found]:
    waiting = jobs_waiting(condition)
    for hold in condition.services[Service.WORKER].holds:
        over = hold.until is not None and hold.until <= condition.now
        if hold.kind != HoldKind.PAUSE or over or not waiting:
            continue
        until = f"until {_at(hold.until)}" if hold.until else "until somebody resumes it"
        yield Found(
            "service",
            Service.WORKER,
            f"The worker is paused by {hold.who} since {_at(hold.at)}, {until} ({hold.why}), and "
            f"{_jobs(waiting)}.",
            {"hold": hold.id, "who": hold.who, "why": hold.why, "jobs": waiting},
            since=hold.at,
        )


def _restart_owed(condition: Condition, settings: Settings) -> Iterator[Found]:
    for service in condition.services.values():
        for hold in service.holds:
            due = due_at(hold, settings)
            if hold.kind != HoldKind.OWED or due > condition.now or _lives_for(service, hold):
                continue
            yield Found(
                "service",
                service.service,
                f"{hold.who} stopped the {service.service} at {_at(hold.at)} ({hold.why}); it "
                f"should have been started again at {_at(due)} and was not.",
                {"hold": hold.id, "who": hold.who, "why": hold.why},
                command=start_command(service),
                since=due,
            )


def _lives_for(service: ServiceNow, hold: Hold) -> bool:
    """Whether the service runs again where it was stopped."""
    return any(each.host == hold.host or not hold.host for each in service.living)


# -- words ---------------------------------------------------------------------------------


def _jobs(number: int) -> str:
    return f"{number} job{' has' if number == 1 else 's have'} something to do"


def _last(service: ServiceNow) -> str:
    """When one lived last and why it ended, as the middle of a sentence."""
    if service.seen_at is None:
        return ""
    if service.silent and service.seen_at == max(each.beat_at for each in service.silent):
        return f" (the last one fell silent at {_at(service.seen_at)} without a word)"
    stopped = service.last_stopped
    why = service.stopped_by or (stopped.stop_reason if stopped is not None else "")
    return f" since {_at(service.seen_at)}" + (f" ({why})" if why else "")


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


SERVICE_RULES = (
    AlertRule(
        name="StewardDown",
        severity="critical",
        lasts_seconds=120.0,
        meaning="No steward runs: nothing is repaired, shipped, checked or reported.",
        find=_steward_down,
        next_step=after_steward,
        command="healtharchive why steward",
    ),
    AlertRule(
        name="RestartOwed",
        severity="critical",
        lasts_seconds=120.0,
        meaning="Automation stopped a service, and nobody has started it again in time.",
        find=_restart_owed,
        next_step=after_owed,
        command="healtharchive why worker",
        explained_by=("StewardDown",),
    ),
    AlertRule(
        name="WorkerDown",
        severity="critical",
        lasts_seconds=120.0,
        meaning="Jobs could go on and no worker runs, though nobody declared a pause.",
        find=_worker_down,
        next_step=after_missing,
        command="healtharchive why worker",
        explained_by=("RestartOwed",),
    ),
    AlertRule(
        name="ServeDown",
        severity="critical",
        lasts_seconds=120.0,
        meaning="The web pages were served within the last day and are not any more.",
        find=_serve_down,
        next_step=after_missing,
        command="healtharchive why serve",
        explained_by=("RestartOwed",),
    ),
    AlertRule(
        name="WorkerPaused",
        severity="warning",
        lasts_seconds=86_400.0,
        meaning="An operator's pause of the worker lasts while jobs wait.",
        find=_worker_paused,
        next_step=after_pause,
        command="healtharchive worker resume",
    ),
    AlertRule(
        name="ReconcilerFailing",
        severity="warning",
        lasts_seconds=600.0,
        meaning="A part of the steward fails again and again, or has stopped making rounds.",
        find=_reconciler_failing,
        next_step=after_failing,
        command="healtharchive why steward",
        explained_by=("StewardDown",),
    ),
)
