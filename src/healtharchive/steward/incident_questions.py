"""What helped an incident along, and what the journal cannot tell of it: found by rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from healtharchive.model.services import Process, Service
from healtharchive.steward.incident_course import course, is_operators
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_spans import ended_at, lifeless, spelled, total
from healtharchive.steward.incident_timeline import inline, stamp

QUIET = timedelta(minutes=30)
CAPS = ("times in the last hour", "times in the last day")


def factors(records: Records) -> list[str]:
    """One sentence for each contributing factor."""
    return [*_refusals(records), *_watch(records), *_holds(records), *_thrash(records)]


def _refusals(records: Records) -> Iterator[str]:
    refused = Counter(
        (each.subject, each.subject_id, each.what, each.why)
        for each in records.actions
        if each.outcome == "refused"
    )
    for (subject, subject_id, what, why), times in refused.items():
        kind = "A cap was reached" if any(cap in why for cap in CAPS) else "A gate held"
        often = f" ({times} times)" if times > 1 else ""
        yield (
            f"{kind}: {what.replace('_', ' ')} of {subject} {inline(subject_id)} was refused: "
            f"{inline(why)}{often}."
        )


def _watch(records: Records) -> Iterator[str]:
    if not records.notifies:
        yield "Nobody could be told: `notify_urls` is not set."
    if not records.has_heartbeat:
        yield "Nothing outside watches the steward: `heartbeat_url` is not set."
    gone = total(lifeless(records, Service.STEWARD))
    if gone >= timedelta(minutes=1):
        yield f"No steward lived for {spelled(gone)} of the span: nothing was mended meanwhile."
    versions = sorted({each.version for each in records.lives})
    if len(versions) > 1:
        yield f"Processes of several versions ran: {', '.join(versions)}."


def _holds(records: Records) -> Iterator[str]:
    for each in records.events:
        if each.subject in tuple(Service) and each.what in ("paused", "restart_owed"):
            word = "was paused" if each.what == "paused" else "was stopped by automation"
            yield f"The {each.subject} {word} at {stamp(each.at)}: {inline(each.why)}."


def _thrash(records: Records) -> Iterator[str]:
    claims = Counter(
        each.subject_id for each in records.events if (each.subject, each.what) == ("job", "claim")
    )
    hours = max((records.until - records.since).total_seconds() / 3600, 1.0)
    for job_id, number in sorted(claims.items()):
        if number / hours > 6:
            yield f"Job {job_id} was claimed {number} times, more than 6 times an hour."


def questions(records: Records) -> list[str]:
    """One question for each gap in what is known."""
    return [
        *_senders(records),
        *_ends_without_word(records),
        *_trips(records),
        *_silence(records),
        *_open(records),
    ]


def _senders(records: Records) -> Iterator[str]:
    for each in records.events:
        if each.what != "stop_signal":
            continue
        if each.evidence.get("sender_pid") is None:
            yield (
                f"Who sent {each.evidence.get('signal', 'the signal')} to the {each.subject} at "
                f"{stamp(each.at)}? Its sender is unknown."
            )
        elif not each.evidence.get("sender_command"):
            yield (
                f"What was process {each.evidence['sender_pid']}, which stopped the {each.subject} "
                f"at {stamp(each.at)}? It was gone before its command could be read."
            )


def _ends_without_word(records: Records) -> Iterator[str]:
    for each in records.lives:
        if each.stopped_at is None and _died_within(each, records):
            yield (
                f"Why did the {each.service} with pid {each.pid} on {inline(each.host)} end? "
                f"Its last beat was at {stamp(each.beat_at)} and it wrote no stop."
            )


def _died_within(life: Process, records: Records) -> bool:
    ended = ended_at(life, records.now)
    return ended is not None and records.since <= life.beat_at <= records.until


def _trips(records: Records) -> Iterator[str]:
    tripped = Counter(
        (each.subject_id, str(each.evidence.get("verdict", "out of use")))
        for each in records.events
        if (each.subject, each.what, each.caused_by) == ("target", "trip", None)
    )
    for (name, verdict), times in tripped.items():
        often = f" {times} times" if times > 1 else ""
        yield f"What made target {inline(name)} {verdict}{often}? No event of ours caused it."


def _silence(records: Records) -> Iterator[str]:
    found = course(records)
    begun, over = found.start or records.until, found.end or records.until
    moments = [begun, *(each.at for each in records.events if begun < each.at < over), over]
    for before, after in pairwise(moments):
        if after - before >= QUIET:
            length = spelled(after - before)
            yield (
                f"What happened between {stamp(before)} and {stamp(after)} ({length})? "
                "The journal has no event of that time."
            )


def _open(records: Records) -> Iterator[str]:
    for each in course(records).open:
        yield f"Is {inline(each)} well again? Its trouble was not over by {stamp(records.until)}."
    if any(is_operators(each) for each in records.events):
        yield "Did the operator do more than the journal has: mounts, restarts, files by hand?"
