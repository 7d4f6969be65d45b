"""The events of a span as lines: what repeats is told once, with its count and its last time."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.journal import Event

PAUSE = timedelta(minutes=30)  # what happens again after so long is told again
REPEATS = 3  # twice is no pattern
LONGEST_WHY = 300
NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Line:
    """One event, or events that are the same thing happening again, oldest first."""

    events: tuple[Event, ...]

    @property
    def event(self) -> Event:
        """The first of them."""
        return self.events[0]

    @property
    def times(self) -> int:
        """How often it happened."""
        return len(self.events)

    @property
    def last_at(self) -> datetime:
        """When it happened last."""
        return self.events[-1].at


def lines(events: Iterable[Event]) -> list[Line]:
    """The events in order, repetitions folded into their first line.

    Others may lie between them: many jobs that go round at once are one line each. Nothing is
    lost, the counts add up to the number of events.
    """
    runs: list[list[Event]] = []
    newest: dict[Hashable, list[Event]] = {}
    for event in events:
        run = newest.get(sameness(event))
        if run is None or event.at - run[-1].at > PAUSE:
            run = newest[sameness(event)] = []
            runs.append(run)
        run.append(event)
    found = [line for run in runs for line in _lines_of(run)]
    return sorted(found, key=lambda line: (line.event.at, line.event.id))


def _lines_of(run: Sequence[Event]) -> list[Line]:
    if len(run) < REPEATS:
        return [Line((each,)) for each in run]
    return [Line(tuple(run))]


def sameness(event: Event) -> Hashable:
    """By what two events are the same thing happening again: numbers in words do not matter."""
    why = NUMBERS.sub("", event.why)
    return (event.subject, event.subject_id, event.what, event.from_state, event.to_state, why)


def told(event: Event) -> str:
    """What one event says, as Markdown: `job 7 park: running → parked. stale mount`."""
    text = f"{event.subject} {inline(event.subject_id)} {event.what.replace('_', ' ')}"
    if event.from_state != event.to_state:
        text += f": {event.from_state or 'nothing'} → {event.to_state or 'nothing'}"
    return f"{text}. {inline(event.why)}" if event.why else text


def by_whom(event: Event) -> str:
    """Who did it."""
    return f"{inline(event.actor.unit)}, pid {event.actor.pid} on {inline(event.actor.host)}"


def line_text(line: Line) -> str:
    """One line of the timeline."""
    text = f"{stamp(line.event.at)} — {told(line.event)} (by {by_whom(line.event)})"
    if line.times > 1:
        text += f" — {line.times} times until {stamp(line.last_at)}"
    return text


def stamp(moment: datetime) -> str:
    """A moment in UTC as ISO 8601 writes it, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def inline(text: str) -> str:
    """A text that may quote what a site sent, on one line and without power over Markdown."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    short = flat if len(flat) <= LONGEST_WHY else f"{flat[:LONGEST_WHY]}…"
    return re.sub(r"([\\`*<\[])", r"\\\1", short)
