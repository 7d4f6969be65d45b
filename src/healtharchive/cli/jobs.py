"""Jobs at the command line: made, listed, shown, run, and taken in hand by a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import messages, progress, render
from healtharchive.cli.session import Session, begin

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from healtharchive.model.jobs import Job

app = typer.Typer()
PANEL = "Jobs"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[int, typer.Option("--id", help="The job's number.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the journal.")]


@app.command("create-job", rich_help_panel=PANEL)
def create_job(
    source: Annotated[str, typer.Option(help="The source's code, such as hc.")],
    campaign: Annotated[str | None, typer.Option(help="The campaign it belongs to.")] = None,
    pages: Annotated[int | None, typer.Option(min=1, help="End after so many pages.")] = None,
    total_bytes: Annotated[
        int | None, typer.Option("--bytes", min=1, help="End after so many bytes.")
    ] = None,
    page_bytes: Annotated[
        int | None, typer.Option(min=1, help="Cut a longer page off after so many bytes.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after so much crawl time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Queue a capture of one source."""
    from healtharchive.cli.catalogue import enter_sources
    from healtharchive.model import jobs
    from healtharchive.model.journal import this_process

    session = begin()
    enter_sources(session)
    asked = {
        "pages": pages,
        "total_bytes": total_bytes,
        "page_bytes": page_bytes,
        "seconds": seconds,
    }
    limits = {name: value for name, value in asked.items() if value is not None}
    with session.database.begin() as connection:
        job = jobs.create_job(
            session.database,
            connection,
            source=source,
            jobs_root=str(session.settings.jobs_root),
            actor=this_process(),
            campaign=campaign,
            retry_budget=session.settings.retry_budget,
            config={"limits": limits} if limits else None,
        )
    _show(job, session, as_json=as_json)


