"""`deploy`: may a new version go live, the lock that says so, and the way there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import Session, read_settings

if TYPE_CHECKING:
    from healtharchive.cli.machine.deploying import Standing
    from healtharchive.cli.machine.systemctl import Systemctl

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EXIT_NO = 1
MORE_SECONDS = 60.0  # beyond `stop_seconds`, that systemd may take


@app.command()
def check(as_json: Json = False) -> None:
    """Whether this version may go live now: YES, or NO with the reasons. Changes nothing."""
    from healtharchive.cli.machine.deploying import judge

    verdict = judge(_look(_session()))
    if as_json:
        render.print_json(verdict)
    else:
        print("YES" if verdict.ready else "NO")
        for line in (*verdict.reasons, *(f"({each})" for each in verdict.notes)):
            print(render.safe(f"  {line}"))
    if not verdict.ready:
        raise typer.Exit(EXIT_NO)


@app.command()
def lock(reason: Annotated[str, typer.Option(help="Why, for whoever meets it.")]) -> None:
    """Keep automatic repairs off while you work by hand; a lock that is too old is ignored."""
    from healtharchive.cli.machine.deploying_lock import take

    session = _session()
    settings = session.settings
    take(settings.deploy_lock, reason, session.clock.now(), settings.deploy_lock_seconds)
    _note(session, "locked", reason)
    print(f"Locked for at most {messages.span(settings.deploy_lock_seconds)}.")


@app.command()
def unlock() -> None:
    """Take the lock away, whoever made it."""
    from healtharchive.cli.machine.deploying_lock import age_seconds, give_back

    session = _session()
    path = session.settings.deploy_lock
    age = age_seconds(path, session.clock.now()) or 0.0
    found = give_back(path)
    told = f"{found.who} had locked it {messages.span(age)} ago: {found.why or 'no reason'}"
    _note(session, "unlocked", told)
    print(render.safe(f"Unlocked. {told}."))


@app.command()
def run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "a new version",
) -> None:
    """Back up, bring the schema up, and restart each service so that nothing is lost."""
    from healtharchive.cli.machine.deploying import judge, plan
    from healtharchive.cli.machine.deploying_run import Deployment, back_up, run_command
    from healtharchive.model.errors import SetupError

    session = _session()
    standing = _look(session)
    verdict = judge(standing)
    if dry_run:
        for step in plan(standing):
            print(step.sentence)
    if not verdict.ready:
        raise SetupError(
            f"This version cannot go live: {'; '.join(verdict.reasons)}.",
            "`healtharchive deploy check` says when it can.",
        )
    if dry_run:
        return
    archive = (session.settings, session.database, session.clock)
    outcome = Deployment(
        *archive,
        services=_systemctl(session),
        reason=reason,
        tell=print,
        back_up=partial(back_up, *archive),
        command=partial(run_command, session.settings),
    ).run(standing)
    if not outcome.failure:
        print("The new version is live.")
        return
    print(render.safe(f"It failed: {outcome.failure}"))
    print("To have the version before again:" if outcome.back else "Nothing was changed.")
    for number, line in enumerate(outcome.back, 1):
        print(render.safe(f"{number}. {line}"))
    raise typer.Exit(EXIT_NO)


def _session() -> Session:
    """The archive, also while its schema is older than this program's."""
    from healtharchive.cli.machine.owner import act_as_owner
    from healtharchive.model.clock import SystemClock
    from healtharchive.settings import connect

    settings = read_settings()
    act_as_owner(settings)
    return Session(settings, connect(settings), SystemClock())


def _look(session: Session) -> Standing:
    from healtharchive.cli.machine.deploying_look import look

    return look(session.settings, session.database, session.clock, _systemctl(session))


def _systemctl(session: Session) -> Systemctl:
    from healtharchive.cli.machine.systemctl import Systemctl

    return Systemctl(session.settings.stop_seconds + MORE_SECONDS)


def _note(session: Session, what: str, why: str) -> None:
    """The event of a lock; one that cannot be written is said, and the lock holds all the same."""
    import sys

    from healtharchive import __version__
    from healtharchive.model import schema
    from healtharchive.model.journal import record, this_process
    from healtharchive.work.outage import OUTAGES, describe

    try:
        if schema.current(session.database) is None:
            return
        with session.database.begin() as connection:
            at = session.database.now(connection)
            record(
                connection,
                at=at,
                actor=this_process(),
                subject="deploy",
                subject_id=__version__,
                what=what,
                why=why,
            )
    except OUTAGES as error:
        print(f"healtharchive: The journal misses this: {describe(error)}.", file=sys.stderr)
