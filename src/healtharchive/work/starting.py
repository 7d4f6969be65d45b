"""How a service of this machine is started again: by systemd, or by the one who may ask it."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from healtharchive.model.errors import SetupError

BOOTED = Path("/run/systemd/system")  # sd_booted(3): there only while systemd is the first process
SYSTEMD_SECONDS = 20.0
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

    scope: Literal["system", "user"]

    def objection(self, service: str, unit: str) -> str:
        """Where no such unit is installed, a person must start the service."""
        try:
            state = self._ask("show", "--property=LoadState", "--value", unit)
        except SetupError as error:
            return error.what.rstrip(".")
        if state == "loaded":
            return ""
        return f"a person must start it with `healtharchive {service}`: {unit} is {state} here"

    def start(self, service: str, unit: str) -> str:
        """Ask for the start and do not wait for it: the service tells itself when it is there."""
        self._ask("start", "--no-block", unit)
        return f"`{self.command('start', unit)}` was asked for"

    def stop(self, unit: str, seconds: float) -> str:
        """Stop a unit and wait for its end, at most so long; what was done."""
        self._ask("stop", unit, seconds=seconds)
        return f"`{self.command('stop', unit)}` was done"

    def answers(self) -> bool:
        """Whether this systemd is there."""
        try:
            self._ask("show", "--property=Version")
        except SetupError:
            return False
        return True

    def command(self, *words: str) -> str:
        """The command for a person."""
        return " ".join([*self._program(), *words])

    def _program(self) -> list[str]:
        return ["systemctl"] if self.scope == "system" else ["systemctl", "--user"]

    def _ask(self, *words: str, seconds: float = SYSTEMD_SECONDS) -> str:
        command = [*self._program(), "--no-ask-password", *words]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SetupError(
                f"systemd does not answer: {error}.", "`systemctl status` shows how it is."
            ) from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split()).rstrip(".") or f"status {done.returncode}"
            raise SetupError(
                f"`{self.command(*words)}` failed: {said}.", f"`{self.command('status')}` tells."
            )
        return done.stdout.strip()


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
    if not booted.is_dir():
        return Nobody("systemd does not run this machine")
    if user_id == 0:
        return Systemctl("system")
    if wanted_dir.is_dir() and os.access(wanted_dir, os.W_OK):
        return WantedFile(wanted_dir)
    own = Systemctl("user")
    if own.answers():
        return own
    return Nobody(f"this user may not ask systemd, and {wanted_dir} is not there to write to")


def is_disabled(unit: str, booted: Path = BOOTED) -> bool:
    """Whether somebody has said in systemd's own words that the unit is not to run here.

    The files are read, since an unprivileged service may have no way to ask systemd itself.
    """
    if not booted.is_dir():
        return False
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
        done = subprocess.run(
            ["systemctl", "--user" if "/user@" in groups else "--root=/", "is-enabled", unit],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SYSTEMD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() in DISABLED
