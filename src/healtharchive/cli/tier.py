"""`tier`: which jobs write to a mounted target, and how they come to do so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import begin
from healtharchive.cli.steward import steward_means

app = typer.Typer(no_args_is_help=True)
Target = Annotated[str, typer.Option("--target", help="The target that is to hold the bytes.")]
Jobs = Annotated[
    list[int] | None,
    typer.Option("--job", help="This job; may be repeated. Default: all unsettled."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def plan(target: Target, job: Jobs = None, as_json: Json = False) -> None:
    """What `tier apply` would do; nothing is changed."""
    from healtharchive.steward.storage import Storage
    from healtharchive.steward.tiering import survey

    means = steward_means(begin())
    Storage(means).declare()
    found = survey(means, target, job or [])
    if as_json:
        render.print_json(found)
        return
    for hot in found:
        print(
            f"job {hot.job_id}: {hot.hold or ('nothing to do' if not hot.steps else '')}".rstrip()
        )
        for number, step in enumerate(hot.steps, 1):
            print(render.safe(f"  {number}. {step}"))


@app.command()
def apply(
    target: Target,
    job: Jobs = None,
    units: Annotated[
        Path | None, typer.Option(help="Write systemd mount units into this directory.")
    ] = None,
    fstab: Annotated[bool, typer.Option("--fstab", help="Print the lines for /etc/fstab.")] = False,
) -> None:
    """Move the jobs' WARC files to the target, verified, and bind their directories to it."""
    from healtharchive.model.targets import get_target
    from healtharchive.steward import tiering
    from healtharchive.steward.storage import Storage

    session = begin()
    means = steward_means(session)
    Storage(means).declare()
    found = tiering.survey(means, target, job or [])
    for hot in found:
        done = tiering.apply(means, hot)
        print(render.safe(f"job {hot.job_id}: {hot.hold or '; '.join(done) or 'nothing to do'}"))
    with session.database.read() as connection:
        row = get_target(connection, target)
    tiered = [hot for hot in found if not hot.hold]
    if units is not None:
        for path in tiering.write_units(units, tiered, row):
            print(f"wrote {path}")
    if fstab:
        for hot in tiered:
            print(tiering.fstab_line(hot, row))


@app.command()
def status(as_json: Json = False) -> None:
    """Every hot path: where it leads, and how it is."""
    from healtharchive.model.target import TargetKind
    from healtharchive.model.targets import list_targets

    session = begin()
    with session.database.read() as connection:
        found = [each for each in list_targets(connection) if each.kind is TargetKind.BIND]
    columns: list[render.Column] = [
        ("hot path", lambda each: each.name),
        ("path", lambda each: each.root),
        ("target", lambda each: each.parent),
        ("breaker", lambda each: each.state),
        ("last look", lambda each: each.verdict),
        ("at", lambda each: each.probed_at),
    ]
    render.table(found, columns, as_json=as_json, empty="No job has a hot path.")
