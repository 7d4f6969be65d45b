"""`steward`: the process that looks after the archive, and each of its reconcilers by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import BadInput, NotFound

if TYPE_CHECKING:
    from healtharchive.steward.means import StewardMeans

app = typer.Typer(invoke_without_command=True)
BY_TARGET = ("storage", "shipping", "fixity")


@app.callback()
def steward(context: typer.Context) -> None:
    """Look at targets, mend mounts, ship and re-read segments, until SIGTERM or Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    from healtharchive.steward.process import run

    session = begin()
    raise typer.Exit(run(session.settings, session.database, session.clock))


@app.command()
def run(
    reconciler: Annotated[str, typer.Argument(help="Its name; a wrong one lists them.")],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done and mend nothing; a look is noted as one."
        ),
    ] = False,
    target: Annotated[
        str | None, typer.Option(help="This target only: storage, shipping and fixity have some.")
    ] = None,
) -> None:
    """One round of one reconciler, now."""
    session = begin()
    if reconciler in BY_TARGET:
        lines = {"storage": _storage, "shipping": _shipping, "fixity": _fixity}[reconciler](
            session, target, dry_run
        )
    elif target:
        raise BadInput(
            f"The reconciler {reconciler} has no targets.",
            f"--target goes with {', '.join(BY_TARGET)}.",
        )
    else:
        lines = _other(session, reconciler, dry_run)
    for line in lines:
        print(render.safe(line))
    if not lines:
        print("Nothing to do.")


def _other(session: Session, name: str, dry_run: bool) -> list[str]:
    from healtharchive.steward.reconcilers import reconcilers
    from healtharchive.steward.rounds import take_round

    means = steward_means(session)
    known = {each.name: each for each in reconcilers(means)}
    if name not in known:
        raise NotFound(
            f"There is no reconciler '{name}'.", f"There are {', '.join([*BY_TARGET, *known])}."
        )
    lines = []
    for told in take_round(known[name], means, dry_run=dry_run):
        not_now = f"; but not now: {told.why}" if told.outcome == "refused" else ""
        lines.append(f"{told.step.sentence}{not_now}")
    return lines


def _storage(session: Session, target: str | None, dry_run: bool) -> list[str]:
    from healtharchive.steward.recovery import sentences
    from healtharchive.steward.storage import Storage

    storage = Storage(steward_means(session))
    lines: list[str] = []
    storage.declare()
    for name in [target] if target else storage.names():
        if not dry_run:
            repair = storage.turn(name)
            lines += sentences([repair]) if repair else []
            continue
        seen, repair = storage.observe(name)
        if repair is None:
            continue
        lines += sentences([repair])
        objection = "" if repair.hold else storage.objection(seen, repair)
        lines += [f"  but not now: {objection}"] if objection else []
    return lines


def _shipping(session: Session, target: str | None, dry_run: bool) -> list[str]:
    from healtharchive.steward.shipping import Shipping

    shipping = Shipping(steward_means(session))
    lines: list[str] = []
    for name in [target] if target else shipping.targets():
        if dry_run:
            lines += [f"ship {each.name} to {name}" for each in shipping.plan(name)]
        elif number := shipping.turn(name):
            lines.append(f"{number} segments have a verified copy on {name}")
    return lines


def _fixity(session: Session, target: str | None, dry_run: bool) -> list[str]:
    from healtharchive.steward.fixity import Fixity

    fixity = Fixity(steward_means(session))
    lines: list[str] = []
    for name in [target] if target else fixity.targets():
        due = fixity.plan(name)
        if dry_run:
            lines += [f"read {each.name} on {name} again" for each in due]
            continue
        bad = fixity.turn(name)
        lines += [f"{len(due)} copies on {name} were read again, {bad} are bad"] if due else []
    return lines


def steward_means(session: Session) -> StewardMeans:
    """What a reconciler works with, for one round of a command."""
    from healtharchive.steward.means import StewardMeans
    from healtharchive.work.stopping import Stop

    return StewardMeans(
        settings=session.settings,
        database=session.database,
        clock=session.clock,
        stop=Stop(session.clock),
    )
