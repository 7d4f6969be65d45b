"""The long-lived processes: `worker`, `serve`, and `up` for all in one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from healtharchive.cli import serving, workers
from healtharchive.cli.session import Session, begin

app = typer.Typer()
PANEL = "Running"
STEWARD_SECONDS = 10.0  # for its looks and its shipping to end
app.add_typer(workers.app, name="worker", rich_help_panel=PANEL)
app.add_typer(serving.app, name="serve", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def up() -> None:
    """A whole archive in one process: worker, steward and web pages, on a database of its own."""
    from healtharchive.cli.catalogue import enter_sources
    from healtharchive.work.worker import run

    session = begin(embedded=True)
    enter_sources(session)
    status = run(session.settings, session.database, session.clock, beside=_beside(session))
    raise typer.Exit(status)


@contextmanager
def _beside(session: Session) -> Iterator[None]:
    """Pages are served and targets looked after meanwhile; both end with this process."""
    from healtharchive.cli.steward import steward_means
    from healtharchive.steward.process import Steward

    means = steward_means(session)
    steward = threading.Thread(target=Steward(means).work, name="steward", daemon=True)
    threading.Thread(target=_serve, args=(session,), name="web", daemon=True).start()
    steward.start()
    try:
        yield
    finally:
        means.stop.ask("its process stops")
        steward.join(STEWARD_SECONDS)


def _serve(session: Session) -> None:
    """The pages of `up`. When they cannot be served, the worker goes on; the log says why."""
    import logging

    from healtharchive.model.errors import HealthArchiveError
    from healtharchive.web.server import serve as serve_pages

    try:
        serve_pages(session.settings, session.database)
    except HealthArchiveError as error:
        logging.getLogger(__name__).error("%s", error)
