"""`healtharchive export dataset`: a table of what the archive has, to take away."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, progress, render
from healtharchive.cli.progress import Standing
from healtharchive.cli.session import begin
from healtharchive.model.errors import BadInput, SetupError

if TYPE_CHECKING:
    from healtharchive.model.collection import CollectionName


class TableName(StrEnum):
    """The tables that `search.dataset.tables` has, without what it imports."""

    CAPTURES = "captures"
    TEXT = "text"
    CHANGES = "changes"


class FormatName(StrEnum):
    """The forms that `search.dataset.files` has."""

    PARQUET = "parquet"
    CSV = "csv"


def dataset(
    table: Annotated[
        TableName, typer.Argument(help="Captures, the text of pages, or what changed.")
    ],
    source: Annotated[str | None, typer.Option(help="All that a source has.")] = None,
    campaign: Annotated[str | None, typer.Option(help="All that a campaign has.")] = None,
    form: Annotated[FormatName, typer.Option("--format", help="The form of its files.")] = (
        FormatName.PARQUET
    ),
    output: Annotated[
        Path | None,
        typer.Option(
            help="The directory to make it in; by default datasets_dir, where the web offers it."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a data set of a source or a campaign, with its dictionary and its checksums."""
    name = _named(source, campaign)
    session = begin()
    from healtharchive.search.dataset import export as writing
    from healtharchive.search.dataset import files, tables

    settings = session.settings
    order = writing.Order(
        tables.TableName(table),
        files.Format(form),
        name,
        settings.operator,
        settings.public_url.rstrip("/"),
    )
    with session.database.read() as connection:
        now = session.database.now(connection)  # the clock that suppressions go by
    rows = 0

    def watch(count: int) -> None:
        nonlocal rows
        rows = count

    into = output or settings.datasets_dir
    try:
        with progress.shown(lambda: Standing(f"{rows} rows written")):
            made = writing.export(order, into, session.database, settings.search_dir, now, watch)
    except OSError as error:
        said = error.strerror or str(error)
        raise SetupError(
            f"The data set cannot be written into {into}: {said}.", "Choose another --output."
        ) from None
    if as_json:
        facts = {"directory": made.directory, "rows": made.data.rows, "files": made.data.files}
        render.print_json(facts)
    else:
        print(f"{made.directory}: {made.data.rows} rows, {messages.size(made.size_bytes)}")


def _named(source: str | None, campaign: str | None) -> CollectionName:
    from healtharchive.model.collection import CollectionKind, CollectionName

    asked = ((CollectionKind.SOURCE, source), (CollectionKind.CAMPAIGN, campaign))
    found = [CollectionName(kind, name) for kind, name in asked if name is not None]
    if len(found) != 1:
        raise BadInput(
            "A data set is of one source or one campaign.",
            "Give one of --source CODE, --campaign NAME.",
        )
    return found[0]
