"""`alerts`: what is wrong now and who was told, and a test that messages arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import messages, render
from healtharchive.cli.session import begin

if TYPE_CHECKING:
    from datetime import datetime

    from healtharchive.model.alerts import Alert

app = typer.Typer(invoke_without_command=True)


@app.callback()
def alerts(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over, the newest 100.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What is wrong now, since when, and whether you were told."""
    if context.invoked_subcommand is not None:
        return
    from healtharchive.model.alerts import newest_alerts, open_alerts

    session = begin()
    with session.database.read() as connection:
        found = newest_alerts(connection) if everything else open_alerts(connection)
        now = session.database.now(connection)
    if as_json:
        render.print_json(found)
        return
    for each in found:
        print(render.safe(_line(each, now)))
        print(render.safe(f"    {each.summary}"))
    if not found:
        print("No alert is open.")


@app.command()
def test() -> None:
    """Send a test message to every address of HEALTHARCHIVE_NOTIFY_URLS."""
    from healtharchive.cli.steward import steward_means
    from healtharchive.steward.notifying import send_test

    number = send_test(steward_means(begin()))
    print(f"A test message was taken by {number} address{'es' if number > 1 else ''}.")


def _line(alert: Alert, now: datetime) -> str:
    since = messages.moment(alert.since, now)
    told = f"told {messages.moment(alert.sent_at, now)}" if alert.sent_at else "not told"
    if alert.inhibited_by:
        told = f"explained by {alert.inhibited_by}"
    return (
        f"{alert.state:<8} {alert.severity:<8} {alert.name} {alert.subject} {alert.subject_id}"
        f", since {since}, {told}"
    )
