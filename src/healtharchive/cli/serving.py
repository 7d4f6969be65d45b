"""`serve`: the web pages and the API, and their declared pause."""

from __future__ import annotations

import typer

from healtharchive.cli import render
from healtharchive.cli.pausing import Json, Reason, Span, end_pause, pause_asked, tell_pause
from healtharchive.cli.session import begin
from healtharchive.cli.suppress import operator_name

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
def pause(reason: Reason, span: Span = "", as_json: Json = False) -> None:
    """Stop this machine's web pages; nobody starts them again meanwhile."""
    from healtharchive.model.services import Service
    from healtharchive.work.owing import ending, pause_pages

    asked = pause_asked(reason, span)
    done = pause_pages(
        asked.session.database,
        actor=asked.actor,
        who=operator_name(),
        why=asked.why,
        until=asked.until,
        patience_seconds=END_SECONDS,
        end=ending(asked.session.clock),
    )
    for line in () if as_json else done or ("No web pages were served on this machine.",):
        print(render.safe(f"{line[0].upper()}{line[1:]}"))
    tell_pause(asked, Service.SERVE, asked.actor.host, as_json=as_json)


@app.command()
def resume(reason: Reason = "an operator asked", as_json: Json = False) -> None:
    """End the declared pause: the steward starts the pages that systemd ran."""
    from healtharchive.model.services import Service

    end_pause(Service.SERVE, reason, here=True, as_json=as_json)
