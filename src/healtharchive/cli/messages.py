"""The words for people at the command line: moments, sizes, events, what comes next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from healtharchive.steward.moments import distance as distance
from healtharchive.steward.moments import moment as moment
from healtharchive.steward.moments import span as span

if TYPE_CHECKING:
    from healtharchive.model.journal import Event  # imports SQLAlchemy, which `--help` never needs


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


def apart(first: datetime, last: datetime) -> timedelta:
    """The time between two moments, never negative."""
    return max(last - first, timedelta(0))
