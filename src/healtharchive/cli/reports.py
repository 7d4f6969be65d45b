"""What readers reported: `reports` lists it, `report answer` and `report dismiss` settle it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import begin
from healtharchive.cli.suppress import operator_name
from healtharchive.model.errors import BadInput

if TYPE_CHECKING:
    from healtharchive.model.reader_reports import ReaderReport, ReportState

app = typer.Typer()
report = typer.Typer(no_args_is_help=True)
PANEL = "Readers"
LONGEST_NOTE = 5000
Number = Annotated[int, typer.Argument(help="The report's number.")]
Note = Annotated[str, typer.Option(help="What was done or answered, for the journal.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel=PANEL)
def reports(
    every: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 1000,
    as_json: Json = False,
) -> None:
    """List what readers reported and nobody has settled yet, newest first."""
    from healtharchive.model.reader_reports import list_reports

    with begin().database.read() as connection:
        found = list_reports(connection, settled=every, limit=limit)
    if as_json:
        render.print_json(found)
        return
    for each in found:
        _print(each)
    if not found:
        print("There is no report.")


@report.command()
def answer(number: Number, note: Note = "", as_json: Json = False) -> None:
    """Settle a report: something was done or answered. Nothing is sent to the reader by this."""
    from healtharchive.model.reader_reports import ReportState

    _settle(number, ReportState.ANSWERED, note, as_json=as_json)


@report.command()
def dismiss(number: Number, note: Note = "", as_json: Json = False) -> None:
    """Settle a report that asks for nothing one can do."""
    from healtharchive.model.reader_reports import ReportState

    _settle(number, ReportState.DISMISSED, note, as_json=as_json)


def _settle(number: int, state: ReportState, note: str, *, as_json: bool) -> None:
    from healtharchive.model.journal import legible, this_process
    from healtharchive.model.reader_reports import settle

    said = legible(note.strip())
    if not said or len(said) > LONGEST_NOTE:
        raise BadInput(
            "What became of a report has to be said.",
            f'Give --note "…", at most {LONGEST_NOTE} characters.',
        )
    session = begin()
    with session.database.begin() as connection:
        settled = settle(
            session.database,
            connection,
            number,
            state,
            note=said,
            who=operator_name(),
            actor=this_process(),
        )
    if as_json:
        render.print_json(settled)
    else:
        print(f"Report {number} is {state}.")


def _print(each: ReaderReport) -> None:
    about = f"capture {each.capture_id}, {each.url}" if each.capture_id else each.url
    print(render.safe(f"{each.id}  {each.at:%Y-%m-%d %H:%MZ}  {each.kind}  {each.state}  {about}"))
    for line in each.text.splitlines():
        print(render.safe(f"  {line}"))
    if each.contact:
        print(render.safe(f"  contact: {each.contact}"))
    if each.answer:
        print(render.safe(f"  {each.who}: {each.answer}"))
    print()
