"""The long-lived processes: `worker`, `serve`, and `up` for both in one."""

from __future__ import annotations

import threading

import typer

from healtharchive.cli.session import Session, begin

app = typer.Typer()
PANEL = "Running"


@app.command(rich_help_panel=PANEL)
def worker() -> None:
    """Claim jobs and run them until SIGTERM or Ctrl-C."""
    from healtharchive.work.worker import run

    session = begin()
    raise typer.Exit(run(session.settings, session.database, session.clock))


@app.command(rich_help_panel=PANEL)
def serve() -> None:
    """Serve the web pages and the API until SIGTERM or Ctrl-C."""
    from healtharchive.web.server import serve as serve_pages

    session = begin()
    raise typer.Exit(serve_pages(session.settings, session.database))


@app.command(rich_help_panel=PANEL)
def up() -> None:
    """A whole archive in one process: a worker and the web pages, on a database of its own."""
    from healtharchive.cli.catalogue import enter_sources
    from healtharchive.work.worker import run

    session = begin(embedded=True)
    enter_sources(session)
    pages = threading.Thread(target=_serve, args=(session,), name="web", daemon=True)
    pages.start()
    raise typer.Exit(run(session.settings, session.database, session.clock))


def _serve(session: Session) -> None:
    """The pages of `up`. When they cannot be served, the worker goes on; the log says why."""
    import logging

    from healtharchive.model.errors import HealthArchiveError
    from healtharchive.web.server import serve as serve_pages

    try:
        serve_pages(session.settings, session.database)
    except HealthArchiveError as error:
        logging.getLogger(__name__).error("%s", error)
