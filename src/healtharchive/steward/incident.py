"""The document of an incident, drafted from records. Pure: the same records give the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from healtharchive.steward.incident_causes import causes
from healtharchive.steward.incident_course import Course, area, course, is_operators, severity
from healtharchive.steward.incident_impact import detection, impact
from healtharchive.steward.incident_questions import factors, questions
from healtharchive.steward.incident_records import Records
from healtharchive.steward.incident_spans import spelled, total, workless
from healtharchive.steward.incident_timeline import inline, line_text, lines, stamp
from healtharchive.steward.retired_files import where

NOTHING = "none found in the journal"


def draft(records: Records, title: str = "") -> str:
    """The whole document as Markdown."""
    found = course(records)
    begun = found.start or records.since
    parts = [
        f"# Incident: {inline(title) or heading(records, found)} ({begun:%Y-%m-%d})",
        "Status: draft",
        section("Metadata", bullets(_metadata(records, found))),
        section("Summary", _summary(records, found)),
        section("Impact", impact(records, found)),
        section("Detection", bullets(detection(records, found))),
        section("Timeline (UTC)", bullets(line_text(each) for each in lines(records.events))),
        section("Root cause", causes(records, found)),
        section("Contributing factors", bullets(factors(records))),
        section("Resolution / Recovery", _resolution(records)),
        section("Post-incident verification", _verification(records, found)),
        section("Open questions (still unknown)", bullets(questions(records))),
        section("Action items (TODOs)", "- [ ] (owner=, priority=, due=)"),
        section("Automation opportunities", _opportunities(records)),
        section("References / Artifacts", bullets(_references(records))),
    ]
    return "\n\n".join(parts) + "\n"


def heading(records: Records, found: Course) -> str:
    """What happened, in a line."""
    said = []
    tripped = [each for each in found.troubles if (each.subject, each.what) == ("target", "trip")]
    for name in dict.fromkeys(each.subject_id for each in tripped):
        verdicts = [each.evidence.get("verdict") for each in tripped if each.subject_id == name]
        said.append(f"target {inline(name)} {verdicts[0] or 'out of use'}")
    stopped = [each.subject for each in found.troubles if each.what == "stopped"]
    said += [f"{service} stopped" for service in dict.fromkeys(stopped)]
    failed = {each.subject_id for each in found.troubles if each.what == "fail"}
    said += [f"{_count(failed, 'job')} failed"] if failed else []
    if not said and found.troubles:
        first = found.troubles[0]
        said = [f"{first.subject} {inline(first.subject_id)} {first.what.replace('_', ' ')}"]
    return "; ".join(said) or "nothing that failed"


def _metadata(records: Records, found: Course) -> list[str]:
    grave = severity(records)
    begun = stamp(found.start) if found.start else "no trouble is in the journal"
    over = stamp(found.end) if found.end else f"not over by {stamp(records.until)}"
    return [
        f"Date (UTC): {found.start or records.since:%Y-%m-%d}",
        f"Severity: {grave.name} (by rule: {grave.rule})",
        f"Environment: {inline(records.host)}, healtharchive {records.version}",
        f"Primary area: {area(found.troubles)}",
        "Owner: (unassigned)",
        f"Start (UTC): {begun}",
        f"End (UTC): {over if found.start else begun}",
    ]


def _summary(records: Records, found: Course) -> str:
    if found.start is None:
        return (
            f"Between {stamp(records.since)} and {stamp(records.until)} the journal has "
            f"{_count(records.events, 'event')}, and none of them is trouble."
        )
    first = found.troubles[0]
    jobs = {each.subject_id for each in found.troubles if each.subject == "job"}
    said = [
        f"It began at {stamp(found.start)}: {first.subject} {inline(first.subject_id)} "
        f"{first.what.replace('_', ' ')}"
        + (f" ({inline(first.why).rstrip('.')})." if first.why else ".")
    ]
    if jobs:
        names = ", ".join(sorted(jobs, key=lambda each: (len(each), each)))
        said.append(f"{_count(jobs, 'job')} had trouble: {names}.")
    if still := total(workless(records)):
        said.append(f"Jobs waited for {spelled(still)} while no worker lived.")
    if found.end is not None:
        said.append(f"All of it was over after {spelled(found.end - found.start)}.")
    else:
        said.append(f"By {stamp(records.until)} it was not over: {inline(', '.join(found.open))}.")
    return " ".join(said)


def _resolution(records: Records) -> str:
    done = [each for each in records.actions if each.outcome != "refused"]
    automatic = [
        f"{stamp(each.at)} — {each.what.replace('_', ' ')} {each.subject} "
        f"{inline(each.subject_id)}: {each.outcome}. {inline(each.why)}"
        for each in done
    ]
    commands = [line_text(each) for each in lines(e for e in records.events if is_operators(e))]
    return "\n\n".join(
        [
            "Automatic actions, in order:",
            bullets(automatic),
            "What operators' commands did, in order:",
            bullets(commands),
        ]
    )


def _verification(records: Records, found: Course) -> str:
    touched = {(each.subject, each.subject_id) for each in found.troubles}
    today = [
        f"Target {inline(each.name)} is {each.state}"
        + (f", last seen {each.verdict}." if each.verdict else ", and was never looked at.")
        for each in records.targets_today
        if ("target", each.name) in touched
    ]
    today += [
        f"Job {each.id} ({each.source}) is {each.status}."
        for each in records.jobs
        if ("job", str(each.id)) in touched
    ]
    today.append(f"{_count(records.suspect_today, 'segment')} suspect.")
    commands = ["healtharchive status", "healtharchive storage status"]
    jobs = [each.id for each in records.jobs if ("job", str(each.id)) in touched]
    for job_id in jobs:
        commands += [f"healtharchive verify --job {job_id} --sample 10"]
        commands += [f"healtharchive quality {job_id}"]
    checks = "\n".join(["```sh", *commands, "```"])
    asked = "As it is when this is drafted:"
    return "\n\n".join([asked, bullets(today), "To check again:", checks])


def _opportunities(records: Records) -> str:
    manual = dict.fromkeys(
        f"{each.subject} {each.what.replace('_', ' ')}"
        for each in records.events
        if is_operators(each)
    )
    held = dict.fromkeys(
        f"{each.what.replace('_', ' ')} of {each.subject} {inline(each.subject_id)}: "
        f"{inline(each.why)}"
        for each in records.actions
        if each.outcome == "refused"
    )
    return "\n\n".join(
        [
            "Done by hand this time:",
            bullets(manual),
            "Held back by a gate (look at each before you loosen it):",
            bullets(held),
        ]
    )


def _references(records: Records) -> list[str]:
    since, until = stamp(records.since), stamp(records.until)
    ids = f"{records.events[0].id} to {records.events[-1].id}"
    units = sorted({each.actor.unit for each in records.events})
    services = [each for each in units if each.endswith(".service")]
    return [
        f"The journal's events {ids}: {_count(records.events, 'event')}.",
        *([where(records.retired)] if records.retired else []),
        f"Made by `healtharchive incident draft --since {since} --until {until}`.",
        *(
            f"`journalctl --utc -u {each} --since '{records.since:%Y-%m-%d %H:%M:%S}' "
            f"--until '{records.until:%Y-%m-%d %H:%M:%S}'`"
            for each in services
        ),
    ]


def section(title: str, body: str) -> str:
    """A part of the document under its heading."""
    return f"## {title}\n\n{body}"


def bullets(items: Iterable[str]) -> str:
    """A list; a word that says so when it is empty."""
    return "\n".join(f"- {each}" for each in items) or f"- {NOTHING}"


def _count(things: Sequence[object] | set[str], noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")
