"""What is not shown any more: `suppress`, `unsuppress`, `suppressions`."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from healtharchive.model.suppression import Rule
    from healtharchive.search.suppressing import Done, Place

app = typer.Typer()
PANEL = "Readers"
LONGEST_WHY = 2000
CaptureId = Annotated[int | None, typer.Option("--capture", help="This capture alone.")]
Url = Annotated[str | None, typer.Option(help="Every capture of this URL, also later ones.")]
Prefix = Annotated[bool, typer.Option("--prefix", help="With --url: all URLs that begin so.")]
Why = Annotated[str, typer.Option(help="The reason, for the journal; readers do not see it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel=PANEL)
def suppress(
    capture: CaptureId = None,
    url: Url = None,
    prefix: Prefix = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="All of a list that `suppressions --json` made.")
    ] = None,
    why: Why = "",
    report: Annotated[
        int | None, typer.Option(help="The reader's report that asks for it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show nothing more of a capture, a URL or all URLs with a beginning; the bytes are kept."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.suppression import Reason
    from healtharchive.search.suppressing import hide

    if source is not None:
        if capture is not None or url is not None:
            raise BadInput("A list says itself what it is of.", "Give --from alone.")
        _suppress_all(source, as_json=as_json)
        return
    reason = Reason(why=_reason(why), who=operator_name(), report_id=report)
    session = begin()
    with session.database.read() as connection:
        rule = _rule(connection, capture, url, prefix=prefix)
    done = hide(_place(session), rule, reason, actor=this_process())
    if as_json:
        render.print_json(done)
    else:
        _print_done(done)


@app.command(rich_help_panel=PANEL)
def unsuppress(
    number: Annotated[int | None, typer.Option("--id", help="The suppression's number.")] = None,
    capture: CaptureId = None,
    url: Url = None,
    prefix: Prefix = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Lift a suppression: what it hid is shown again, and found when its jobs are indexed again."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.suppression import find_suppression
    from healtharchive.search.suppressing import show_again

    reason = _reason(why)
    session = begin()
    with session.database.read() as connection:
        if number is None:
            number = find_suppression(connection, _rule(connection, capture, url, prefix=prefix))
        elif capture is not None or url is not None:
            raise BadInput("One suppression is lifted at a time.", "Give --id alone.")
    found = show_again(
        _place(session), number, who=operator_name(), why=reason, actor=this_process()
    )
    jobs = sorted({each.job_id for each in found})
    if as_json:
        shown = [each.id for each in found]
        render.print_json({"suppression": number, "captures": shown, "jobs": jobs})
        return
    print(f"Suppression {number} is lifted. Captures that are shown again: {len(found)}.")
    if jobs:
        listed = ", ".join(map(str, jobs))
        print(f"Search finds them when the worker has indexed their jobs again: {listed}.")
        print(f"`healtharchive show-job --id {jobs[0]}` says `indexed` when it has.")


@app.command(rich_help_panel=PANEL)
def suppressions(
    lifted: Annotated[bool, typer.Option("--all", help="Also those that were lifted.")] = False,
    as_json: Json = False,
) -> None:
    """List what is not shown: who decided it, when, and why."""
    from healtharchive.model.suppression import list_suppressions

    with begin().database.read() as connection:
        found = list_suppressions(connection, lifted=lifted)
    render.table(
        found,
        [
            ("id", lambda each: each.id),
            ("at", lambda each: each.at),
            ("kind", lambda each: each.rule.kind),
            ("url", lambda each: each.rule.url),
            ("captures", lambda each: each.captures),
            ("who", lambda each: each.who),
            ("why", lambda each: each.why),
            ("report", lambda each: each.report_id),
            ("lifted", lambda each: each.lifted_at),
        ],
        as_json=as_json,
        empty="Everything is shown.",
    )


def operator_name() -> str:
    """Who gives the command: the person behind sudo, and the machine."""
    name = os.environ.get("SUDO_USER")
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a user without a name
            name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"[:255]


def _suppress_all(path: Path, *, as_json: bool) -> None:
    from healtharchive.model.journal import this_process
    from healtharchive.search.index import SearchIndex
    from healtharchive.search.indexed import remove_suppressed
    from healtharchive.search.suppressing import keep, read_list, restore

    listed = read_list(path)
    session = begin()
    made = restore(session.database, listed, actor=this_process())
    if SearchIndex.exists(session.settings.search_dir):
        index = SearchIndex(session.settings.search_dir)
        for number in made:
            remove_suppressed(session.database, index, number)
    keep(_place(session))
    if as_json:
        render.print_json({"suppressions": made})
    else:
        print(f"Suppressions that were made: {len(made)}. The others were there.")


def _place(session: Session) -> Place:
    from healtharchive.search.suppressing import Place

    return Place(session.database, session.settings.search_dir, session.settings.jobs_root)


def _reason(why: str) -> str:
    from healtharchive.model.journal import legible

    reason = legible(why.strip())
    if not reason or len(reason) > LONGEST_WHY:
        raise BadInput(
            "A suppression needs its reason.", f'Give --why "…", at most {LONGEST_WHY} characters.'
        )
    return reason


def _rule(connection: Connection, capture: int | None, url: str | None, *, prefix: bool) -> Rule:
    from healtharchive.model.suppression import Rule, RuleKind, rule_of_capture
    from healtharchive.web.cdx_query import span_of
    from healtharchive.web.original import is_usable

    if (capture is None) == (url is None) or (prefix and url is None):
        raise BadInput("A suppression is of one thing.", "Give --capture ID or --url URL.")
    if capture is not None:
        return rule_of_capture(connection, capture)
    assert url is not None
    if not is_usable(url):
        raise BadInput(
            f"'{url[:80]}' is no URL of the web.", "Give one such as https://example.org/a."
        )
    first, end = span_of(url, "prefix" if prefix else "exact")
    kind = RuleKind.PREFIX if prefix else RuleKind.URL
    return Rule(kind=kind, url=url, first_key=first, end_key=end)


def _print_done(done: Done) -> None:
    made = done.suppression
    state = "is made" if done.new else "was there already"
    print(render.safe(f"Suppression {made.id} of {made.rule.kind} {made.rule.url} {state}."))
    print(f"Captures that are not shown any more: {made.captures}. Their bytes are kept.")
    if done.same_bodies:
        print(
            f"Captures that are shown and have the same body: {done.same_bodies}. "
            "Suppress their URLs too if that body is what must not be seen."
        )
