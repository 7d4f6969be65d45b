"""The declared pause of a service at the command line: what is asked, and how its end is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.journal import parse_span
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.model.journal import Actor
    from healtharchive.model.services import Service

LONGEST_REASON = 500
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why, for the journal and whoever looks.")]
Span = Annotated[
    str, typer.Option("--for", help="How long, such as 2h; until `resume` when left out.")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A pause that is asked for, and of which archive."""

    session: Session
    actor: Actor
    why: str
    until: datetime | None  # None: until somebody resumes


def pause_asked(reason: str, span: str) -> Asked:
    """What the words of a command ask for. BadInput where they ask for nothing."""
    from healtharchive.model.journal import this_process

    why = given_reason(reason)
    length = parse_span(span) if span else None
    session = begin()
    with session.database.read() as connection:
        until = session.database.now(connection) + length if length else None
    return Asked(session, this_process(), why, until)


def tell_pause(asked: Asked, service: Service, host: str | None, *, as_json: bool) -> None:
    """Print that the service is paused now, and until when."""
    from healtharchive.model.pausing import CALLED, pause_now

    database = asked.session.database
    if as_json:
        with database.read() as connection:
            held = pause_now(database, connection, host, service=service)
        render.print_json(held)
        return
    end = f"until `healtharchive {service} resume`"
    if asked.until is not None:
        end = f"until {asked.until:%Y-%m-%d %H:%M:%S}Z"
    print(f"The {CALLED[service]} are paused {end}.")


def end_pause(service: Service, reason: str, *, here: bool, as_json: bool) -> None:
    """End the declared pauses of a service and tell whose they were; with `here` this machine's.

    BadInput when there is none.
    """
    from healtharchive.model.journal import this_process
    from healtharchive.model.pausing import CALLED, end_pauses

    why, actor = given_reason(reason), this_process()
    host = actor.host if here else None
    database = begin().database
    with database.begin() as connection:
        ended = end_pauses(database, connection, why, actor=actor, service=service, host=host)
    if not ended:
        where = " on this machine" if here else ""
        raise BadInput(
            f"No pause of the {CALLED[service]} is declared{where}.",
            "`healtharchive status` shows what is.",
        )
    if as_json:
        render.print_json(ended)
        return
    for each in ended:
        print(render.safe(f"The pause of {each.who} has ended ({each.why})."))


def given_reason(text: str) -> str:
    """A reason as the journal takes it; BadInput when there is none."""
    said = " ".join(text.split())
    if not said or len(said) > LONGEST_REASON:
        raise BadInput(
            "A reason is needed, in one sentence.", "Give it: `--reason 'disk is replaced'`."
        )
    return said
