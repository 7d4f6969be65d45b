"""Campaigns at the command line: made, listed, and whether they are ready for search."""

from __future__ import annotations

from typing import Annotated

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import begin

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    kind: Annotated[str, typer.Argument(help="What kind of edition, such as annual.")],
    year: Annotated[int, typer.Option(help="The year it stands for.")],
    source: Annotated[
        list[str] | None, typer.Option(help="Only these sources; every declared one when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a campaign with one job a source. Asking again adds only what is missing."""
    from healtharchive.cli.catalogue import enter_sources
    from healtharchive.model.campaigns import create_campaign
    from healtharchive.model.journal import this_process

    session = begin()
    declared = enter_sources(session)
    with session.database.begin() as connection:
        campaign, added = create_campaign(
            session.database,
            connection,
            kind,
            year,
            jobs_root=str(session.settings.jobs_root),
            actor=this_process(),
            sources=source or declared,
            retry_budget=session.settings.retry_budget,
        )
    if as_json:
        render.print_json({"campaign": campaign, "added": added})
        return
    jobs = ", ".join(f"{job.source} (job {job.id})" for job in added)
    print(f"Campaign {campaign.name}: " + (f"added {jobs}." if added else "nothing was missing."))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every campaign, the newest first."""
    from healtharchive.model.campaigns import list_campaigns, readiness

    session = begin()
    with session.database.read() as connection:
        found = [readiness(connection, each.name) for each in list_campaigns(connection)]
    render.table(
        found,
        [
            ("campaign", lambda each: each.campaign.name),
            ("jobs", lambda each: len(each.jobs)),
            ("ready for search", lambda each: each.verdict),
            ("captures", lambda each: sum(job.counts.done for job in each.jobs)),
            ("created", lambda each: each.campaign.created_at),
        ],
        as_json=as_json,
        empty="There are no campaigns; `healtharchive campaign create annual --year 2026` adds one",
    )


@app.command()
def status(
    name: Annotated[str, typer.Argument(help="The campaign, such as annual-2026.")],
    as_json: Json = False,
) -> None:
    """Whether all of it can be searched, and each reason why not."""
    from healtharchive.model.campaigns import readiness

    session = begin()
    with session.database.read() as connection:
        found = readiness(connection, name)
    if as_json:
        render.print_json(
            {
                "campaign": found.campaign,
                "ready_for_search": found.ready,
                "obstacles": found.obstacles,
                "notes": found.notes,
                "jobs": found.jobs,
            }
        )
        return
    print(f"{found.campaign.name}. Ready for search: {found.verdict}")
    for obstacle in found.obstacles:
        about = f"job {obstacle.job_id} ({obstacle.source}): " if obstacle.job_id else ""
        print(render.safe(f"  - {about}{obstacle.reason}"))
    for note in found.notes:
        about = f"job {note.job_id} ({note.source})"
        print(render.safe(f"  note: {about} is accepted as it is, though {note.missing}"))
    print()
    render.table(
        found.jobs,
        [
            ("job", lambda job: job.id),
            ("source", lambda job: job.source),
            ("status", lambda job: job.status),
            ("quality", lambda job: job.quality),
            ("found", lambda job: job.counts.found),
            ("done", lambda job: job.counts.done),
            ("failed", lambda job: job.counts.failed),
            ("excluded", lambda job: job.counts.excluded),
            ("size", lambda job: messages.size(job.counts.bytes_written)),
        ],
        as_json=False,
        empty="It has no jobs.",
    )
