"""The services of this machine, as systemd runs them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from healtharchive.cli.machine.owner import as_root
from healtharchive.model.errors import SetupError

BOOTED = Path("/run/systemd/system")  # sd_booted(3)
ASK_SECONDS = 10.0
SYSTEMCTL = ("systemctl", "--no-ask-password")
# Waits for the end of a process, whichever it has ($1), and starts a unit ($2) that is down then.
AFTERWARDS = 'tail --pid="$1" -f /dev/null; exec systemctl start --no-block "$2"'
ALIVE = ("active", "activating", "reloading", "deactivating")


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
        if not BOOTED.is_dir():
            return False
        try:
            asked = (*SYSTEMCTL, "show", "--property=ActiveState", "--value", unit(service))
            state = _run(asked, ASK_SECONDS)
        except SetupError:
            return False
        return state.strip() in ALIVE

    def stop(self, service: str) -> None:
        _run((*SYSTEMCTL, "stop", unit(service)), self.patience_seconds)

    def start(self, service: str) -> None:
        _run((*SYSTEMCTL, "start", unit(service)), self.patience_seconds)

    def restart(self, service: str) -> None:
        _run((*SYSTEMCTL, "restart", unit(service)), self.patience_seconds)

    def start_when_we_end(self, service: str) -> None:
        ours = str(os.getpid())
        name = f"--unit=healtharchive-{service}-after-{ours}"
        script = ("/bin/sh", "-c", AFTERWARDS, "sh", ours, unit(service))
        _run(("systemd-run", "--quiet", "--collect", name, *script), ASK_SECONDS)


def unit(service: str) -> str:
    """The name of a service's unit."""
    return f"healtharchive-{service}.service"


def _run(command: Sequence[str], seconds: float) -> str:
    told = f"`{shlex.join(command)}`"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            user=as_root(),
            group=as_root(),
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{told} took more than {seconds:.0f} s.") from error
    except OSError as error:
        raise SetupError(f"{told} cannot be run: {error.strerror}.") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise SetupError(f"{told} failed: {said.rstrip('.')}.", "Only root may do this.")
    return done.stdout
