"""`doctor` looks at this machine and says what is wrong with it, and what mends that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render

if TYPE_CHECKING:
    from healtharchive.cli.machine.checks import Checked

app = typer.Typer()


@app.command(rich_help_panel="Set-up")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check this machine: OK, UNKNOWN, WARN or FAIL for each part, with what mends it.

    Ends with 0 when all is OK, 1 with a WARN or something unknown, 2 with a FAIL.
    """
    from healtharchive.cli.machine.checks import worst
    from healtharchive.cli.machine.examining import examine

    found: list[Checked] = []
    for each in examine():
        found.append(each)
        if not as_json:
            tell(each)
    if as_json:
        render.print_json(found)
    raise typer.Exit(worst(found))


def tell(each: Checked) -> None:
    """Print what was found in a line, whatever a program said in several, and the cure below it."""
    sentence = " ".join(each.sentence.split())
    print(render.safe(f"{each.level:<7}  {each.about}: {sentence}"), flush=True)
    if each.cure:
        print(render.safe(f"         → {each.cure}"), flush=True)
