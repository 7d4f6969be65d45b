"""The systemd units of an archive: three services that come back, and what holds them together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from healtharchive.cli.machine.templating import render
from healtharchive.model.errors import SetupError
from healtharchive.model.source import SourceDefinition
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
CONTAINERS = "healtharchive-containers.service"  # only where a source is crawled in containers
# The template of each by its name below systemd's directory.
CONTAINER_UNITS = {
    CONTAINERS: CONTAINERS,
    "healtharchive-worker.service.d/containers.conf": "healtharchive-worker-containers.conf",
}
CONTAINERS_DIR = Path("/run/healtharchive/containers")
CONTAINERS_SOCKET = CONTAINERS_DIR / "podman.sock"
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
# systemd splits at blanks, and reads the others as something else: quotes, escapes, specifiers.
MISREAD = re.compile(r"[\s\x00-\x1f\x7f%$\"'\\;]")
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
    containers: bool = False
    container_runtime: str = ""  # empty: podman's own choice

    @property
    def python(self) -> Path:
        """The Python that the program runs on."""
        return self.program.with_name("python")

    @property
    def enabled(self) -> tuple[str, ...]:
        """The units that are started with the machine."""
        mounter = (MOUNTER,) if self.mounts else ()
        return (*ENABLED, *mounter, *((CONTAINERS,) if self.containers else ()))

    @property
    def containers_dir(self) -> Path:
        """Where podman has what ends with the machine's run."""
        return CONTAINERS_DIR

    @property
    def containers_socket(self) -> Path:
        """Where podman is asked for containers."""
        return CONTAINERS_SOCKET

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
    sources: Iterable[SourceDefinition] = (),
) -> Machine:
    """The machine as settings, targets and sources make it. `parts` are where the program's files
    are. SetupError when sources want several runtimes of podman, or a name is none for a unit."""
    declared = tuple(targets)
    in_podman = [each for each in sources if _uses_podman(each)]
    machine = Machine(
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
        containers=bool(in_podman),
        container_runtime=_runtime(in_podman),
    )
    _check_names(machine)
    return machine


def _check_names(machine: Machine) -> None:
    paths = (machine.program, machine.data_dir, machine.jobs_root, machine.wanted_dir)
    names = (machine.user, machine.container_runtime, *paths, *machine.in_homes, *machine.writable)
    for name in map(str, names):
        found = MISREAD.search(name) or (":" in name and Path(name) in machine.in_homes)
        if found:
            raise SetupError(
                f"{name!r} cannot stand in a unit of systemd's, which would read it as something "
                "else.",
                "Use one without blanks, quotes, backslashes, % $ and ; (below /home also no :).",
            )


def _uses_podman(source: SourceDefinition) -> bool:
    return source.engine == "container" and source.container.engine != "docker"


def _runtime(sources: Iterable[SourceDefinition]) -> str:
    """The runtime that podman's service is started with, for all sources."""
    wanted = sorted({each.container.runtime for each in sources} - {""})
    if len(wanted) > 1:
        raise SetupError(
            f"Sources want their containers run by {' and by '.join(wanted)}; podman's service "
            "has one runtime.",
            "Give the sources the same `runtime`, or none.",
        )
    return "".join(wanted)


def in_a_home(path: Path) -> bool:
    """Whether a path lies where services see nothing of what people have there."""
    return any(path.is_relative_to(home) for home in HOMES)


def unit_files(machine: Machine) -> dict[str, str]:
    """Every unit's text by its name below systemd's directory."""
    files = {name: render(name, machine=machine) for name in UNITS}
    if machine.mounts:
        files |= {name: render(name, machine=machine) for name in MOUNTER_UNITS}
    if machine.containers:
        files |= {name: render(each, machine=machine) for name, each in CONTAINER_UNITS.items()}
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
