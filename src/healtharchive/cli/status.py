"""`status`: the whole archive in one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import begin

if TYPE_CHECKING:
    from healtharchive.model.jobs import Job
    from healtharchive.model.states import JobStatus
    from healtharchive.model.targets import Target

app = typer.Typer()
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Spool:
    """How full the local disk was at the steward's last look that could tell."""

    used_percent: float
    seen_at: datetime | None
    warns: bool


@app.command(rich_help_panel="What happened")
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Jobs by state, what runs, what waits and why, sick storage, and the workers.

    Everything comes from the database: it answers while every mount hangs.
    """
    from healtharchive.cli.steward import steward_means
    from healtharchive.model import jobs
    from healtharchive.model.states import JobStatus, TargetState
    from healtharchive.model.targets import list_targets
    from healtharchive.model.units import units_of
    from healtharchive.work.census import living_stewards, living_workers

    session = begin()
    with session.database.read() as connection:
        now = session.database.now(connection)
        by_state = jobs.count_jobs(connection)
        held = (JobStatus.RUNNING, JobStatus.INDEXING)
        running = jobs.list_jobs(connection, statuses=held, limit=SHOWN)
        units = units_of(connection, [job.id for job in running])
        waiting = jobs.waiting_jobs(connection, limit=SHOWN)
        workers = living_workers(connection)
        stewards = living_stewards(connection)
        targets = list_targets(connection)
    sick = [each for each in targets if each.state is not TargetState.CLOSED]
    spool = _spool(targets, session.settings.spool_warn_percent)
    if as_json:
        held_in = [{**render.plain(job), "unit": units.get(job.id)} for job in running]
        found = {"jobs": by_state, "running": held_in, "waiting": waiting, "workers": workers}
        storage = {"stewards": stewards, "sick_targets": sick, "spool": spool}
        render.print_json({**found, **storage})
        return
    _tell_jobs(by_state, running, units, waiting, now)
    _tell_storage(sick, spool, now)
    if age := steward_means(session).deploy_lock_age_seconds():
        lapsed = age >= session.settings.deploy_lock_seconds
        effect = "it is too old and ignored" if lapsed else "nothing is repaired automatically"
        print(f"lock     {session.settings.deploy_lock} is {messages.span(age)} old: {effect}")
    if targets and not stewards:
        print("steward  none is running: start `healtharchive steward`; no target is looked after")
    for worker in workers:
        unit = f" in {worker.unit}" if worker.unit else ""
        print(f"worker   {worker.name}{unit}, since {messages.moment(worker.since, now)}")
    if not workers:
        print("worker   none is running: start `healtharchive worker`")


def _tell_jobs(
    by_state: Mapping[JobStatus, int],
    running: list[Job],
    units: Mapping[int, str],
    waiting: list[Job],
    now: datetime,
) -> None:
    counted = ", ".join(f"{number} {state}" for state, number in sorted(by_state.items()))
    print(f"jobs     {counted or 'none'}")
    for job in running:
        done = f"{job.counts.done} of {job.counts.found} URLs done"
        unit = f" in {units[job.id]}" if job.id in units else ""
        print(f"running  job {job.id} ({job.source}): {done}, held by {job.lease_owner}{unit}")
    for job in waiting:
        why = job.parked_reason or job.last_error or "its turn"
        when = messages.moment(job.not_before, now) if job.not_before else "soon"
        print(f"waiting  job {job.id} ({job.source}): {why}; next try {when}")


def _tell_storage(sick: list[Target], spool: Spool | None, now: datetime) -> None:
    for target in sick:
        trouble = f"{target.verdict or 'sick'} since {messages.moment(target.since, now)}"
        print(render.safe(f"target   {target.name}: {trouble}; {target.last_error or ''}".rstrip()))
    if spool is not None and spool.warns and spool.seen_at is not None:
        used = f"{spool.used_percent:.0f} % of the disk under jobs_root was used"
        print(f"spool    {used} at {messages.moment(spool.seen_at, now)}")


def _spool(targets: Sequence[Target], warn_percent: float) -> Spool | None:
    """From the spool's row: asking the disk might hang."""
    from healtharchive.model.target import SPOOL

    for each in targets:
        if each.name == SPOOL and (used := each.evidence.get("used_percent")) is not None:
            return Spool(used, each.probed_at, used >= warn_percent)
    return None
