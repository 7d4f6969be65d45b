"""`serve`: the web pages and the API, and their declared pause."""

from __future__ import annotations

from typing import Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.journal import parse_span
from healtharchive.cli.session import begin
from healtharchive.cli.suppress import operator_name
from healtharchive.cli.workers import Json, Reason, given_reason
from healtharchive.model.errors import BadInput

app = typer.Typer(invoke_without_command=True)
END_SECONDS = 60.0  # for the requests that are being answered, and what runs beside them


@app.callback()
def serve(context: typer.Context) -> None:
    """Serve the web pages and the API until SIGTERM or Ctrl-C; or pause and resume who does."""
    if context.invoked_subcommand is not None:
        return
    from healtharchive.web.server import serve as serve_pages

    session = begin()
    raise typer.Exit(serve_pages(session.settings, session.database))


@app.command()
def pause(
    reason: Reason,
    span: Annotated[
        str, typer.Option("--for", help="How long, such as 2h; until `resume` when left out.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Stop this machine's web pages; nobody starts them again meanwhile."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.pausing import pause_now
    from healtharchive.model.services import Service
    from healtharchive.work.owing import ending, pause_pages

    why, actor = given_reason(reason), this_process()
    length = parse_span(span) if span else None
    session = begin()
    database = session.database
    with database.read() as connection:
        until = database.now(connection) + length if length else None
    done = pause_pages(
        database,
        actor=actor,
        who=operator_name(),
        why=why,
        until=until,
        patience_seconds=END_SECONDS,
        end=ending(session.clock),
    )
    if as_json:
        with database.read() as connection:
            held = pause_now(database, connection, actor.host, service=Service.SERVE)
        render.print_json(held)
        return
    for line in done or ("No web pages were served on this machine.",):
        print(render.safe(f"{line[0].upper()}{line[1:]}"))
    end = f"until {until:%Y-%m-%d %H:%M:%S}Z" if until else "until `healtharchive serve resume`"
    print(f"The web pages are paused {end}.")


@app.command()
def resume(reason: Reason = "an operator asked", as_json: Json = False) -> None:
    """End the declared pause: the steward starts the pages that systemd ran."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.pausing import end_pauses
    from healtharchive.model.services import Service

    why, actor = given_reason(reason), this_process()
    session = begin()
    database = session.database
    with database.begin() as connection:
        ended = end_pauses(
            database, connection, why, actor=actor, service=Service.SERVE, host=actor.host
        )
    if not ended:
        raise BadInput(
            "No pause of this machine's web pages is declared.",
            "`healtharchive status` shows what is.",
        )
    if as_json:
        render.print_json(ended)
        return
    for each in ended:
        print(render.safe(f"The pause of {each.who} has ended ({each.why})."))
