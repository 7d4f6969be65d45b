"""`token`: who may use the operations pages and the admin API."""

from __future__ import annotations

from typing import Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import begin
from healtharchive.model.errors import BadInput

app = typer.Typer(no_args_is_help=True)
LONGEST_WHY = 2000
Name = Annotated[str, typer.Argument(help="The token's name, which the journal will show.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, jobs, reports or admin (all of it); may be given several times."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lasts.")] = 90,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once."""
    from datetime import timedelta

    from healtharchive.model import tokens
    from healtharchive.model.journal import this_process

    known = list(tokens.Scope)
    for each in scope or ():
        if each not in known:
            raise BadInput(f"There is no scope '{each}'.", f"The scopes are: {', '.join(known)}.")
    secret = tokens.new_secret()
    session = begin()
    with session.database.begin() as connection:
        made = tokens.create_token(
            session.database,
            connection,
            name,
            [tokens.Scope(each) for each in scope or ["read"]],
            timedelta(days=days),
            secret,
            actor=this_process(),
        )
    if as_json:
        render.print_json({"token": secret, **render.plain(made)})
        return
    print(secret)
    typer.echo(
        f"It may {', '.join(made.scopes)} until {made.expires_at:%Y-%m-%d %H:%MZ}; "
        "nobody can show it again.",
        err=True,
    )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every token: what it is good for, until when, and when it was last used."""
    from healtharchive.model.tokens import list_tokens

    session = begin()
    with session.database.read() as connection:
        found = list_tokens(connection)
    render.table(
        found,
        [
            ("token", lambda each: each.name),
            ("scopes", lambda each: ", ".join(each.scopes)),
            ("created", lambda each: each.created_at),
            ("expires", lambda each: each.expires_at),
            ("revoked", lambda each: each.revoked_at),
            ("used", lambda each: each.used_at),
        ],
        as_json=as_json,
        empty="There is no token. `healtharchive token create NAME --scope read` makes one.",
    )


@app.command()
def revoke(
    name: Name,
    why: Annotated[str, typer.Option(help="The reason, for the journal.")] = "",
    as_json: Json = False,
) -> None:
    """Let a token in no more, from this moment on."""
    from healtharchive.model.journal import legible, this_process
    from healtharchive.model.tokens import revoke_token

    said = legible(why.strip())[:LONGEST_WHY] or "an operator asked"
    session = begin()
    with session.database.begin() as connection:
        gone = revoke_token(session.database, connection, name, why=said, actor=this_process())
    if as_json:
        render.print_json(gone)
    else:
        print(f"Token {name} is revoked.")
