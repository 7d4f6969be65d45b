"""Backups as files: their names, what is written beside each, and which of them are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from healtharchive.model.backup_facts import DatabaseFacts
from healtharchive.model.target import TargetDefinition
from healtharchive.model.wire import from_line, to_line

NAME = re.compile(r"healtharchive-(\d{8}T\d{6}Z)\.(sqlite\.gz|dump)")
PARTIAL = re.compile(r"healtharchive-\d{8}T\d{6}Z\.(sqlite\.gz|dump)\.(part|raw)(-\w+)?")
SCRATCH = "restore-test.sqlite"
REMOTE_DIRECTORY = "_backups"
FACTS_END = ".json"
DIGEST_END = ".sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup, as the file beside it describes it. `database_bytes` is its size when restored."""

    name: str
    made_at: datetime
    program: str
    size_bytes: int
    sha256: str
    database_bytes: int
    facts: DatabaseFacts


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that lies in the directory. `whole`: it has the size that it was made with."""

    backup: Backup
    whole: bool

    @property
    def name(self) -> str:
        return self.backup.name


@dataclass(frozen=True, slots=True)
class MakeOrder:
    """Make a backup. `proven` is the one that was last restored well; empty: none was."""

    directory: str
    name: str
    kept: int
    proven: str = ""
    kind: Literal["make"] = "make"


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """Restore a backup beside the database and compare."""

    directory: str
    name: str
    stamp: str
    kind: Literal["restore"] = "restore"


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Put a backup on a target, and take away these older ones that were put there.

    `retired` is the directory of retired rows, which go there too.
    """

    directory: str
    name: str
    target: TargetDefinition
    identity: str
    place: str  # below the target's root
    outdated: tuple[str, ...] = ()
    retired: str = ""
    kind: Literal["send"] = "send"


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """Fetch a backup from a target: the newest, and our own archive's, where nothing is said.

    `archive` is a directory below the target's `_backups`, `own` the one that ours go to;
    `retired` is where the files of retired rows go.
    """

    directory: str
    target: TargetDefinition
    identity: str
    own: str
    archive: str = ""
    name: str = ""
    retired: str = ""
    kind: Literal["fetch"] = "fetch"


@dataclass(frozen=True, slots=True)
class Task:
    """What a backup child is told."""

    work: MakeOrder | RestoreOrder | SendOrder | FetchOrder


def name_of(moment: datetime, *, sqlite: bool) -> str:
    """The name of a backup that is made now."""
    return f"healtharchive-{stamp_of(moment)}.{'sqlite.gz' if sqlite else 'dump'}"


def stamp_of(moment: datetime) -> str:
    """A moment as it stands in names."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def describe(directory: Path, backup: Backup) -> None:
    """Write what is kept beside a backup: its facts, and a line for `sha256sum --check`."""
    (directory / f"{backup.name}{FACTS_END}").write_bytes(to_line(backup))
    line = f"{backup.sha256}  {backup.name}\n"
    (directory / f"{backup.name}{DIGEST_END}").write_text(line, encoding="ascii")


def kept_in(directory: Path) -> list[Kept]:
    """The backups in a directory, the newest first. One without its facts is none."""
    found = []
    for path in sorted(directory.glob(f"healtharchive-*{FACTS_END}"), reverse=True):
        file = path.with_name(path.name.removesuffix(FACTS_END))
        backup = read_facts(directory, file.name) if NAME.fullmatch(file.name) else None
        if backup is not None and file.is_file():
            found.append(Kept(backup, file.stat().st_size == backup.size_bytes))
    return found


def outdated(kept: Iterable[Kept], number: int, *wanted: str) -> list[str]:
    """The names of those that may go: whole ones beyond the `number` newest. Pure.

    Those that are wanted stay whatever their names say: the one that was last restored well, and
    the one just made, for the clock may have been wrong before. So does whatever is not whole: a
    person should see it. Of those the oldest go when there are as many again.
    """
    whole = [each.name for each in kept if each.whole]
    broken = [each.name for each in kept if not each.whole]
    gone = [name for name in whole[max(1, number) :] if name not in wanted]
    return gone + (broken[max(1, number) :] if whole else [])


def read_facts(directory: Path, name: str) -> Backup | None:
    """What is written beside a backup; None when nothing that can be read is."""
    try:
        return from_line(Backup, (directory / f"{name}{FACTS_END}").read_bytes())
    except (OSError, ValueError):
        return None
