"""docs/benchmarks.md: one section for each thing measured, each replaced by its own run."""

from __future__ import annotations

import platform
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.lab.processes import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `make bench`; do not edit. Each section says when and where it was measured. Figures are the
median, with the lowest and highest in brackets.
"""
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def write_section(title: str, how: str, body: str, path: Path = PAGE) -> None:
    """Put a section into the page, in the place of an older one with its title.

    `how` tells how it was measured, such as `3 runs`.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = dict(SECTION.findall(text))
    sections[title] = (
        f"\n{how}, {datetime.now(UTC):%Y-%m-%d}, on {machine()}.\n\n{body.strip()}\n\n"
    )
    parts = [f"## {name}\n\n{sections[name].strip()}\n\n" for name in sections]
    path.write_text(HEAD + "\n" + "".join(parts).rstrip() + "\n", encoding="utf-8")


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the lowest and highest where they differ from it."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if round(low, digits) == round(high, digits):
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def machine() -> str:
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {python}"
