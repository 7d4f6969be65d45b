"""What becomes of a service: by itself and when, and what only a person can do. Pure.

`why`, `status`, the messages and the operations pages say the same of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from healtharchive.model.services import Hold, HoldKind, Process, Service
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Found, NextStep
from healtharchive.steward.condition import Condition, ServiceNow
from healtharchive.steward.moments import moment, span
from healtharchive.steward.next_rounds import steward_lives
from healtharchive.work.census import UNITS

MISSED = timedelta(days=1)  # pages that are down for longer are not started any more
SYSTEMD_SECONDS = 5.0  # after which a unit that failed is started again


def covering(service: ServiceNow, settings: Settings, now: datetime) -> Hold | None:
    """Why the service is rightly down; None when nobody said so, or its restart is overdue."""
    for each in service.holds:
        if each.kind == HoldKind.PAUSE and (each.until is None or each.until > now):
            return each
        if each.kind == HoldKind.OWED and due_at(each, settings) > now:
            return each
    return None


def due_at(hold: Hold, settings: Settings) -> datetime:
    """When an owed restart is to be repaid."""
    return (hold.until or hold.at) + timedelta(seconds=settings.repay_seconds)


def start_command(service: ServiceNow) -> str:
    """The command that starts it: its unit's, or its own where it had no unit."""
    newest = service.newest
    unit = newest.unit if newest is not None else ""
    if unit.startswith(f"healtharchive-{service.service}") and unit.endswith(UNITS[0]):
        return f"systemctl start {unit}"
    return f"healtharchive {service.service}"


# -- for `why` -----------------------------------------------------------------------------


def after_service(
    service: ServiceNow,
    process: Process,
    *,
    jobs_waiting: int,
    stewards: Sequence[Process],
    settings: Settings,
    now: datetime,
) -> tuple[str, ...]:
    """What becomes of a service: it runs, or who stopped it, what covers that, who starts it."""
    if any(each.holder == process.holder for each in service.living):
        return (f"it runs, since {moment(process.started_at, now)}.",)
    if service.living:
        other = service.living[-1]
        return (_ended(service, process, now), f"another one runs: {other.holder}.")
    hold = covering(service, settings, now)
    if hold is not None:
        return (_ended(service, process, now), _held(hold, service, settings, now))
    return (
        _ended(service, process, now),
        _started_again(service, process, jobs_waiting, stewards, settings, now),
    )


def before_first(service: ServiceNow, settings: Settings, now: datetime) -> str:
    """What becomes of a service that never ran."""
    hold = covering(service, settings, now)
    if hold is not None:
        return f"it never ran; {_held(hold, service, settings, now)}"
    return _first_start(service)


def _first_start(service: ServiceNow) -> str:
    start = start_command(service)
    return f"nothing: the first start of a {service.service} is a person's; `{start}`."


def _ended(service: ServiceNow, process: Process, now: datetime) -> str:
    """When it ended and why."""
    if process.stopped_at is None:
        beat = moment(process.beat_at, now)
        return f"it fell silent at {beat}, without a word: it was killed, or its machine is gone."
    last = service.last_stopped
    by = service.stopped_by if last is not None and last.holder == process.holder else ""
    why = by or process.stop_reason or "it gave no reason"
    return f"it ended at {moment(process.stopped_at, now)}: {why}."


def _held(hold: Hold, service: ServiceNow, settings: Settings, now: datetime) -> str:
    if hold.kind == HoldKind.OWED:
        due = moment(due_at(hold, settings), now)
        return f"{hold.who} stopped it ({hold.why}); the steward starts it again at {due}."
    until = f"until {moment(hold.until, now)}" if hold.until else "until it is resumed"
    return (
        f"{hold.who} paused it ({hold.why}): it stays down {until}; "
        f"`healtharchive {service.service} resume` ends that."
    )


