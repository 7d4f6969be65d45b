"""The services of this machine, as systemd runs them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from healtharchive.cli.machine.owner import as_root
from healtharchive.model.errors import SetupError
from healtharchive.work.systemd import Manager, is_booted

# Waits for the end of a process, whichever it has ($1), and starts a unit ($2) that is down then.
AFTERWARDS = 'tail --pid="$1" -f /dev/null; exec systemctl start --no-block "$2"'


class Services(Protocol):
    """What starts and stops services. Tests have another one than systemd."""

    def running(self, service: str) -> bool:
        """Whether it is meant to run and does."""

    def stop(self, service: str) -> None:
        """Stop it and wait for its end. SetupError when that fails."""

    def start(self, service: str) -> None:
        """Start it. SetupError when that fails."""

    def restart(self, service: str) -> None:
        """Stop and start it, as one order. SetupError when that fails."""

    def start_when_we_end(self, service: str) -> None:
        """Have it started, if it is down, as soon as this process is gone, also by SIGKILL."""


@dataclass(frozen=True, slots=True)
class Systemctl:
    """systemd's own. `patience_seconds` is how long a start or a stop may take."""

    patience_seconds: float

    def running(self, service: str) -> bool:
        try:
            return is_booted() and self._manager.runs(unit(service))
        except SetupError:
            return False

    def stop(self, service: str) -> None:
        self._manager.order("stop", unit(service), seconds=self.patience_seconds)

    def start(self, service: str) -> None:
        self._manager.order("start", unit(service), seconds=self.patience_seconds)

    def restart(self, service: str) -> None:
        self._manager.order("restart", unit(service), seconds=self.patience_seconds)

    def start_when_we_end(self, service: str) -> None:
        ours = str(os.getpid())
        name = f"--unit=healtharchive-{service}-after-{ours}"
        script = ("/bin/sh", "-c", AFTERWARDS, "sh", ours, unit(service))
        self._manager.order("--quiet", "--collect", name, *script, program="systemd-run")

    @property
    def _manager(self) -> Manager:
        return Manager("system", as_root())


def unit(service: str) -> str:
    """The name of a service's unit."""
    return f"healtharchive-{service}.service"
