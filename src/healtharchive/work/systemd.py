"""systemd on this machine: whether it runs it, and how it is asked and told."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from healtharchive.model.errors import SetupError

BOOTED = Path("/run/systemd/system")  # sd_booted(3): there only while systemd is the first process
ANSWER_SECONDS = 20.0
ALIVE = ("active", "activating", "deactivating", "reloading")


def is_booted(booted: Path = BOOTED) -> bool:
    """Whether systemd runs this machine."""
    return booted.is_dir()


def answer_of(
    command: Sequence[str], seconds: float = ANSWER_SECONDS, user_id: int | None = None
) -> subprocess.CompletedProcess[str]:
    """What a program of the machine's says, whether it is content or not.

    `user_id` is whose power it has; ours when it is None. SetupError when it cannot be run, or has
    not ended within `seconds`.
    """
    told = f"`{shlex.join(command)}`"
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            user=user_id,
            group=user_id,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"{told} took more than {seconds:.0f} s.", "`systemctl status` shows how systemd is."
        ) from error
    except OSError as error:
        raise SetupError(f"{told} cannot be run: {error.strerror}.") from error


def complaint_of(done: subprocess.CompletedProcess[str]) -> str:
    """Why a program was not content, in one line; empty when it was."""
    if done.returncode == 0:
        return ""
    said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
    return f"`{shlex.join(done.args)}` failed: {said.rstrip('.')}."


@dataclass(frozen=True, slots=True)
class Manager:
    """The systemd that is asked: the system's for root, one's own for everybody else.

    `user_id` is whose power what asks it has; ours when it is None.
    """

    scope: Literal["system", "user"]
    user_id: int | None = None

    def command(self, *words: str, program: str = "systemctl") -> list[str]:
        """The command line that speaks to it."""
        return [program, *(["--user"] if self.scope == "user" else []), *words]

    def ask(
        self, *words: str, program: str = "systemctl", seconds: float = ANSWER_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """What it answers, content or not. SetupError when it does not answer."""
        command = self.command("--no-ask-password", *words, program=program)
        return answer_of(command, seconds, self.user_id)

    def order(
        self, *words: str, program: str = "systemctl", seconds: float = ANSWER_SECONDS
    ) -> str:
        """What it says to an order that it has carried out. SetupError when it did not."""
        done = self.ask(*words, program=program, seconds=seconds)
        if complaint := complaint_of(done):
            status = shlex.join(self.command("status"))
            raise SetupError(complaint, f"`{status}` tells more; services are root's to start.")
        return done.stdout.strip()

    def value(self, unit: str, name: str) -> str:
        """A property of a unit. SetupError when it does not answer."""
        return self.order("show", f"--property={name}", "--value", unit)

    def runs(self, unit: str) -> bool:
        """Whether a unit of this name runs, begins or ends now. SetupError as `value`."""
        return self.value(unit, "ActiveState") in ALIVE

    def answers(self) -> bool:
        """Whether this systemd is there."""
        try:
            self.order("show", "--property=Version")
        except SetupError:
            return False
        return True
