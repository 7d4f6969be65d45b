"""Checks of this program: its Python, its packages, and the programs that sources need."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator

from healtharchive import __version__
from healtharchive.cli.machine import requirements
from healtharchive.cli.machine.checks import Checked, Surroundings, fail, fine, unknown
from healtharchive.model.errors import INSTALL_PACKAGES
from healtharchive.model.target import TargetKind

LEAST_PYTHON = (3, 11)
LEAST_SQLITE = (3, 35)  # RETURNING
INSTALL = f"{sys.executable} -m {INSTALL_PACKAGES}"


def python(_: Surroundings | None = None) -> Iterator[Checked]:
    """The interpreter and the packages that are always needed."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < LEAST_PYTHON:
        yield fail("python", f"Python {version} is older than 3.11.", "Install Python 3.11.")
    else:
        yield fine("python", f"Python {version}, healtharchive {__version__}.")
    missing = requirements.unmet(requirements.own_requirements(), requirements.installed_version)
    for each in missing:
        yield fail("packages", f"{each}.", INSTALL)
    if not missing:
        yield fine("packages", "Every package that is always needed is there.")


def sqlite(_: Surroundings | None = None) -> Iterator[Checked]:
    """The SQLite library that Python brings: frontiers need it with any database."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info[:2] < LEAST_SQLITE:
        yield fail("sqlite", f"SQLite {version} is older than 3.35.", "Install a newer SQLite.")
        return
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("SELECT json('{}')")
    except sqlite3.OperationalError:
        yield fail("sqlite", f"SQLite {version} has no JSON.", "Install a SQLite built with it.")
    else:
        yield fine("sqlite", f"SQLite {version} with JSON.")
    finally:
        connection.close()


def extras(around: Surroundings) -> Iterator[Checked]:
    """The packages of each extra that this configuration needs."""
    for extra, why in sorted(_needed(around).items()):
        missing = requirements.unmet(
            requirements.own_requirements(), requirements.installed_version, extra
        )
        for each in missing:
            yield fail(f"extra {extra}", f"{each}, which {why} needs.", INSTALL)
        if not missing:
            yield fine(f"extra {extra}", f"What {why} needs is installed.")


def _needed(around: Surroundings) -> dict[str, str]:
    """Each extra that is needed, and by what."""
    needed: dict[str, str] = {}
    for code, source in around.sources.items():
        if source.engine in ("browser", "auto"):
            needed.setdefault("browser", f"the source {code}")
        elif source.engine == "container":
            needed.setdefault("container", f"the source {code}")
    for target in around.targets:
        if target.kind is TargetKind.OBJECT:
            needed.setdefault(target.root.partition(":")[0], f"the target {target.name}")
    if around.settings.notify_urls:
        needed["notify"] = "notify_urls"
    return needed


def browser(around: Surroundings) -> Iterator[Checked]:
    """The Chromium that renders pages, where a source needs one."""
    users = [c for c, each in around.sources.items() if each.engine in ("browser", "auto")]
    if not users:
        return
    program = around.settings.browser
    if shutil.which(program) is None:
        cure = "apt-get install chromium, or set HEALTHARCHIVE_BROWSER"
        yield fail("browser", f"There is no {program}, which {users[0]} needs.", cure)
        return
    said = around.ask([program, "--version"])
    if said.well:
        yield fine("browser", f"{said.text.splitlines()[-1] if said.text else program}.")
    else:
        yield fail("browser", f"{program} does not start: {said.text}.", f"{program} --version")


def data_sets(_: Surroundings) -> Iterator[Checked]:
    """Whether data sets can be had as Parquet too."""
    if requirements.installed_version("pyarrow") is None:
        yield unknown("data sets", "pyarrow is not installed: data sets are CSV only.", INSTALL)
    else:
        yield fine("data sets", "Data sets can be exported as CSV and as Parquet.")
