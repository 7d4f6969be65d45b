"""What went wrong in a span, when it began, when it was over, and how grave it was: by rules."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.journal import Event
from healtharchive.model.losses import FOUND_AGAIN
from healtharchive.model.services import Service
from healtharchive.model.told import LOST
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_spans import Span, lifeless, spelled, total, workless

SERVICES = tuple(Service)
# What opens a trouble of its subject, and what ends it.
OPENS: Mapping[str, tuple[str, ...]] = {
    "target": ("trip",),
    "job": ("park", "retry_later", "fail", "rescue"),
    "segment": ("suspect", LOST),
    "alert": ("alert_fires",),
    **dict.fromkeys(SERVICES, ("stopped",)),
}
CLOSES: Mapping[str, tuple[str, ...]] = {
    "target": ("trial_ok",),
    "job": ("claim", "claim_index", "retry", "resume", "cancel", "pause"),
    "segment": ("salvage", "restored", *FOUND_AGAIN),
    "alert": ("alert_over",),
    **dict.fromkeys(SERVICES, ("started",)),
}
# Trouble that has no end of its own.
ALSO = ("trial_failed", "stop_signal", "held", "restart_owed")
ALSO_ENDINGS = ("_failed", "_refused", "_differs", "_gone")
AREAS = (("storage", "target"), ("integrity", "segment"))
LONG, SOME = timedelta(hours=1), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Course:
    """From the first trouble to the end of the last; `open` is what was not over by the end."""

    start: datetime | None
    end: datetime | None
    open: tuple[str, ...]
    troubles: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Severity:
    """How grave it was, and the rule that says so."""

    name: str
    rule: str


def is_trouble(event: Event) -> bool:
    """Whether something went wrong, by the word of the event."""
    if event.what in OPENS.get(event.subject, ()) or event.what in ALSO:
        return True
    return event.what.endswith(ALSO_ENDINGS)


def course(records: Records) -> Course:
    """The incident's beginning and end, by what opened and what closed."""
    troubles, end = [], None
    still: dict[Hashable, str] = {}
    down = {str(service): lifeless(records, service) for service in SERVICES}
    for event in records.events:
        key = _key(event)
        if is_trouble(event):
            troubles.append(event)
        if _opens(event, down):
            still[key] = f"{event.subject} {event.subject_id}"
        elif event.what in CLOSES.get(event.subject, ()) and key in still:
            del still[key]
            end = event.at
    start = troubles[0].at if troubles else None
    if still or start is None:
        return Course(start, None, tuple(still.values()), tuple(troubles))
    last = troubles[-1].at
    return Course(start, max(end or last, last), (), tuple(troubles))


def _opens(event: Event, down: Mapping[str, list[Span]]) -> bool:
    if event.subject in down:  # while another process of the service lives, none is missed
        missed = any(begin <= event.at <= end for begin, end in down[event.subject])
        return missed and event.what == "stopped"
    return event.what in OPENS.get(event.subject, ())


def _key(event: Event) -> Hashable:
    # Another worker may take the place of the one that ended.
    return event.subject if event.subject in SERVICES else (event.subject, event.subject_id)


def severity(records: Records) -> Severity:
    """The gravest rule that holds."""
    idle_work, no_pages = total(workless(records)), _without_pages(records)
    lost = [each for each in records.events if _is_loss(each)]
    critical = [each for each in records.alerts if each.severity == "critical"]
    down = _longest_trip(records)
    if lost:
        return Severity("sev1", f"{len(lost)} segments had no good copy left")
    if idle_work >= LONG:
        return Severity("sev1", f"jobs waited {spelled(idle_work)} without any worker, 1 h or more")
    if no_pages >= LONG:
        return Severity("sev1", f"the web pages were down for {spelled(no_pages)}, 1 h or more")
    if idle_work >= SOME:
        rule = f"jobs waited {spelled(idle_work)} without any worker, 10 min or more"
        return Severity("sev2", rule)
    if no_pages >= SOME:
        return Severity("sev2", f"the web pages were down for {spelled(no_pages)}, 10 min or more")
    if down >= LONG:
        return Severity("sev2", f"a target was out of use for {spelled(down)}, 1 h or more")
    if critical:
        names = ", ".join(dict.fromkeys(each.name for each in critical))
        return Severity("sev2", f"a critical alert fired: {names}")
    if any(is_trouble(each) for each in records.events):
        return Severity("sev3", "something failed or waited, and none of the graver rules holds")
    return Severity("sev4", "nothing in the journal failed")


def _is_loss(event: Event) -> bool:
    return event.subject == "segment" and event.what == LOST


def _without_pages(records: Records) -> timedelta:
    """How long no serve lived; nothing where none ever did in the span."""
    if not any(each.service == Service.SERVE for each in records.lives):
        return timedelta(0)
    return total(lifeless(records, Service.SERVE))


def _longest_trip(records: Records) -> timedelta:
    """The longest time in which one target was out of use."""
    since = {
        name: records.since for name, state in records.target_states.items() if state != "closed"
    }
    longest = timedelta(0)
    for event in records.events:
        if event.subject != "target" or event.to_state is None:
            continue
        if event.to_state == "closed":
            begun = since.pop(event.subject_id, event.at)
            longest = max(longest, event.at - begun)
        else:
            since.setdefault(event.subject_id, event.at)
    return max([longest, *(records.until - begun for begun in since.values())])


def area(troubles: Iterable[Event]) -> str:
    """The part of the house where it began: what tripped counts more than what followed."""
    subjects = [each.subject for each in troubles]
    for name, subject in AREAS:
        if subject in subjects:
            return name
    for service in SERVICES:
        if service in subjects:
            return f"the {service} service"
    for subject in ("deploy", "database"):
        if subject in subjects:
            return subject
    return "crawl" if "job" in subjects else subjects[0] if subjects else "none found"


def is_operators(event: Event) -> bool:
    """Whether a person's command did it, rather than a service."""
    unit = event.actor.unit
    return unit == "shell" or unit.startswith(("session-", "user@", "run-"))
