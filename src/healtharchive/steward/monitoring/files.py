"""The files for Prometheus, Alertmanager and Grafana: made from code, shipped with the program."""

from __future__ import annotations

from pathlib import Path

from healtharchive.model.errors import SetupError
from healtharchive.steward.monitoring.dashboards import DASHBOARDS, dashboard_file
from healtharchive.steward.monitoring.inhibition import inhibit_file
from healtharchive.steward.monitoring.rules import alert_file

SHIPPED = Path(__file__).with_name("generated")


def made_files() -> dict[str, str]:
    """Each file's text, by its name."""
    boards = {f"grafana-{each.uid.rpartition('-')[2]}.json": each for each in DASHBOARDS}
    return {
        "alerts.yml": alert_file(),
        "alertmanager-inhibit.yml": inhibit_file(),
        **{name: dashboard_file(each) for name, each in boards.items()},
    }


def write_shipped(directory: Path) -> list[Path]:
    """Write the files that came with the program into a directory; what was written. SetupError."""
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for source in sorted(SHIPPED.iterdir()):
            path = directory / source.name
            path.write_bytes(source.read_bytes())
            written.append(path)
    except OSError as error:
        raise SetupError(
            f"The files cannot be written to {directory}: {error.strerror}.",
            "Name a directory that you may write.",
        ) from error
    return written
