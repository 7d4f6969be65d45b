"""Which processes of a service live: those whose beat is young, and that exist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.services import Process
from healtharchive.work.holder import is_gone

UNITS = (".service", ".scope")  # any other name in an event is only a word for a process
LEAST_PATIENCE_SECONDS = 60.0
BEATS_MISSED = 4


@dataclass(frozen=True, slots=True)
class Living:
    """One process. `unit` is the systemd unit that it runs in; empty outside one."""

    name: str
    host: str
    pid: int
    since: datetime
    unit: str = ""


def patience_seconds(heartbeat_seconds: float) -> float:
    """How old a process's last sign of life may be while it counts as living."""
    return max(LEAST_PATIENCE_SECONDS, BEATS_MISSED * heartbeat_seconds)


def told_apart(
    found: Iterable[Process], now: datetime, heartbeat_seconds: float
) -> tuple[list[Process], list[Process]]:
    """The living and the silent: those that beat lately and, on this machine, exist; the others."""
    patience = timedelta(seconds=patience_seconds(heartbeat_seconds))
    living: list[Process] = []
    silent: list[Process] = []
    for each in found:
        lives = now - each.beat_at <= patience and not is_gone(each.holder)
        (living if lives else silent).append(each)
    return living, silent


def as_living(process: Process) -> Living:
    """A process of a service as it is shown."""
    unit = process.unit if process.unit.endswith(UNITS) else ""
    return Living(process.holder, process.host, process.pid, process.started_at, unit)
