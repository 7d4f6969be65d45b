"""`incident draft`: the document of what went wrong, written from the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from healtharchive.cli.journal import SPAN, parse_span
from healtharchive.cli.session import begin
from healtharchive.model.errors import BadInput

app = typer.Typer(no_args_is_help=True)
EXIT_NOTHING = 1


@app.command()
def draft(
    since: Annotated[
        str, typer.Option(help="When it began, such as 2026-01-24T05:45Z, or how long ago: 6h.")
    ],
    until: Annotated[
        str, typer.Option(help="When it ended, in the same way; now if left out.")
    ] = "",
    title: Annotated[
        str, typer.Option(help="Its title; made up from what failed if left out.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="The file to write; it must not be there yet.")
    ] = None,
) -> None:
    """Write an incident document as Markdown, from events, alerts, actions and measurements."""
    import socket

    from healtharchive import __version__
    from healtharchive.model.retention import retired_files
    from healtharchive.steward import incident
    from healtharchive.steward.incident_records import gather
    from healtharchive.steward.retired_files import where

    session = begin()
    with session.database.read() as connection:
        now = session.database.now(connection)
    begun, ended = parse_moment(since, now), parse_moment(until, now) if until else now
    if begun >= ended:
        raise BadInput("The span ends before it begins.", "Give --since an earlier time.")
    records = gather(
        session.database,
        session.settings,
        begun,
        ended,
        host=socket.gethostname(),
        version=__version__,
    )
    if records is None:
        print(
            f"The journal has nothing between {begun:%Y-%m-%dT%H:%M:%SZ} and "
            f"{ended:%Y-%m-%dT%H:%M:%SZ}."
        )
        with session.database.read() as connection:
            files = retired_files(connection, begun, ended)
        if files:
            print(where(files))
        raise typer.Exit(EXIT_NOTHING)
    text = incident.draft(records, title)
    if output is None:
        print(text, end="")
        return
    _write(output, text)
    print(f"The draft is in {output}.")


def parse_moment(text: str, now: datetime) -> datetime:
    """A moment as ISO 8601 writes it (UTC unless it says else), or a length of time before now."""
    if SPAN.fullmatch(text.strip().lower()):
        return now - parse_span(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(
            f"'{text}' is no moment.", "Give one such as 2026-01-24T05:45Z, or a span such as 6h."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _write(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(
            f"The draft cannot be written to {path}: {error.strerror}.", "Give another --output."
        ) from error
