"""What an incident cost, and how it was noticed: for the document."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from healtharchive.model.services import Service
from healtharchive.model.told import LOST
from healtharchive.steward.incident_course import Course, is_operators
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_spans import Idle, idle, lifeless, spelled, total, workless
from healtharchive.steward.incident_timeline import inline, stamp

BAD = ("copy_differs", "copy_gone", "local_differs", "local_gone")
SPENT = (("retry_later", "retries"), ("park", "waits"), ("rescue", "rescues"), ("fail", "failures"))


def impact(records: Records, found: Course) -> str:
    """Who noticed, what it cost, and whether captured bytes were hurt, as a list."""
    lines = [f"- User-facing impact: {_user_facing(records)}"]
    lines += ["- Internal impact (ops burden, automation failures, etc):"]
    lines += [f"  - {each}" for each in _internal(records)]
    lines += ["- Data impact:", *(f"  - {each}" for each in _data(records))]
    lines += ["- Progress of jobs:", *(f"  - {each}" for each in _progress(records))]
    return "\n".join([*lines, f"- Duration: {_duration(records, found)}"])


def _user_facing(records: Records) -> str:
    if not any(each.service == Service.SERVE for each in records.lives):
        return "unknown: no `serve` is on record in the span."
    down = lifeless(records, Service.SERVE)
    if not down:
        return "a `serve` lived all the time; whether it was ready is not on record."
    spans = ", ".join(f"{stamp(begin)} to {stamp(end)}" for begin, end in down)
    return f"no `serve` lived for {spelled(total(down))}: {spans}."


def _internal(records: Records) -> list[str]:
    shown = [each for each in records.alerts if not each.inhibited_by]
    quiet = len(records.alerts) - len(shown)
    said = [f"Alerts that fired: {len(shown)}; explained by another one, and not sent: {quiet}."]
    outcomes = Counter(each.outcome for each in records.actions)
    counted = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    said.append(f"Automatic actions: {counted or 'none'}.")
    if gone := workless(records):
        spans = ", ".join(f"{stamp(begin)} to {stamp(end)}" for begin, end in gone)
        said.append(f"Jobs waited and no worker lived for {spelled(total(gone))}: {spans}.")
    for job_id, words in _spent(records).items():
        said.append(f"Job {job_id}: {words}.")
    return said


def _spent(records: Records) -> dict[str, str]:
    """What each job spent, by its number."""
    counts = Counter(
        (each.subject_id, each.what) for each in records.events if each.subject == "job"
    )
    jobs = sorted({job_id for job_id, _ in counts}, key=lambda each: (len(each), each))
    spent = {
        job_id: ", ".join(
            f"{counts[job_id, what]} {noun}" for what, noun in SPENT if counts[job_id, what]
        )
        for job_id in jobs
    }
    return {job_id: words for job_id, words in spent.items() if words}


def _data(records: Records) -> list[str]:
    segments = [each for each in records.events if each.subject == "segment"]
    lost = [each.subject_id for each in segments if each.what == LOST]
    suspect = [each.subject_id for each in segments if each.what == "suspect"]
    bad = [each.subject_id for each in segments if each.what in BAD]
    loss = f"no good copy is left of {_named(lost)}" if lost else "no event tells of any"
    return [
        f"Data loss: {loss}.",
        f"Suspect segments in the span: {_named(suspect)}.",
        f"Bad copies found in the span: {_named(bad)}.",
        "Confirmed captures are not in doubt beyond that: a record counts when it is on disk with "
        "its digest.",
    ]


def _named(names: list[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return f"{len(distinct)} ({inline(', '.join(distinct))})" if distinct else "none"


def _progress(records: Records) -> list[str]:
    busy = {each.subject_id for each in records.events if each.subject == "job"}
    busy |= {str(each.job_id) for each in records.samples}
    said = [
        f"Job {each.id} ({each.source}): {_stood(idle(records, each.id))}"
        for each in records.jobs
        if str(each.id) in busy
    ]
    return said or ["No job was worked on."]


def _stood(found: Idle) -> str:
    if found.total is None:
        return "unknown, there are no samples of its progress."
    if found.longest is None:
        return "no stretch of 5 min or more without a new page."
    begin, end = found.longest
    return (
        f"{spelled(found.total)} without a new page; the longest stretch was "
        f"{spelled(end - begin)}, {stamp(begin)} to {stamp(end)}."
    )


def _duration(records: Records, found: Course) -> str:
    if found.start is None:
        return "none: nothing failed."
    if found.end is None:
        at_least = spelled(records.until - found.start)
        return f"at least {at_least} ({stamp(found.start)} → not over by {stamp(records.until)})"
    length = spelled(found.end - found.start)
    return f"{length} ({stamp(found.start)} → {stamp(found.end)})"


def detection(records: Records, found: Course) -> list[str]:
    """How long it took until anybody or anything noticed."""
    first_alert = min((each.fired_at for each in records.alerts), default=None)
    sent = [each.sent_at for each in records.alerts if each.sent_at is not None]
    first_sent = min((at for at in sent if records.since <= at <= records.until), default=None)
    acted = min((each.at for each in records.actions if each.outcome != "refused"), default=None)
    person = min((each.at for each in records.events if is_operators(each)), default=None)
    said = [
        f"First alert: {_after(first_alert, found)}",
        f"First message to people: {_after(first_sent, found)}",
        f"First automatic action: {_after(acted, found)}",
        f"First operator's command: {_after(person, found)}",
    ]
    said += [
        f"{stamp(each.fired_at)} — alert {each.name} ({each.severity}): {inline(each.summary)}"
        + (f" (explained by {each.inhibited_by})" if each.inhibited_by else "")
        for each in records.alerts
    ]
    return said


def _after(moment: datetime | None, found: Course) -> str:
    if moment is None:
        return "none in the span"
    if found.start is None or moment < found.start:
        return f"{stamp(moment)} (before the first trouble)"
    return f"{stamp(moment)} ({spelled(moment - found.start)} after the first trouble)"
