"""The words of `status`: a condition and what was found in it, as the lines of one screen. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from healtharchive.cli import messages, render
from healtharchive.model.services import HoldKind, Service
from healtharchive.model.states import TargetState
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Finding
from healtharchive.steward.condition import Condition, RunningNow, ServiceNow, TargetNow
from healtharchive.steward.findings import worth_telling
from healtharchive.steward.next_rounds import steward_lives
from healtharchive.steward.rules_services import has_work
from healtharchive.work.census import as_living

WORDS = {"critical": "FAIL", "warning": "WARN", "info": "NOTE"}
SHOWN = 10  # jobs of a kind
SHOWN_EXPLAINED = 3
SHOWN_ACTIONS = 5
SHOWN_REASONS = 3
SERVICES = (
    (Service.WORKER, "worker", ""),
    (Service.STEWARD, "steward", "; no target is looked after"),
    (Service.SERVE, "web", ""),
)


def screen(
    condition: Condition, found: Sequence[Finding], settings: Settings, year: int | None = None
) -> list[str]:
    """Every line: what is wrong first, or that all is well."""
    told = worth_telling(found, condition.now)
    lines: list[str] = []
    if not any(each.rule.severity in ("critical", "warning") for each in told):
        lines.append(_all_is_well(condition))
    for each in told:
        lines += _problem(each, found, condition.now)
    lines += _processes(condition)
    lines += _lock(condition, settings)
    lines += _storage(condition)
    lines += _search(condition)
    lines += _jobs(condition)
    lines += _campaigns(condition, year)
    lines += _disk(condition)
    lines += _past(condition)
    return [render.safe(line) for line in lines]


# -- what is wrong -------------------------------------------------------------------------


def _all_is_well(condition: Condition) -> str:
    jobs = _counted(condition) or "no jobs yet"
    running = [name for name, each in condition.services.items() if each.living]
    who = f"; {_listed(running)} run{'s' if len(running) == 1 else ''}" if running else ""
    return f"All is well: {jobs}{who}."


def _problem(finding: Finding, found: Sequence[Finding], now: datetime) -> Iterator[str]:
    rule, since = finding.rule, finding.found.since
    lasts = f" ({messages.span((now - since).total_seconds())})" if since is not None else ""
    yield f"{WORDS[rule.severity]}  {rule.name}{lasts}: {finding.found.sentence}"
    yield f"      run `{finding.command}`; read docs/playbooks/{rule.playbook}.md"
    yield f"      next: {finding.next_step.by_itself}"
    yield f"      only you: {finding.next_step.only_you}"
    mine = (rule.name, finding.found.subject_id)
    explained = [each for each in found if (each.explained_by, each.cause_id) == mine]
    for each in explained[:SHOWN_EXPLAINED]:
        yield f"      hence {each.rule.name}: {each.found.sentence}"
    if more := Counter(each.rule.name for each in explained[SHOWN_EXPLAINED:]):
        yield f"      hence also {_listed([f'{number} × {name}' for name, number in more.items()])}"


# -- processes and targets -----------------------------------------------------------------


def _processes(condition: Condition) -> Iterator[str]:
    for service, word, missed in SERVICES:
        known = condition.services[service]
        runs = condition.runs if service is Service.WORKER else ()
        for each in map(as_living, (*known.living, *runs)):
            unit = f" in {each.unit}" if each.unit else ""
            yield f"{word:<8} {each.name}{unit}, since {messages.moment(each.since, condition.now)}"
        for silent in known.silent:
            beat = messages.moment(silent.beat_at, condition.now)
            yield f"{word:<8} {silent.holder} is silent since {beat}"
        yield from _holds(known, word, condition.now)
        if known.living or runs or not _expected(condition, service):
            continue
        yield f"{word:<8} none is running: start `healtharchive {service}`{missed}"


def _expected(condition: Condition, service: Service) -> bool:
    """Whether anybody would look for it: for pages where there were some, for a worker always."""
    if service is Service.SERVE:
        return condition.services[service].newest is not None
    return service is Service.WORKER or bool(condition.targets) or has_work(condition)


def _holds(service: ServiceNow, word: str, now: datetime) -> Iterator[str]:
    for hold in service.holds:
        until = f" until {messages.moment(hold.until, now)}" if hold.until else ""
        done = "is paused" if hold.kind == HoldKind.PAUSE else "was stopped for a while"
        yield (
            f"{word:<8} {done}{until} by {hold.who}, since {messages.moment(hold.at, now)}: "
            f"{hold.why}"
        )


def _lock(condition: Condition, settings: Settings) -> Iterator[str]:
    age = condition.deploy_lock_age_seconds
    if age is None:
        return
    lapsed = age >= settings.deploy_lock_seconds
    effect = "it is too old and ignored" if lapsed else "nothing is repaired automatically"
    yield f"lock     {settings.deploy_lock} is {messages.span(age)} old: {effect}"


def _storage(condition: Condition) -> Iterator[str]:
    well = [each.name for each in condition.targets if each.state == TargetState.CLOSED]
    for each in condition.targets:
        if each.state != TargetState.CLOSED:
            yield _sick(each, condition.now)
        if each.unshipped:
            size = messages.size(each.unshipped_bytes)
            yield f"shipping {each.unshipped} segments ({size}) wait to be copied to {each.name}"
    if well:
        yield f"storage  {_listed(well)}: fine"


def _sick(target: TargetNow, now: datetime) -> str:
    trouble = f"{target.verdict or 'sick'} since {messages.moment(target.since, now)}"
    if target.state == TargetState.HALF_OPEN:
        trouble = f"is tried again since {messages.moment(target.since, now)}"
    error = f"; {target.error}" if target.error else ""
    return f"target   {target.name}: {trouble}{error}"


def _search(condition: Condition) -> Iterator[str]:
    if not condition.index_renewal:
        return
    who = "the steward makes the index anew"
    if not steward_lives(condition):
        who = (
            "no steward is running that would go on making the index anew: `healtharchive steward`"
        )
    yield f"search   {who}: {condition.index_renewal}"


# -- jobs and campaigns --------------------------------------------------------------------


def _jobs(condition: Condition) -> Iterator[str]:
    yield f"jobs     {_counted(condition) or 'none'}"
    for each in condition.running[:SHOWN]:
        yield _running(each, condition.now)
    for job in condition.waiting[:SHOWN]:
        when = messages.moment(job.next_at, condition.now) if job.next_at else "soon"
        why = job.why or "its turn"
        yield f"waiting  job {job.job_id} ({job.source}): {why}; next try {when}"
    for kind, known in (("running", condition.running), ("waiting", condition.waiting)):
        if len(known) > SHOWN:
            yield f"{kind}  … and {len(known) - SHOWN} more: `healtharchive list-jobs`"


def _running(job: RunningNow, now: datetime) -> str:
    found = job.urls_done + job.urls_queued + job.urls_failed
    unit = f" in {job.unit}" if job.unit.endswith((".service", ".scope")) else ""
    if job.work != "crawl":
        return f"running  job {job.job_id} ({job.source}): it is indexed by {job.worker}{unit}"
    rate = ""
    if job.pages_per_minute is not None:
        rate = f", {job.pages_per_minute:.0f} pages a minute"
    if job.errors_per_minute:
        rate += f", {job.errors_per_minute:.0f} errors a minute"
    if job.eta_seconds is not None:
        rate += f", what is queued takes {messages.span(job.eta_seconds)} more"
    done = f"{job.urls_done} of {found} URLs done{rate}"
    if job.waits and job.waits_until is not None:
        done += f", {job.waits}, until {messages.moment(job.waits_until, now)}"
    return f"running  job {job.job_id} ({job.source}): {done}, held by {job.worker}{unit}"


def _campaigns(condition: Condition, year: int | None) -> Iterator[str]:
    of_year = [each for each in condition.campaigns if year in (None, each.year)]
    if year is not None and not of_year:
        yield f"campaign there is none of {year}"
    for each in of_year if year is not None else of_year[:1]:
        verdict = "YES" if each.ready else "NO"
        reasons = "; ".join(each.reasons[:SHOWN_REASONS])
        more = len(each.reasons) - SHOWN_REASONS
        also = f"; and {more} more" if more > 0 else ""
        yield f"campaign {each.name}: ready for search: {verdict}" + (
            f" ({reasons}{also})" if reasons else ""
        )


# -- the disk, and the past ----------------------------------------------------------------


def _disk(condition: Condition) -> Iterator[str]:
    spool = condition.spool
    if spool is None:
        return
    soon = ""
    if spool.full_in_days is not None:
        soon = f"; full in {spool.full_in_days:.1f} days if it goes on like this"
    seen = f" at {messages.moment(spool.seen_at, condition.now)}" if spool.seen_at else ""
    yield f"spool    {spool.used_percent:.0f} % used{seen}{soon}"


def _past(condition: Condition) -> Iterator[str]:
    for each in condition.actions[:SHOWN_ACTIONS]:
        what = f"{each.what.replace('_', ' ')} {each.subject} {each.subject_id}: {each.outcome}"
        yield f"did      {messages.moment(each.at, condition.now)} {what}. {each.why}"
    for alert in condition.alerts:
        since = messages.moment(alert.since, condition.now)
        told = f", told {messages.moment(alert.sent_at, condition.now)}" if alert.sent_at else ""
        yield f"alert    {alert.name} ({alert.severity}) since {since}{told}: {alert.summary}"


def _counted(condition: Condition) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(condition.jobs.items()))


def _listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
