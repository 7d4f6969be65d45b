"""The words for people at the command line: moments, sizes, events, what comes next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from healtharchive.model.states import JobStatus

if TYPE_CHECKING:
    from healtharchive.model.journal import Event  # imports SQLAlchemy, which `--help` never needs

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """A length of time in at most two units: `40 min`, `6 h 14 min`."""
    left = round(abs(seconds))
    parts = []
    for length, unit in _SPANS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    if not parts or (len(parts) < 2 and left):
        parts.append(f"{left} s")
    return " ".join(parts[:2])


def moment(at: datetime, now: datetime) -> str:
    """A moment in UTC and beside it how far from now: `2026-01-24 06:28:01Z (6 h 14 min ago)`."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z ({distance(at, now)})"


def distance(at: datetime, now: datetime) -> str:
    """How far a moment is from now: `in 3 min`, `40 s ago`, `now`."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(seconds)} ago"


def size(count: float) -> str:
    """A number of bytes in the unit that fits: `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def event_text(event: Event) -> str:
    """What one event says: `job 7 parked: running → parked. stale mount (errno 107)`."""
    text = f"{event.subject} {event.subject_id} {event.what.replace('_', ' ')}"
    if event.from_state != event.to_state:
        text += f": {event.from_state or 'nothing'} → {event.to_state or 'nothing'}"
    if event.why:
        text += f". {event.why}"
    return text


def actor_text(event: Event) -> str:
    """Who did it: `healtharchive-worker.service, pid 812 on vps1`."""
    return f"{event.actor.unit}, pid {event.actor.pid} on {event.actor.host}"


def next_step(
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


def apart(first: datetime, last: datetime) -> timedelta:
    """The time between two moments, never negative."""
    return max(last - first, timedelta(0))
