"""An archive that `healtharchive install` has put on a machine with a systemd of its own."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.archive import IMPATIENT, command
from tests.lab.postgres import free_port
from tests.lab.processes import ROOT, kill, wait_for
from tests.lab.systemd import Systemd, booted

USER = "healtharchive"
ENV_FILE = "/etc/healtharchive/backend.env"
DATA_DIR = Path("/var/lib/healtharchive")
SERVICES = ("worker", "steward", "serve")
UNITS = tuple(f"healtharchive-{name}.service" for name in SERVICES)
START_SECONDS = 60.0


@dataclass(frozen=True)
class Installed:
    """The archive, asked as its user asks; its services, asked as root asks systemd."""

    systemd: Systemd
    port: int

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """What a `healtharchive` command of the archive's user prints."""
        return self.systemd.run(*self._as_user(*words), codes=codes)

    def ask(self, *words: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*words, "--json"))

    def add_job(self, source_toml: str, code: str = "demo") -> None:
        """Add a source, and a job for it."""
        self.write("/run/source.toml", source_toml, mode="0644")
        self.run("source", "add", "/run/source.toml")
        self.run("create-job", "--source", code)

    def job(self) -> dict[str, Any]:
        """The only job."""
        (found,) = self.ask("list-jobs")
        return dict(found)

    def events(self, what: str) -> list[dict[str, Any]]:
        """The events of a kind, the oldest first."""
        lines = self.run("events", "--json", "--limit", "1000").splitlines()
        found = [json.loads(line) for line in lines]
        return sorted((each for each in found if each["what"] == what), key=lambda e: e["id"])

    # -- its services ------------------------------------------------------------------------

    def systemctl(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """What systemctl prints."""
        return self.systemd.run("systemctl", *words, codes=codes)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", f"--property={name}", "--value", unit).strip()

    def is_up(self, unit: str) -> bool:
        """Whether the service runs, and has said that it is ready."""
        return self.show(unit, "ActiveState") == "active"

    def main_pid(self, unit: str) -> int:
        """The service's process in there, 0 when there is none."""
        return int(self.show(unit, "MainPID"))

    def wait_until_up(self, *units: str, other_than: Mapping[str, int] | None = None) -> None:
        """Until the services run; as other processes than those."""
        before = other_than or {}

        def are_up() -> bool:
            # Two questions: between them systemd may notice that the first answer was out of date.
            return all(self.is_up(u) and self.main_pid(u) not in (0, before.get(u)) for u in units)

        wait_for(are_up, what=f"{', '.join(units)} run", seconds=START_SECONDS, every=0.3)

    def pids(self) -> dict[str, int]:
        """The process of each service."""
        return {unit: self.main_pid(unit) for unit in UNITS}

    def signal(self, unit: str, number: int) -> None:
        """Send the service's process a signal from outside of systemd's sight."""
        outer = self._outer_pid(self.main_pid(unit))
        assert kill(outer, number)

    def log(self, unit: str) -> str:
        """What the service said."""
        return self.systemd.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)

    def drop_in(self, unit: str, text: str) -> None:
        """Change some of a unit's settings."""
        self.write(f"/etc/systemd/system/{unit}.d/lab.conf", text, mode="0644")
        self.systemctl("daemon-reload")

    # -- files in there ------------------------------------------------------------------------

    def write(self, path: str, text: str, *, mode: str) -> None:
        """Write a file as root."""
        self.systemd.run("mkdir", "-p", str(Path(path).parent))
        self.systemd.run(
            "sh", "-c", 'printf %s "$1" > "$2" && chmod "$3" "$2"', "-", text, path, mode
        )

    def read(self, path: str) -> str:
        """A file's text."""
        return self.systemd.run("cat", path)

    def set(self, **settings: str) -> None:
        """Add settings to the settings file; the services know them once they begin anew."""
        lines = "".join(f"HEALTHARCHIVE_{name}={value}\n" for name, value in settings.items())
        self.systemd.run("sh", "-c", 'printf %s "$1" >> "$2"', "-", lines, ENV_FILE)

    def seen(self, path: str | Path) -> Path:
        """A path of the machine as this side of its wall sees it."""
        return Path(f"/proc/{self.systemd.pid}/root") / str(path).lstrip("/")

    def _as_user(self, *words: str) -> list[str]:
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *command(*words)]

    def _outer_pid(self, inner: int) -> int:
        """The process with this number in there, as this side numbers it."""
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = re.search(r"^NSpid:\t(.*)$", status.read_text(), re.MULTILINE)
                space = os.readlink(status.parent / "ns/pid")
            except OSError:
                continue
            if numbers and numbers[1].split()[-1] == str(inner) and space == self._space():
                return int(status.parent.name)
        raise AssertionError(f"There is no process {inner} in there")

    def _space(self) -> str:
        return os.readlink(f"/proc/{self.systemd.pid}/ns/pid")


@contextmanager
def machine(*shared: Path) -> Iterator[Systemd]:
    """A systemd on which the program can be run by other users than root too."""
    with booted(ROOT, Path(sys.prefix), *shared) as systemd:
        for parent in {*ROOT.parents, *Path(sys.base_prefix).parents}:
            systemd.run("chmod", "o+x", parent)  # on the copy-on-write view
        yield systemd


def install(systemd: Systemd, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """What `healtharchive install` prints, run by root."""
    return systemd.run(*command("install", *words), codes=codes)


@contextmanager
def installed(**settings: str) -> Iterator[Installed]:
    """An archive whose services were installed, set up and started, and run."""
    with machine() as systemd:
        install(systemd)
        archive = Installed(systemd, free_port())
        archive.set(
            OPERATOR='"The lab <lab@example.org>"',
            BIND_PORT=str(archive.port),
            REPLAY_PORT=str(free_port()),
            **{**IMPATIENT, **settings},
        )
        archive.run("db", "upgrade")
        archive.systemctl("start", "healtharchive.target")
        archive.wait_until_up(*UNITS)
        yield archive
