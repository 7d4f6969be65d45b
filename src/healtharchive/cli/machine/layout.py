"""What an installed archive consists of, in the order in which it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from healtharchive.cli.machine.templating import render
from healtharchive.cli.machine.units import (
    CONTAINER_UNITS,
    CONTAINERS,
    ENABLED,
    MOUNT_POINTS,
    MOUNTER,
    MOUNTER_UNITS,
    OLD_DROP_IN,
    UNITS,
    Machine,
)

CONFIGURATION = Path("/etc/healtharchive")
UNIT_DIR = Path("/etc/systemd/system")
MOUNTS = CONFIGURATION / "mounts.toml"  # the targets file as root has seen it
TMPFILES = Path("/etc/tmpfiles.d/healtharchive.conf")
SYSUSERS = Path("/etc/sysusers.d/healtharchive.conf")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that is to be there."""

    path: Path
    mode: int
    owner: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be there with this text. With `keep`, one that is there is left alone."""

    path: Path
    text: str
    mode: int = 0o644
    group: str = "root"
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """A file that is not to be there."""

    path: Path


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is run when one of the files `after` changes, when one of `makes` or the user
    `makes_user` is not there, or with `reloads` when systemd knows a file in an older state."""

    words: tuple[str, ...]
    after: tuple[Path, ...] = ()
    makes: tuple[Path, ...] = ()
    makes_user: str = ""
    reloads: bool = False


Part = Directory | File | Gone | Command


def installed(
    machine: Machine, units: Mapping[str, str], env_text: str, web: Mapping[Path, str]
) -> list[Part]:
    """Everything that an archive on this machine consists of."""
    user = machine.user
    unit_paths = {UNIT_DIR / name: text for name, text in units.items()}
    mounts = [File(MOUNTS, render("mounts.toml", machine=machine), 0o640, user)]
    gone = list(_left_over(machine))
    return [
        File(SYSUSERS, render("sysusers.conf", machine=machine)),
        Command(("systemd-sysusers", SYSUSERS.name), after=(SYSUSERS,), makes_user=user),
        Directory(CONFIGURATION, 0o755, "root"),
        File(machine.env_file, env_text, 0o640, user, keep=True),
        Directory(machine.data_dir, 0o750, user),
        Directory(MOUNT_POINTS, 0o755, user),
        File(TMPFILES, render("tmpfiles.conf", machine=machine)),
        Command(
            ("systemd-tmpfiles", "--create", TMPFILES.name),
            after=(TMPFILES,),
            makes=(machine.wanted_dir, *((machine.containers_dir,) if machine.containers else ())),
        ),
        *(mounts if machine.mounts else []),
        *(File(path, text) for path, text in unit_paths.items()),
        *gone,
        Command(
            ("systemctl", "daemon-reload"),
            after=(*unit_paths, *(each.path for each in gone if isinstance(each, Gone))),
            reloads=True,
        ),
        Command(("systemctl", "enable", *machine.enabled), makes=tuple(_enabled(machine.enabled))),
        *(File(path, text) for path, text in web.items()),
    ]


def removed(web: Mapping[Path, str]) -> list[Part]:
    """What takes the services from the machine. Settings, user and data stay."""
    paths = [UNIT_DIR / name for name in (*UNITS, *MOUNTER_UNITS, *CONTAINER_UNITS, OLD_DROP_IN)]
    return [
        Command(("systemctl", "disable", "--now", *ENABLED), after=(UNIT_DIR / UNITS[0],)),
        Command(("systemctl", "disable", "--now", MOUNTER), after=(UNIT_DIR / MOUNTER,)),
        *_without_containers(),
        *(Gone(path) for path in paths),
        Gone(MOUNTS),
        Gone(TMPFILES),
        Gone(SYSUSERS),
        *(Gone(path) for path in web),
        Command(("systemctl", "daemon-reload"), after=tuple(paths)),
    ]


def _left_over(machine: Machine) -> Iterator[Part]:
    """What an earlier installation may have written and this one does not."""
    yield Gone(UNIT_DIR / OLD_DROP_IN)
    if not machine.mounts:
        yield Command(("systemctl", "disable", "--now", MOUNTER), after=(UNIT_DIR / MOUNTER,))
        yield from (Gone(UNIT_DIR / name) for name in MOUNTER_UNITS)
        yield Gone(MOUNTS)
    if not machine.containers:
        yield from _without_containers()
        yield from (Gone(UNIT_DIR / name) for name in CONTAINER_UNITS)


def _without_containers() -> Iterator[Command]:
    """Ends podman's service, then the containers that outlived it; mostly there is none."""
    unit = UNIT_DIR / CONTAINERS
    yield Command(("systemctl", "disable", "--now", CONTAINERS), after=(unit,))
    end = f"systemctl kill --signal=KILL {CONTAINERS} 2>/dev/null || true"
    yield Command(("sh", "-c", end), after=(unit,))


def _enabled(units: tuple[str, ...]) -> Iterator[Path]:
    """The links by which systemd remembers that the units are enabled."""
    yield UNIT_DIR / "multi-user.target.wants/healtharchive.target"
    for name in units[1:]:
        yield UNIT_DIR / "healtharchive.target.wants" / name
