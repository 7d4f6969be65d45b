"""The seconds that the steps of a night took, and their table."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path


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


Result = tuple[Times, list[str]]  # and what was wrong in the end


def read(path: Path | None) -> dict[tuple[str, int], Result]:
    """The nights that a file holds, by variant and seed."""
    if path is None or not path.exists():
        return {}
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        (each["variant"], each["seed"]): (Times(**each["times"]), each["wrong"]) for each in kept
    }


def keep(path: Path | None, variant: str, seed: int, times: Times, wrong: list[str]) -> None:
    """Add a night to the file."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {"variant": variant, "seed": seed, "times": asdict(times), "wrong": wrong}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


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
