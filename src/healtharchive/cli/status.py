"""`status`: the whole archive in one screen, and an exit code for machines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import DatabaseUnavailable, HealthArchiveError

if TYPE_CHECKING:
    from healtharchive.steward.alert_rules import Finding
    from healtharchive.steward.condition import Condition

app = typer.Typer()
WATCH_SECONDS = 2.0
EXIT_CODES = {"fine": 0, "warnings": 1, "critical": 2}
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


class Unusable(HealthArchiveError):
    """The archive cannot be asked, for its database or a setting: nothing can be worse."""

    exit_code = EXIT_CODES["critical"]


@app.command(rich_help_panel="What happened")
def status(
    year: Annotated[
        int | None, typer.Option(help="Of this year's campaigns; of the newest when left out.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every 2 seconds, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What is wrong and what to do about it; then processes, targets, jobs, campaigns, the disk.

    Everything comes from the database: it answers while every mount hangs. Exit code 0: all is
    well, 1: there are warnings, 2: something is critical, or the database or a setting cannot be
    used.
    """
    while True:
        verdict = _once(year, as_json=as_json, redraw=watch)
        if not watch:
            raise typer.Exit(EXIT_CODES[verdict])
        time.sleep(WATCH_SECONDS)


def _once(year: int | None, *, as_json: bool, redraw: bool) -> str:
    try:
        text, verdict = _look(year, as_json=as_json)
    except HealthArchiveError as error:
        if as_json:
            render.print_json({"verdict": "critical", "unusable": str(error)})
        if not redraw:
            raise
        text, verdict = f"FAIL  {error}", "critical"
    if redraw and sys.stdout.isatty():
        print(CLEAR, end="")
    print(text, flush=True)
    return verdict


def _look(year: int | None, *, as_json: bool) -> tuple[str, str]:
    """What is to be printed, and the verdict."""
    import json

    from healtharchive.cli.status_text import screen
    from healtharchive.steward.findings import findings
    from healtharchive.steward.observing import look
    from healtharchive.work.outage import OUTAGES, describe

    try:
        session = begin()
        condition = look(session.database, session.settings, session.clock)
    except HealthArchiveError as error:
        raise Unusable(error.what, error.cure, playbook=error.playbook) from error
    except OUTAGES as error:
        raise Unusable(
            f"The database stopped answering: {describe(error)}.",
            "`healtharchive config` shows which one it is; try again when it is back.",
            playbook=DatabaseUnavailable.playbook,
        ) from error
    found = findings(condition, session.settings)
    verdict = verdict_of(found, condition)
    if as_json:
        facts = _facts(condition, found, verdict, session)
        return json.dumps(render.plain(facts), indent=2, ensure_ascii=False), verdict
    return "\n".join(screen(condition, found, session.settings, year)), verdict


def verdict_of(found: list[Finding], condition: Condition) -> str:
    """fine, warnings or critical: as grave as the gravest thing that a person should read now."""
    from healtharchive.steward.findings import worth_telling

    told = {each.rule.severity for each in worth_telling(found, condition.now)}
    if "critical" in told:
        return "critical"
    return "warnings" if "warning" in told else "fine"


def _facts(
    condition: Condition, found: list[Finding], verdict: str, session: Session
) -> dict[str, Any]:
    """All of it for programs: the condition, what is wrong with it, and a few short cuts."""
    from healtharchive.model.services import Service
    from healtharchive.model.states import TargetState
    from healtharchive.steward.findings import worth_telling
    from healtharchive.work.census import as_living

    told = worth_telling(found, condition.now)
    workers, spool = condition.services[Service.WORKER].living, condition.spool
    warns = spool is not None and spool.used_percent >= session.settings.spool_warn_percent
    return {
        "verdict": verdict,
        "findings": [
            {
                "name": each.rule.name,
                "severity": each.rule.severity,
                "subject": each.found.subject,
                "subject_id": each.found.subject_id,
                "sentence": each.found.sentence,
                "next": each.next_step.by_itself,
                "only_you": each.next_step.only_you,
                "command": each.command,
                "playbook": f"docs/playbooks/{each.rule.playbook}.md",
                "since": each.found.since,
                "evidence": each.found.evidence,
                "explained_by": each.explained_by,
                "told": each in told,
            }
            for each in found
        ],
        **render.plain(condition),
        "spool": None if spool is None else {**render.plain(spool), "warns": warns},
        "workers": [as_living(each) for each in (*workers, *condition.runs)],
        "stewards": [as_living(each) for each in condition.services[Service.STEWARD].living],
        "sick_targets": [each for each in condition.targets if each.state != TargetState.CLOSED],
    }
