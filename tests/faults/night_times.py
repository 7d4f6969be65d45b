"""The seconds that the steps of a night took, and their table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of one run; from the fault, and from the end of its cause. None: it did not come."""

    detected: float | None
    parked: float | None
    seen_waiting: float | None
    recovered: float | None
    phac_again: float | None
    cihr_again: float | None
    hc_longest_pause: float
    starts: int


COLUMNS = (
    ("detected", "detected"),
    ("parked", "parked"),
    ("seen_waiting", "waiting path seen"),
    ("recovered", "recovered"),
    ("phac_again", "phac captures"),
    ("cihr_again", "cihr captures"),
    ("hc_longest_pause", "hc's longest pause"),
)

NOTES = """
*detected*, *parked* and *waiting path seen* count from the fault, the others from the moment its
cause was gone: 25 s later (hang), 60 s (partition), 20 s (directory, read-only, full, not-writable)
or at once (dies-again: its last death; flapping: when the network came back for good). phac is
being captured when the fault comes, cihr waits; hc is on another box.
"""


def table(rows: dict[str, list[Times]]) -> str:
    """Median and worst of each step, in seconds."""
    head = "| fault | runs | " + " | ".join(title for _, title in COLUMNS) + " |"
    lines = [head, "| --- | ---: | " + " | ".join("---:" for _ in COLUMNS) + " |"]
    for name, runs in rows.items():
        cells = [_cell([getattr(each, field) for each in runs]) for field, _ in COLUMNS]
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "–"
    return f"{statistics.median(known):.1f} ({max(known):.1f})"
