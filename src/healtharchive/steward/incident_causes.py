"""What led to what in an incident, as far as events name their causes: for the document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from healtharchive.model.journal import Event
from healtharchive.steward.incident_course import Course
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_timeline import Line, inline, lines, stamp, told

DEEPEST = 6
UNTIMED = "(before the span)"
Effects = Mapping[int | None, Sequence[Event]]


def causes(records: Records, found: Course) -> str:
    """The chains of causes, the stop signals with their senders, and the evidence kept."""
    parts = ["Immediate trigger:", _trigger(found)]
    parts += ["Causes and what they led to, as the events name them:", _chains(records)]
    parts += ["Stop signals and their senders:", _signals(records)]
    parts += ["Evidence that was kept:", _bundles(records)]
    return "\n\n".join(parts)


def _trigger(found: Course) -> str:
    if not found.troubles:
        return "- none found in the journal"
    first = found.troubles[0]
    return f"- {stamp(first.at)} — {told(first)}"


def _chains(records: Records) -> str:
    effects: dict[int | None, list[Event]] = defaultdict(list)
    every = [*records.causes, *records.events]
    for event in every:
        effects[event.caused_by].append(event)
    known = {each.id for each in every}
    roots = [each for each in every if each.caused_by not in known and effects.get(each.id)]
    earlier = {each.id for each in records.causes}
    said = [line for root in lines(roots) for line in _branch(root, effects, earlier, 0)]
    return "\n".join(said) or "- none: no event of the span names a cause"


def _branch(root: Line, effects: Effects, earlier: set[int], depth: int) -> list[str]:
    event = root.event
    when = f"{stamp(event.at)} {UNTIMED}" if event.id in earlier else stamp(event.at)
    often = f" — {root.times} times until {stamp(root.last_at)}" if root.times > 1 else ""
    said = [f"{'  ' * depth}- {when} — {told(event)}{often}"]
    if depth < DEEPEST:
        led_to = [each for cause in root.events for each in effects.get(cause.id, ())]
        for each in lines(sorted(led_to, key=lambda each: (each.at, each.id))):
            said += _branch(each, effects, earlier, depth + 1)
    return said


def _signals(records: Records) -> str:
    said = [
        f"- {stamp(each.at)} — {each.subject} {inline(each.subject_id)}: {inline(each.why)}"
        for each in records.events
        if each.what == "stop_signal"
    ]
    return "\n".join(said) or "- none"


def _bundles(records: Records) -> str:
    said = [
        f"- {stamp(each.at)} — {Path(records.evidence_dir) / str(each.evidence['bundle'])} "
        f"({each.subject} {inline(each.subject_id)})"
        for each in records.events
        if each.evidence.get("bundle")
    ]
    return "\n".join(said) or "- none"
