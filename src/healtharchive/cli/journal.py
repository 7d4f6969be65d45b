"""The journal at the command line: `why` tells one thing's story, `events` lists what happened."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.fold import fold
from healtharchive.cli.session import begin
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.model.journal import Event

app = typer.Typer()
PANEL = "What happened"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FOLLOW_SECONDS = 1.0
SPAN = re.compile(r"(\d+)\s*(s|min|m|h|d)")
UNIT_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
MOST_EVIDENCE = 6


@app.command(rich_help_panel=PANEL)
def why(
    subject: Annotated[
        str, typer.Argument(help="What kind of thing: job, target, campaign, worker, source …")
    ],
    subject_id: Annotated[
        str,
        typer.Argument(
            help="Which one: its number or name. Of a worker, steward or serve it may be left "
            "out: the newest."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """What happened to one thing, who did it, and why; what repeats is told once. What comes next.

    `why worker` names who stopped it, and when it is started again.
    """
    from healtharchive.cli.story import tell
    from healtharchive.steward.retired_files import where

    session = begin()
    told = tell(session, subject, subject_id)
    _tell_retired(where(told.retired))
    if as_json:
        render.print_json(
            {"events": told.events, "next": told.next, "only_you": told.only_you or None}
        )
        return
    _tell(told.events, session.clock.now())
    for sentence in told.next:
        print(render.safe(f"Next: {sentence}"))
    if told.only_you:
        print(render.safe(f"Only you: {told.only_you}"))


@app.command(rich_help_panel=PANEL)
def events(
    since: Annotated[str, typer.Option(help="How far back, such as 90s, 20min, 1h or 2d.")] = "1h",
    follow: Annotated[bool, typer.Option("--follow", help="Go on as more happens.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 1000,
    as_json: Json = False,
) -> None:
    """Every state change and automatic action, oldest first; one JSON object a line with --json."""
    from healtharchive.model.journal import read
    from healtharchive.model.retention import retired_files
    from healtharchive.steward.retired_files import where

    span = parse_span(since)
    session = begin()
    with session.database.read() as connection:
        begun = session.database.now(connection) - span
        found = read(connection, since=begun, limit=limit)
        files = retired_files(connection, begun)
    _tell_retired(where(files))
    last = _print_events(found, as_json=as_json)
    while follow:
        time.sleep(FOLLOW_SECONDS)
        with session.database.read() as connection:
            found = read(connection, since=begun, after_id=last, limit=limit)
        last = max(last, _print_events(found, as_json=as_json))


def parse_span(text: str) -> timedelta:
    """A length of time such as `90s`, `20min`, `1h`, `2d`; BadInput for anything else."""
    found = SPAN.fullmatch(text.strip().lower())
    if found is None or len(found[1]) > 6:
        raise BadInput(f"'{text}' is no length of time.", "Give one such as 90s, 20min, 1h or 2d.")
    return timedelta(seconds=int(found[1]) * UNIT_SECONDS[found[2]])


def _tell_retired(sentence: str) -> None:
    """Where the events are that the database has no more; beside what is printed, not in it."""
    if sentence:
        print(render.safe(sentence), file=sys.stderr)


def _print_events(found: list[Event], *, as_json: bool) -> int:
    for event in found:
        if as_json:
            render.print_json_line(event)
        else:
            print(f"{event.at:%Y-%m-%d %H:%M:%S}Z  {messages.event_text(event)}", flush=True)
    return found[-1].id if found else 0


def _tell(told: Sequence[Event], now: datetime) -> None:
    for passage in fold(told, lambda event: (event.what, event.why, event.to_state)):
        for event in passage.last:
            print(f"{messages.moment(event.at, now)}  {messages.event_text(event)}")
            print(f"    by {messages.actor_text(event)}")
            known = [(name, value) for name, value in event.evidence.items() if value is not None]
            shown = known[:MOST_EVIDENCE]
            if shown:
                print("    " + ", ".join(f"{name}: {value}" for name, value in shown))
        if passage.times > 1:
            first = passage.first[0]
            lasted = messages.apart(first.at, passage.last[-1].at).total_seconds()
            print(f"    … {passage.times} times in {messages.span(lasted)}")
