"""A mounter that answers orders, with the capabilities of its unit. Root only."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import mounter
from healtharchive.storage.mount_power import Asked
from tests.lab import mounts
from tests.lab.processes import ROOT

USER = "nobody"
UNIT = ROOT / "src/healtharchive/cli/machine/templates/healtharchive-mounter@.service.j2"
DEADLINE_SECONDS = 60.0  # a process starts slowly beside many others


@dataclass(frozen=True)
class MounterLab:
    """An archive of user nobody, with a directory that is declared as a target."""

    directory: Path
    socket: Path
    deadline_seconds: float = DEADLINE_SECONDS

    @property
    def targets(self) -> Path:
        return self.directory / "mounts.toml"

    @property
    def jobs(self) -> Path:
        return self.directory / "jobs"

    @property
    def disk(self) -> TargetDefinition:
        return TargetDefinition("disk", TargetKind.LOCAL, str(self.directory / "disk"))

    @property
    def hot(self) -> TargetDefinition:
        path = self.jobs / "hc/2026"
        return TargetDefinition(
            "hot-1", TargetKind.BIND, str(path), parent="disk", backing="hc/2026"
        )

    @property
    def asked(self) -> Asked:
        return Asked(self.socket, self.jobs, DEADLINE_SECONDS)

    def declare(self, **words: object) -> TargetDefinition:
        """Add target `box` to what root has declared."""
        definition = TargetDefinition("box", TargetKind.MOUNT, str(self.jobs / "box"), **words)  # type: ignore[arg-type]
        lines = [f"{name} = {json.dumps(word)}\n" for name, word in words.items()]
        head = f'[[target]]\nname = "box"\nkind = "mount"\nroot = "{definition.root}"\n'
        with self.targets.open("a") as file:
            file.write(head + "".join(lines))
        return definition

    def told(self, line: bytes) -> dict[str, object]:
        """What the mounter answers to a line."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(line)
            return dict(json.loads(connection.recv(65_536)))


@contextmanager
def laid_out(directory: Path, deadline_seconds: float = DEADLINE_SECONDS) -> Iterator[MounterLab]:
    """The archive, with somebody listening for orders."""
    lab = MounterLab(directory, directory / "mounter", deadline_seconds)
    for path in (lab.jobs, Path(lab.disk.root)):
        path.mkdir()
        shutil.chown(path, USER)
    lab.targets.write_text(f'[[target]]\nname = "disk"\nkind = "local"\nroot = "{lab.disk.root}"\n')
    lab.targets.chmod(0o640)
    with listening(lab):
        yield lab
    mounts.unmount(Path(lab.hot.root))


@contextmanager
def listening(lab: MounterLab) -> Iterator[None]:
    """What systemd does: a mounter of its own for each connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(lab.socket))
        lab.socket.chmod(0o666)
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, lab))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_SECONDS)


def _serve(listener: socket.socket, lab: MounterLab) -> None:
    words = ["--user", USER, "--jobs-root", str(lab.jobs), "--targets", str(lab.targets)]
    words += ["--deadline-seconds", str(lab.deadline_seconds)]
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            subprocess.run(
                [*as_its_unit(), sys.executable, "-I", "-m", mounter.__name__, *words],
                stdin=connection.fileno(),
                timeout=2 * DEADLINE_SECONDS,
                check=True,
            )


def as_its_unit() -> list[str]:
    """The words before a command that leave it the capabilities that the mounter's unit has.

    And one by which a child comes to this Python, wherever that is.
    """
    found = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    kept = [f"+{name.removeprefix('CAP_').lower()}" for name in found[1].split()]
    return ["setpriv", f"--bounding-set={','.join(['-all', '+dac_read_search', *kept])}"]
