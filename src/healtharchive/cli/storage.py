"""`storage`: how the targets are, a look at one, a rehearsal of its repair, and its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import Session, begin
from healtharchive.cli.steward import steward_means
from healtharchive.model.errors import BadInput, NotFound

if TYPE_CHECKING:
    from healtharchive.model.targets import Target

app = typer.Typer(no_args_is_help=True)
evidence_app = typer.Typer(no_args_is_help=True)
app.add_typer(evidence_app, name="evidence", help="The bundles kept before and after a repair.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The target's name.")]


@app.command()
def status(as_json: Json = False) -> None:
    """Every target: its breaker, what the last look found, and what is on it. Touches no path."""
    from healtharchive.model.copies import tally
    from healtharchive.model.targets import list_targets, waiting_for

    session = begin()
    with session.database.read() as connection:
        now = session.database.now(connection)
        found = list_targets(connection)
        copies = {each.name: tally(connection, each.name) for each in found if each.ship}
        waiting = {each.name: waiting_for(connection, each.name) for each in found}
    if as_json:
        render.print_json(
            [
                {
                    "target": each,
                    "copies": copies.get(each.name),
                    "jobs_waiting": waiting[each.name],
                }
                for each in found
            ]
        )
        return
    columns: list[render.Column] = [
        ("target", lambda each: each.name),
        ("kind", lambda each: each.kind),
        ("breaker", lambda each: f"{each.state} since {messages.moment(each.since, now)}"),
        ("last look", lambda each: each.verdict or "never"),
        ("healthy", lambda each: _moment(each.last_healthy_at, now)),
        ("copies", lambda each: _copies(copies.get(each.name))),
        ("trouble", lambda each: each.last_error if each.verdict != "healthy" else ""),
    ]
    render.table(found, columns, as_json=False, empty="No target is declared.")


@app.command()
def probe(name: Name, as_json: Json = False) -> None:
    """Look at a target now, as the steward does; exit code 1 when it is not healthy."""
    from healtharchive.steward.storage import Storage

    storage = Storage(steward_means(begin()))
    storage.declare()
    seen, _ = storage.observe(name)
    found = seen.inspection
    if as_json:
        render.print_json(found)
    else:
        print(render.safe(f"{name} is {found.verdict} {found.detail}".rstrip()))
    raise typer.Exit(0 if found.healthy else 1)


@app.command()
def drill(name: Name, as_json: Json = False) -> None:
    """Rehearse: mount the target at a scratch place, kill that mount, recover it, take it away."""
    from healtharchive.steward.drill import rehearse

    session = begin()
    result = rehearse(steward_means(session), _target(session, name).definition)
    if as_json:
        render.print_json(result)
    else:
        for step in result.steps:
            print(render.safe(f"{step.seconds:6.2f} s  {step.what}: {step.detail}"))
        print(f"The drill of {name} {'went well' if result.ok else 'FAILED'}.")
    raise typer.Exit(0 if result.ok else 1)


@evidence_app.command("list")
def list_bundles(as_json: Json = False) -> None:
    """Every bundle that is kept, the newest last."""
    found = sorted(begin().settings.evidence_dir.glob("*.json"))
    columns: list[render.Column] = [("bundle", lambda path: path.name)]
    render.table(found, columns, as_json=as_json, empty="No evidence was collected yet.")


@evidence_app.command("show")
def show_bundle(bundle: Annotated[str, typer.Argument(help="A bundle's file name.")]) -> None:
    """What a bundle holds, and the cause that it points to."""
    from healtharchive.storage.diagnosis import diagnose

    kept = _bundle(bundle)
    cause = diagnose(kept)
    print(render.safe(f"{cause.kind}: {cause.sentence}"))
    for line in cause.because:
        print(render.safe(f"  {line}"))
    render.print_json(kept)


@evidence_app.command("diff")
def diff_bundles(
    before: Annotated[str, typer.Argument(help="The bundle from before a repair.")],
    after: Annotated[str, typer.Argument(help="The one from after it.")],
) -> None:
    """What changed between two bundles."""
    from healtharchive.storage.evidence import diff

    for line in diff(_bundle(before), _bundle(after)) or ["Nothing changed."]:
        print(render.safe(line))


def _bundle(name: str) -> Any:
    from healtharchive.storage.evidence import read

    path = Path(name) if "/" in name else begin().settings.evidence_dir / name
    try:
        return read(path)
    except FileNotFoundError:
        raise NotFound(
            f"There is no bundle {path}.", "`healtharchive storage evidence list` shows them."
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be read: {error}.", "Name a bundle of this archive."
        ) from error


def _target(session: Session, name: str) -> Target:
    from healtharchive.model.targets import get_target
    from healtharchive.steward.storage import Storage

    Storage(steward_means(session)).declare()
    with session.database.read() as connection:
        return get_target(connection, name)


def _moment(at: Any, now: Any) -> str:
    return messages.moment(at, now) if at is not None else "never"


def _copies(found: Any) -> str:
    if found is None:
        return ""
    bad = f", {found.bad} BAD" if found.bad else ""
    waiting = f", {found.waiting} waiting" if found.waiting else ""
    return f"{found.verified} verified{bad}{waiting}"
