"""`config` shows every setting and its origin; `db` brings the schema up, down, or names it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import read_settings
from healtharchive.settings import Settings, connect

app = typer.Typer()
database_app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel="Set-up")
def config(as_json: Json = False) -> None:
    """Every setting: its value, with secrets masked, and where it was set."""
    from healtharchive.settings.masking import shown

    settings = read_settings()
    render.table(
        shown(settings),
        [
            ("setting", lambda line: line.name),
            ("value", lambda line: f"{line.value} {line.unit}".strip()),
            ("from", lambda line: line.origin),
        ],
        as_json=as_json,
        empty="There are no settings.",
    )
    warn_of_unknown(settings)
    _warn_of_edition_day(settings)


@app.command(rich_help_panel="Set-up")
def version() -> None:
    """The version of this program, and the schema it needs."""
    from healtharchive import __version__
    from healtharchive.model.schema import head

    print(f"healtharchive {__version__}, schema {head()}")


@database_app.command()
def upgrade(to: Annotated[str, typer.Argument(help="A revision.")] = "head") -> None:
    """Bring the database to this program's schema, or to a revision."""
    from healtharchive.model import schema

    settings = read_settings()
    database = connect(settings)
    before = schema.current(database)
    schema.upgrade(database, to)
    after = schema.current(database)
    said = f"was already at {after}" if before == after else f"is now at {after}"
    print(f"The schema of {database.label} {said}.")


@database_app.command()
def downgrade(
    to: Annotated[str, typer.Argument(help="A revision, or `base` for nothing at all.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the schema back. What the newer one held is lost."""
    from healtharchive.model import schema

    settings = read_settings()
    database = connect(settings)
    if not yes:
        typer.confirm(f"Take {database.label} back to {to} and lose what that drops?", abort=True)
    schema.downgrade(database, to)
    print(f"The schema of {database.label} is now at {schema.current(database) or 'base'}.")


@database_app.command()
def current(as_json: Json = False) -> None:
    """The schema the database has, and the one this program needs."""
    from healtharchive.model import schema

    settings = read_settings()
    database = connect(settings)
    found = {
        "database": database.label,
        "schema": schema.current(database),
        "needed": schema.head(),
    }
    render.facts(found, found.items(), as_json=as_json)


def _warn_of_edition_day(settings: Settings) -> None:
    """One line on stderr where `edition_on` is no day: nothing else hangs on it."""
    from healtharchive.model.errors import BadInput
    from healtharchive.settings.edition_day import edition_day

    try:
        edition_day(settings.edition_on)
    except BadInput as error:
        print(f"healtharchive: {error}", file=sys.stderr)


def warn_of_unknown(settings: Settings) -> None:
    """One line on stderr for each HEALTHARCHIVE_ variable that no setting has."""
    for item in settings.unknown:
        hint = f" Did you mean {item.suggestion}?" if item.suggestion else ""
        print(
            f"healtharchive: There is no setting {item.variable} ({item.origin}).{hint}",
            file=sys.stderr,
        )