def _started_again(
    service: ServiceNow,
    process: Process | None,
    jobs_waiting: int,
    stewards: Sequence[Process],
    settings: Settings,
    now: datetime,
) -> str:
    start = start_command(service)
    if service.service == Service.STEWARD:
        return f"nobody declared that it should be down; start it: `{start}`."
    if not stewards:
        return f"nobody starts it again: no steward is running; start it: `{start}`."
    if process is None:
        return _first_start(service)
    if all(each.host != process.host for each in stewards):
        where = f"on {process.host}, where it ran last"
        return f"nobody starts it again {where}: no steward is running there; `{start}`."
    owed = [each for each in service.holds if each.kind == HoldKind.OWED]
    if service.service == Service.WORKER and not jobs_waiting and not owed:
        return "nothing: no job waits; the steward starts it again when one does."
    if service.refused:
        return f"nobody declared a pause, but the steward does not start it: {service.refused}."
    down_since = process.stopped_at or process.beat_at
    if service.service == Service.SERVE and not owed:
        if not process.unit.endswith(UNITS[0]):
            return f"nothing: the steward starts pages of systemd's only; start it: `{start}`."
        if now - down_since > MISSED:
            return f"nothing: pages that are down for a day are not missed; start it: `{start}`."
    due = due_at(owed[0], settings) if owed else down_since + _repaid(settings)
    when = f"at {moment(due, now)}" if due > now else "now"
    return f"nobody declared a pause: the steward starts it again {when}."


def _repaid(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.repay_seconds)


# -- for the rules -------------------------------------------------------------------------


def after_missing(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a worker or the pages, which nobody meant to be down."""
    service = condition.services[found.subject_id]
    by_itself = _started_again(
        service,
        service.newest,
        1,
        condition.services[Service.STEWARD].living,
        settings,
        condition.now,
    )
    return NextStep(
        by_itself,
        "if it stays down, see whether its unit is disabled, or why it ends (`journalctl -u "
        f"healtharchive-{found.subject_id} -n 50`), and start it; if it is meant to be down, "
        f'declare that: `healtharchive {found.subject_id} pause --reason "why"`.',
    )


def after_steward(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a steward that is down: only systemd would start it."""
    steward = condition.services[Service.STEWARD]
    by_itself = "nothing: nobody else starts a steward."
    if start_command(steward).startswith("systemctl") and not _was_stopped(steward):
        by_itself = f"systemd starts it again {span(SYSTEMD_SECONDS)} after it died, for ever."
    return NextStep(
        by_itself, "start it; if it ends again at once, its last line says why and what mends it."
    )


def _was_stopped(service: ServiceNow) -> bool:
    """Whether it ended in order, which systemd lets be."""
    return not service.silent and service.last_stopped is not None


def after_owed(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a restart that should have been repaid by now."""
    service = condition.services[found.subject_id]
    by_itself = "the steward tries again every 20 s, at most 12 times an hour."
    if not steward_lives(condition):
        by_itself = "nothing while no steward is running; it repays this first."
    elif service.refused:
        by_itself = f"nothing: the steward does not start it, {service.refused}."
    return NextStep(by_itself, f"start it where the steward cannot: `{start_command(service)}`.")


def after_pause(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a pause that an operator declared."""
    number = found.evidence.get("hold")
    service = condition.services[found.subject_id]
    until = next((each.until for each in service.holds if each.id == number), None)
    by_itself = "nothing: a declared pause is respected by everything automatic."
    if until is not None:
        then = "the steward starts the worker"
        if service.living:
            then = "jobs are claimed again"
        elif not steward_lives(condition):
            then = "nobody starts the worker: no steward is running"
        by_itself = f"the pause ends at {moment(until, condition.now)}, and {then}."
    return NextStep(by_itself, "end the pause, or say until when it is still needed.")


def after_failing(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a reconciler that fails or hangs."""
    if found.evidence.get("failures") is None:
        return NextStep(
            "nothing: a round that hangs is not ended by anybody.",
            "restart the steward (`systemctl restart healtharchive-steward`): that loses nothing.",
        )
    return NextStep(
        "it is tried again at its pace, for ever.",
        "mend what the error names: a directory, a program, a file; a bug: report it.",
    )
