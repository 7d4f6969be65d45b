"""`monitoring`: the files that Prometheus, Alertmanager and Grafana are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from healtharchive.cli import render

app = typer.Typer(no_args_is_help=True)


@app.command()
def write(
    directory: Annotated[Path, typer.Argument(help="Made when it is not there.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the alert rules, the inhibition rules and the dashboards into a directory."""
    from healtharchive.steward.monitoring.files import write_shipped

    written = write_shipped(directory)
    if as_json:
        render.print_json(written)
        return
    for path in written:
        print(path)
