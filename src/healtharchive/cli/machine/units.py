"""The systemd units of an archive: three services that come back, and what holds them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.cli.machine.templating import render
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.settings import Settings
from healtharchive.storage.mount_power import MARGIN_SECONDS

SERVICES = ("worker", "steward", "serve")
WANTED = ("worker", "serve")  # what the steward may want to run; nobody would be there to want it
UNITS = (
    *(f"healtharchive-{each}.service" for each in SERVICES),
    "healtharchive-wanted@.path",
    "healtharchive-wanted@.service",
    "healtharchive.slice",
    "healtharchive.target",
)
MOUNTER = "healtharchive-mounter.socket"  # only where a target is mounted
MOUNTER_UNITS = (MOUNTER, "healtharchive-mounter@.service")
ENABLED = (
    "healtharchive.target",
    *(f"healtharchive-{each}.service" for each in SERVICES),
    *(f"healtharchive-wanted@{each}.path" for each in WANTED),
)
# The steward's power to mount, until the mounter had it.
OLD_DROP_IN = "healtharchive-steward.service.d/mounts.conf"
MOUNT_POINTS = Path("/srv/healtharchive")  # where mounts and hot paths are
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
DIRECTORIES = (
    "data_dir",
    "jobs_root",
    "search_dir",
    "wacz_dir",
    "datasets_dir",
    "sources_dir",
    "state_dir",
    "evidence_dir",
    "backup_dir",
)
END_SECONDS = 30.0  # beyond `stop_seconds`, to kill what does not end and to write how it ended


@dataclass(frozen=True, slots=True)
class Machine:
    """What the units say of the machine.

    `writable` is all that the services may write to; `in_homes` are the directories that the
    program needs of those where services see nothing else.
    """

    program: Path
    in_homes: tuple[Path, ...]
    user: str
    data_dir: Path
    env_file: Path
    writable: tuple[str, ...]
    wanted_dir: Path
    stop_seconds: int
    mounts: bool
    mounter_socket: Path
    mount_seconds: float
    jobs_root: Path
    targets_text: str = ""

    @property
    def python(self) -> Path:
        """The Python that the program runs on."""
        return self.program.with_name("python")

    @property
    def enabled(self) -> tuple[str, ...]:
        """The units that are started with the machine."""
        return (*ENABLED, MOUNTER) if self.mounts else ENABLED

    @property
    def mounter_seconds(self) -> int:
        """How long an order may take: the mount, and the steps around it."""
        return int(self.mount_seconds + MARGIN_SECONDS)


def machine_of(
    settings: Settings,
    targets: Iterable[TargetDefinition],
    *,
    program: Path,
    parts: Iterable[Path],
    user: str,
    env_file: Path,
    targets_text: str = "",
) -> Machine:
    """The machine as settings and targets make it. `parts` are where the program's files are."""
    declared = tuple(targets)
    return Machine(
        program=program,
        in_homes=tuple(each for each in parts if in_a_home(each)),
        user=user,
        data_dir=settings.data_dir,
        env_file=env_file,
        writable=tuple(f"-{each}" for each in _writable(settings, declared)),
        wanted_dir=settings.wanted_dir,
        stop_seconds=int(settings.stop_seconds + END_SECONDS),
        mounts=any(each.kind in (TargetKind.MOUNT, TargetKind.BIND) for each in declared),
        mounter_socket=settings.mounter_socket,
        mount_seconds=settings.mount_seconds,
        jobs_root=settings.jobs_root,
        targets_text=targets_text,
    )


def in_a_home(path: Path) -> bool:
    """Whether a path lies where services see nothing of what people have there."""
    return any(path.is_relative_to(home) for home in HOMES)


def unit_files(machine: Machine) -> dict[str, str]:
    """Every unit's text by its name below systemd's directory."""
    files = {name: render(name, machine=machine) for name in UNITS}
    if machine.mounts:
        files |= {name: render(name, machine=machine) for name in MOUNTER_UNITS}
    return files


def _writable(settings: Settings, targets: tuple[TargetDefinition, ...]) -> list[Path]:
    """The directories that services write to, none of which lies below another one."""
    found = [MOUNT_POINTS, *(getattr(settings, name) for name in DIRECTORIES)]
    found += [settings.deploy_lock.parent, settings.targets_file.parent]
    if settings.textfile_dir:
        found.append(Path(settings.textfile_dir))
    if settings.database_url.startswith("sqlite:////"):
        found.append(Path(settings.database_url.removeprefix("sqlite:///")).parent)
    found += _roots(targets)
    return [each for each in sorted(set(found)) if not any(p in found for p in each.parents)]


def _roots(targets: tuple[TargetDefinition, ...]) -> Iterator[Path]:
    """The directories that the targets need; a mount's own is not named: it might not answer."""
    for each in targets:
        if each.kind is TargetKind.LOCAL:
            yield Path(each.root)
        elif each.kind is not TargetKind.OBJECT:
            yield Path(each.root).parent
