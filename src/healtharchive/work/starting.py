"""How a service of this machine is started again: by systemd, or by the one who may ask it."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from healtharchive.model.errors import SetupError
from healtharchive.work.systemd import BOOTED, Manager, answer_of, is_booted

DISABLED = ("disabled", "masked", "masked-runtime")
STALE_SECONDS = 60.0  # a request that nobody took up for so long will not be


class Starter(Protocol):
    """Somebody who can start a service of this machine."""

    def objection(self, service: str, unit: str) -> str:
        """Why it cannot be started by us; empty when it can."""

    def start(self, service: str, unit: str) -> str:
        """Have it started; what was done. SetupError when it could not be asked for."""


@dataclass(frozen=True, slots=True)
class Systemctl:
    """systemd itself: the system's for root, or a user's own."""

    manager: Manager

    def objection(self, service: str, unit: str) -> str:
        """Where no such unit is installed, a person must start the service."""
        try:
            state = self.manager.value(unit, "LoadState")
        except SetupError as error:
            return error.what.rstrip(".")
        if state == "loaded":
            return ""
        return f"a person must start it with `healtharchive {service}`: {unit} is {state} here"

    def start(self, service: str, unit: str) -> str:
        """Ask for the start and do not wait for it: the service tells itself when it is there."""
        self.manager.order("start", "--no-block", unit)
        return f"`{shlex.join(self.manager.command('start', unit))}` was asked for"


@dataclass(frozen=True, slots=True)
class WantedFile:
    """The unit healtharchive-wanted@.path: root's systemd starts what a file here is named for."""

    directory: Path

    def objection(self, service: str, unit: str) -> str:
        """None: a request that nobody takes up shows when the next one is made."""
        return ""

    def start(self, service: str, unit: str) -> str:
        """Leave the request. SetupError when an earlier one still lies there, or it cannot."""
        file = self.directory / service
        try:
            asked_at = file.stat().st_mtime
        except FileNotFoundError:
            asked_at = None
        except OSError as error:
            raise self._refused(file, error) from error
        if asked_at is not None and time.time() - asked_at > STALE_SECONDS:
            raise SetupError(
                f"Nobody has taken up the request {file} to start {service}.",
                f"`systemctl status healtharchive-wanted@{service}.path` shows who should.",
            )
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise self._refused(file, error) from error
        return f"{file} asks systemd for it"

    def _refused(self, file: Path, error: OSError) -> SetupError:
        return SetupError(
            f"The request {file} cannot be written: {error.strerror}.",
            "`healtharchive install` makes that directory, for the user of the steward.",
        )


@dataclass(frozen=True, slots=True)
class Nobody:
    """No systemd here: only a person can start anything."""

    why: str

    def objection(self, service: str, unit: str) -> str:
        """The sentence for that person, with the command."""
        return f"a person must start it with `healtharchive {service}`: {self.why}"

    def start(self, service: str, unit: str) -> str:
        """It cannot: SetupError."""
        raise SetupError(
            f"{service} cannot be started from here: {self.why}.",
            f"Start it with `healtharchive {service}`.",
        )


def starter_here(wanted_dir: Path, *, user_id: int, booted: Path = BOOTED) -> Starter:
    """Who starts services on this machine for a process of this user."""
    if not is_booted(booted):
        return Nobody("systemd does not run this machine")
    if user_id == 0:
        return Systemctl(Manager("system"))
    if wanted_dir.is_dir() and os.access(wanted_dir, os.W_OK):
        return WantedFile(wanted_dir)
    own = Manager("user")
    if own.answers():
        return Systemctl(own)
    return Nobody(f"this user may not ask systemd, and {wanted_dir} is not there to write to")


def is_disabled(unit: str, booted: Path = BOOTED) -> bool:
    """Whether somebody has said in systemd's own words that the unit is not to run here.

    The files are read, since an unprivileged service may have no way to ask systemd itself.
    """
    if not is_booted(booted):
        return False
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
        scope = "--user" if "/user@" in groups else "--root=/"
        done = answer_of(["systemctl", scope, "is-enabled", unit])
    except (OSError, SetupError):
        return False
    return done.stdout.strip() in DISABLED
