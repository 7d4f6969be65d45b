"""`backup`: copies of the database made now, listed, tried, and fetched from a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.cli.steward import steward_means
from healtharchive.model.errors import NotFound, SetupError

if TYPE_CHECKING:
    from healtharchive.steward.rounds import Told

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def now(as_json: Json = False) -> None:
    """Make a backup of the database now."""
    from healtharchive.steward.backups import MAKE

    _tell(_done(begin(), MAKE), as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every backup that is kept, the newest first, and when it was last restored as a test."""
    from healtharchive.model.told import last_of_each
    from healtharchive.steward.backup_files import kept_in
    from healtharchive.steward.backups import SUBJECT, TRY

    session = begin()
    kept = kept_in(session.settings.backup_dir)
    with session.database.read() as connection:
        tried = last_of_each(connection, SUBJECT, (TRY, f"{TRY}_failed"))
    if as_json:
        render.print_json(
            [
                {
                    "name": each.name,
                    "made_at": each.backup.made_at,
                    "size_bytes": each.backup.size_bytes,
                    "sha256": each.backup.sha256,
                    "rows": each.backup.facts.rows,
                    "schema": each.backup.facts.revision,
                    "whole": each.whole,
                    "tried_at": tried[each.name].at if each.name in tried else None,
                    "tried_well": tried[each.name].what == TRY if each.name in tried else None,
                }
                for each in kept
            ]
        )
        return
    columns: list[render.Column] = [
        ("backup", lambda each: each.name),
        ("made", lambda each: each.backup.made_at),
        ("bytes", lambda each: f"{each.backup.size_bytes:,}"),
        ("rows", lambda each: f"{each.backup.facts.rows:,}"),
        ("file", lambda each: "whole" if each.whole else "DAMAGED"),
        ("restored as a test", lambda each: _tried(each.name)),
    ]

    def _tried(name: str) -> str:
        told = tried.get(name)
        if told is None:
            return "never"
        return f"{told.at:%Y-%m-%d %H:%M:%SZ}{'' if told.what == TRY else ' FAILED'}"

    empty = "There is no backup. `healtharchive backup now` makes one."
    render.table(kept, columns, as_json=False, empty=empty)


@app.command("test")
def try_(
    name: Annotated[str | None, typer.Argument(help="A backup's file name; the newest.")] = None,
    as_json: Json = False,
) -> None:
    """Restore a backup beside the database, compare it with what was backed up, take it away."""
    from healtharchive.steward.backup_files import kept_in
    from healtharchive.steward.backups import TRY

    session = begin()
    kept = [each.name for each in kept_in(session.settings.backup_dir)]
    if not kept:
        raise NotFound(
            f"There is no backup in {session.settings.backup_dir}.",
            "`healtharchive backup now` makes one.",
        )
    if name is not None and name not in kept:
        raise NotFound(
            f"There is no backup '{name}'.", "`healtharchive backup list` shows those there are."
        )
    _tell(_done(session, TRY, name or kept[0]), as_json)


@app.command()
def fetch(
    target: Annotated[str, typer.Argument(help="The target's name.")],
    name: Annotated[str, typer.Argument(help="A backup's file name; the newest.")] = "",
    archive: Annotated[
        str, typer.Option(help="Whose: a directory below the target's `_backups`; our own.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Have a backup that lies on a target among those that are kept here, whole."""
    from healtharchive.steward.backups import Backups
    from healtharchive.steward.storage import Storage

    session = begin()
    means = steward_means(session)
    Storage(means).declare()
    facts = Backups(means).fetch(target, archive, name)
    if as_json:
        render.print_json(facts)
        return
    came = "it was fetched" if facts["came"] else "it was here already"
    said = f"{facts['name']} of {facts['archive']}: {came}, with {facts['rows']} rows."
    if facts["retired_files"]:
        said += f" {facts['retired_files']} files of retired events came too."
    print(render.safe(f"{said} `healtharchive backup test {facts['name']}` tries it."))


def _done(session: Session, what: str, name: str = "") -> Told:
    """What became of the one step that was asked for; SetupError when it was not taken."""
    from healtharchive.model.actions import APPLIED
    from healtharchive.steward.backups import Backups
    from healtharchive.steward.rounds import take_round

    means = steward_means(session)
    (told,) = take_round(Backups(means, asked=what, asked_name=name), means)
    if told.outcome != APPLIED:
        raise SetupError(told.why if told.why.endswith((".", "`")) else f"{told.why}.")
    return told


def _tell(told: Told, as_json: bool) -> None:
    if as_json:
        render.print_json({"name": told.step.subject_id, "what": told.step.what, "told": told.why})
        return
    print(render.safe(f"{told.step.subject_id}: {told.why}."))