@app.command("list-jobs", rich_help_panel=PANEL)
def list_jobs(
    status: Annotated[list[str] | None, typer.Option(help="Only jobs in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only jobs of this source.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only jobs of this campaign.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """The jobs, in the order in which they are claimed."""
    from healtharchive.cli.catalogue import require_source
    from healtharchive.model import jobs

    session = begin()
    if source is not None:
        require_source(source, session.settings, lambda: session.database)
    with session.database.read() as connection:
        found = jobs.list_jobs(
            connection,
            statuses=[_status(each) for each in status or ()],
            source=source,
            campaign=campaign,
            limit=limit,
        )
    render.table(
        found,
        [
            ("id", lambda job: job.id),
            ("source", lambda job: job.source),
            ("campaign", lambda job: job.campaign),
            ("status", lambda job: job.status),
            ("quality", lambda job: job.quality),
            ("done", lambda job: job.counts.done),
            ("queued", lambda job: job.counts.queued),
            ("failed", lambda job: job.counts.failed),
            ("size", lambda job: messages.size(job.counts.bytes_written)),
            ("not before", lambda job: job.due_at),
            ("why", lambda job: job.parked_reason or job.last_error),
        ],
        as_json=as_json,
        empty="There are no such jobs. `healtharchive create-job --source CODE` makes one.",
    )


@app.command("show-job", rich_help_panel=PANEL)
def show_job(job_id: JobId, as_json: Json = False) -> None:
    """One job with its counts, its attempts, and what its crawl left out and noticed."""
    from healtharchive.model import attempts, jobs
    from healtharchive.model.remarks import remarks_of

    session = begin()
    with session.database.read() as connection:
        job = jobs.get_job(connection, job_id)
        runs = attempts.list_attempts(connection, job_id, limit=20)
        remarks = remarks_of(connection, job_id)
    if as_json:
        render.print_json({"job": job, "attempts": runs, "remarks": remarks})
        return
    _show(job, session, as_json=False)
    print()
    render.table(
        runs,
        [
            ("attempt", lambda run: run.fence),
            ("work", lambda run: run.work),
            ("worker", lambda run: run.worker),
            ("unit", lambda run: run.unit),
            ("started", lambda run: run.started_at),
            ("ended", lambda run: run.ended_at),
            ("exit", lambda run: run.exit),
            ("reason", lambda run: run.reason),
        ],
        as_json=False,
        empty="It was not started yet.",
    )
    if remarks:
        print()
        render.table(
            remarks,
            [
                ("left out", lambda remark: remark.kind),
                ("reason", lambda remark: remark.what),
                ("how many", lambda remark: remark.number),
            ],
            as_json=False,
            empty="",
        )


@app.command("run-db-job", rich_help_panel=PANEL)
def run_db_job(
    job_id: JobId,
    until_settled: Annotated[
        bool, typer.Option(help="Go on through waits and indexing until nothing more is due.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run it in a systemd unit that outlives this login.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one job in this process now, as a worker would; or detached from it."""
    from healtharchive.work.worker import run_one

    session = begin()
    if detach:
        from healtharchive.cli.detach import run_detached

        run_detached(session, job_id, until_settled=until_settled, as_json=as_json)
        return
    job = run_one(
        session.settings,
        session.database,
        session.clock,
        job_id,
        until_settled=until_settled,
        beside=progress.shown(progress.of_job(session, job_id)),
    )
    _show(job, session, as_json=as_json)


@app.command("retry-job", rich_help_panel=PANEL)
def retry_job(job_id: JobId, why: Why = "", as_json: Json = False) -> None:
    """Give a job a fresh retry budget and queue it again; its frontier is kept."""
    _operate("retry_job", job_id, why, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def pause(job_id: JobId, why: Why = "", as_json: Json = False) -> None:
    """Hold a job; a running one commits and stops first."""
    _operate("pause_job", job_id, why, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def resume(job_id: JobId, why: Why = "", as_json: Json = False) -> None:
    """Continue a paused job where it was."""
    _operate("resume_job", job_id, why, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def cancel(job_id: JobId, why: Why = "", as_json: Json = False) -> None:
    """End a job for good; what was captured is kept."""
    _operate("cancel_job", job_id, why, as_json=as_json)


@app.command("reindex-job", rich_help_panel=PANEL)
def reindex_job(job_id: JobId, why: Why = "", as_json: Json = False) -> None:
    """Have an indexed job indexed again from its WARC files."""
    from healtharchive.model.captures import mark_unindexed

    _operate("reindex_job", job_id, why, also=mark_unindexed, as_json=as_json)


def _operate(
    what: str,
    job_id: int,
    why: str,
    *,
    also: Callable[[Connection, int], object] | None = None,
    as_json: bool,
) -> None:
    from healtharchive.model import operator
    from healtharchive.model.errors import BadInput, IllegalTransition
    from healtharchive.model.journal import this_process

    session = begin()
    try:
        with session.database.begin() as connection:
            job = getattr(operator, what)(
                session.database, connection, job_id, actor=this_process(), why=why
            )
            if also is not None:
                also(connection, job_id)
    except IllegalTransition as error:
        raise BadInput(
            f"Job {job_id} cannot be changed in this way: {error.what}",
            f"`healtharchive why job {job_id}` tells how it came there.",
        ) from error
    _show(job, session, as_json=as_json)


def _status(text: str) -> Any:
    from healtharchive.model.errors import BadInput
    from healtharchive.model.states import JobStatus

    try:
        return JobStatus(text)
    except ValueError:
        known = ", ".join(JobStatus)
        raise BadInput(f"There is no state '{text}'.", f"The states are: {known}.") from None


def _quality(job: Job) -> str | None:
    """What it was judged to be and every reason, each on a line's end of its own."""
    if job.quality is None:
        return None
    return (
        f"{job.quality}: {'; '.join(job.quality_reasons)}" if job.quality_reasons else job.quality
    )


def _show(job: Job, session: Session, *, as_json: bool) -> None:
    now = session.clock.now()
    counts = job.counts
    urls = (
        f"{counts.found} found: {counts.done} done, {counts.queued} queued, "
        f"{counts.in_flight} in flight, {counts.failed} failed, {counts.excluded} excluded"
    )
    render.facts(
        job,
        [
            ("job", job.id),
            ("source", job.source),
            ("campaign", job.campaign),
            ("status", job.status),
            ("why", job.parked_reason or job.last_error),
            ("not before", messages.moment(job.due_at, now) if job.due_at else None),
            ("urls", urls),
            ("captures", f"{counts.captures} and {counts.revisits} revisits"),
            ("size", messages.size(counts.bytes_written)),
            (
                "attempts",
                f"{job.attempt_count}, parked {job.park_count}, rescued {job.rescue_count}",
            ),
            ("retries", f"{job.retry_count} of {job.retry_budget}"),
            ("quality", _quality(job)),
            ("held by", job.lease_owner),
            ("output", job.output_dir),
            ("created", messages.moment(job.created_at, now)),
            ("finished", messages.moment(job.finished_at, now) if job.finished_at else None),
        ],
        as_json=as_json,
    )
