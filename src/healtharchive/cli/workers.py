"""`worker`: the process that runs jobs; its declared pause; and its stop by automation."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.journal import parse_span
from healtharchive.cli.pausing import (
    Json,
    Reason,
    Span,
    end_pause,
    given_reason,
    pause_asked,
    tell_pause,
)
from healtharchive.cli.session import begin
from healtharchive.cli.suppress import operator_name
from healtharchive.model.errors import BadInput

app = typer.Typer(invoke_without_command=True)
LONGEST_STOP_SECONDS = 86_400.0
END_SECONDS = 30.0  # beyond `stop_seconds`, for the worker to write how everything ended


@app.callback()
def worker(context: typer.Context) -> None:
    """Claim jobs and run them until SIGTERM or Ctrl-C; or pause, resume and stop who does."""
    if context.invoked_subcommand is not None:
        return
    from healtharchive.work.worker import run

    session = begin()
    raise typer.Exit(run(session.settings, session.database, session.clock))


@app.command()
def pause(
    reason: Reason,
    span: Span = "",
    let_finish: Annotated[
        bool, typer.Option("--let-finish", help="What runs now may run to its end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Declare that no worker claims anything; what runs commits and goes back to the queue.

    Nobody starts a stopped worker again meanwhile.
    """
    from healtharchive.model.pausing import declare_pause
    from healtharchive.model.services import Service

    asked = pause_asked(reason, span)
    database = asked.session.database
    with database.begin() as connection:
        declare_pause(
            database,
            connection,
            who=operator_name(),
            why=asked.why,
            actor=asked.actor,
            until=asked.until,
            let_finish=let_finish,
        )
    tell_pause(asked, Service.WORKER, None, as_json=as_json)


@app.command()
def resume(reason: Reason = "an operator asked", as_json: Json = False) -> None:
    """End the declared pause: jobs are claimed again."""
    from healtharchive.model.services import Service

    end_pause(Service.WORKER, reason, here=False, as_json=as_json)


@app.command()
def stop(
    reason: Reason,
    span: Annotated[str, typer.Option("--for", help="How long it is needed down, such as 10min.")],
    as_json: Json = False,
) -> None:
    """For automation: stop this machine's worker, and owe its restart to the steward.

    The steward starts it again when that time is over, or when the process that called this is
    gone.
    """
    from healtharchive.model.journal import this_process
    from healtharchive.work.owing import ending, stop_workers, who_owes

    why = given_reason(reason)
    seconds = parse_span(span).total_seconds()
    if not 0 < seconds <= LONGEST_STOP_SECONDS:
        raise BadInput(
            f"A worker is not stopped for {span}.",
            "Give up to 1d, or declare a pause: `healtharchive worker pause --reason …`.",
        )
    session = begin()
    owed = stop_workers(
        session.database,
        actor=this_process(),
        who=who_owes(os.getppid()),
        why=why,
        seconds=seconds,
        patience_seconds=session.settings.stop_seconds + END_SECONDS,
        end=ending(session.clock),
    )
    if as_json:
        render.print_json(owed)
        return
    for line in owed.done or ("No worker ran on this machine.",):
        print(render.safe(f"{line[0].upper()}{line[1:]}"))
    print(render.safe(f"Its restart is owed by {owed.who}, from {owed.until:%H:%M:%S}Z on."))
