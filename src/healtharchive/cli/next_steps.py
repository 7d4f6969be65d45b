"""What happens next by itself, and when, to a target or a service; or what a person must do. Pure.

What happens to a job is in `messages.next_step`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from healtharchive.cli import messages
from healtharchive.model.services import Hold, HoldKind, Process, Service
from healtharchive.model.states import TargetState
from healtharchive.settings import Settings
from healtharchive.steward.condition import ServiceNow, TargetNow
from healtharchive.steward.rules_services import covering, due_at, start_command


def after_target(
    target: TargetNow,
    *,
    not_before: datetime | None,
    refusal: str,
    steward_lives: bool,
    eager_seconds: float,
    now: datetime,
) -> str:
    """The next look or repair of a target. `not_before` is when the wait between repairs ends."""
    if not steward_lives:
        return "nobody looks at it: no steward is running; start `healtharchive steward`."
    looked = f"the steward looks at it every {messages.span(eager_seconds)}"
    if target.state == TargetState.CLOSED:
        return f"nothing is wrong with it; {looked}."
    if target.state == TargetState.HALF_OPEN:
        return (
            f"it looks well: one of {target.jobs_waiting} waiting jobs tries it, and the others "
            "follow when that one captures."
        )
    if target.held:
        return (
            f"nothing by itself, {target.held}. A person must decide; "
            f"`healtharchive steward run storage --dry-run --target {target.name}` shows what "
            "could be done."
        )
    if not_before is not None and not_before > now:
        return f"at {messages.moment(not_before, now)} it is repaired again if it still needs it."
    if refusal:
        return f"{looked}, and repairs it as soon as this is over: {refusal}."
    return f"{looked} and more often while it is down; when it is well, a job tries it first."


def after_service(
    service: ServiceNow,
    process: Process,
    *,
    jobs_waiting: int,
    steward_lives: bool,
    refusal: str,
    settings: Settings,
    now: datetime,
) -> tuple[str, ...]:
    """What becomes of a service: it runs, or who stopped it, what covers that, who starts it."""
    if any(each.holder == process.holder for each in service.living):
        return (f"it runs, since {messages.moment(process.started_at, now)}.",)
    if service.living:
        other = service.living[-1]
        return (_ended(service, process, now), f"another one runs: {other.holder}.")
    hold = covering(service, settings, now)
    if hold is not None:
        return (_ended(service, process, now), _held(hold, service, settings, now))
    return (
        _ended(service, process, now),
        _started_again(service, process, jobs_waiting, steward_lives, refusal, settings, now),
    )


def _ended(service: ServiceNow, process: Process, now: datetime) -> str:
    """When it ended and why."""
    if process.stopped_at is None:
        beat = messages.moment(process.beat_at, now)
        return f"it fell silent at {beat}, without a word: it was killed, or its machine is gone."
    last = service.last_stopped
    by = service.stopped_by if last is not None and last.holder == process.holder else ""
    why = by or process.stop_reason or "it gave no reason"
    return f"it ended at {messages.moment(process.stopped_at, now)}: {why}."


def _held(hold: Hold, service: ServiceNow, settings: Settings, now: datetime) -> str:
    if hold.kind == HoldKind.OWED:
        due = messages.moment(due_at(hold, settings), now)
        return f"{hold.who} stopped it ({hold.why}); the steward starts it again at {due}."
    until = f"until {messages.moment(hold.until, now)}" if hold.until else "until it is resumed"
    return (
        f"{hold.who} paused it ({hold.why}): it stays down {until}; "
        f"`healtharchive {service.service} resume` ends that."
    )


def _started_again(
    service: ServiceNow,
    process: Process,
    jobs_waiting: int,
    steward_lives: bool,
    refusal: str,
    settings: Settings,
    now: datetime,
) -> str:
    start = start_command(service)
    if service.service == Service.STEWARD:
        return f"nobody declared that it should be down; start it: `{start}`."
    if not steward_lives:
        return f"nobody starts it again: no steward is running; start it: `{start}`."
    owed = [each for each in service.holds if each.kind == HoldKind.OWED]
    if service.service == Service.WORKER and not jobs_waiting and not owed:
        return "nothing: no job waits; the steward starts it again when one does."
    if refusal:
        return f"nobody declared a pause, but the steward does not start it: {refusal}."
    down_since = process.stopped_at or process.beat_at
    due = due_at(owed[0], settings) if owed else down_since + _repaid(settings)
    when = f"at {messages.moment(due, now)}" if due > now else "now"
    return f"nobody declared a pause: the steward starts it again {when}."


def _repaid(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.repay_seconds)
