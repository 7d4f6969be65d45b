"""How a machine becomes what its layout says: only what differs is planned, and only that done."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from healtharchive.cli.machine.layout import UNIT_DIR, Command, Directory, File, Gone, Part
from healtharchive.cli.machine.units import UNITS
from healtharchive.model.errors import SetupError
from healtharchive.work.systemd import answer_of, complaint_of

COMMAND_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there now. `files` are texts, None where one cannot be read; `directories` are
    mode and owner, without an owner where there is no such user to be."""

    files: Mapping[Path, str | None]
    directories: Mapping[Path, tuple[int, str]]
    there: frozenset[Path]
    users: frozenset[str]
    reload_needed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do, and how it is told."""

    part: Part
    sentence: str


def plan(parts: Sequence[Part], seen: Seen) -> list[Change]:
    """What has to be done so that every part is as it should be; nothing when it is. Pure."""
    differing = {part: sentence for part in parts if (sentence := _difference(part, seen))}
    changed = {part.path for part in differing if isinstance(part, File | Gone)}
    changes = []
    for part in parts:
        if isinstance(part, Command) and _is_needed(part, changed, seen):
            changes.append(Change(part, f"run {' '.join(part.words)}"))
        elif part in differing:
            changes.append(Change(part, differing[part]))
    return changes


def _difference(part: Part, seen: Seen) -> str:
    """What is to be done to a file or a directory; empty when it is as it should be."""
    if isinstance(part, Directory):
        found = seen.directories.get(part.path)
        shown = f"{part.path} ({part.mode:04o} {part.owner})"
        if found is None:
            return f"make {shown}"
        return "" if found in ((part.mode, part.owner), (part.mode, "")) else f"correct {shown}"
    if isinstance(part, Gone):
        return f"remove {part.path}" if part.path in seen.there else ""
    if isinstance(part, File):
        if part.path not in seen.there:
            return f"write {part.path} ({part.mode:04o} root:{part.group})"
        same = part.keep or seen.files.get(part.path) == part.text
        return "" if same else f"change {part.path}"
    return ""


def _is_needed(command: Command, changed: set[Path], seen: Seen) -> bool:
    return (
        any(path in changed for path in command.after)
        or any(path not in seen.there for path in command.makes)
        or bool(command.makes_user and command.makes_user not in seen.users)
        or (command.reloads and seen.reload_needed)
    )


# -- the machine -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """Where things are put: the machine itself, or with `prefix` a tree that will be one.

    In a tree no command is run, and everything belongs to whoever makes it.
    """

    prefix: Path | None = None

    def parts(self, parts: Iterable[Part]) -> list[Part]:
        """Those parts that can be had here."""
        return [each for each in parts if self.prefix is None or not isinstance(each, Command)]

    def at(self, path: Path) -> Path:
        """Where a path of the machine is."""
        return path if self.prefix is None else self.prefix / path.relative_to("/")

    def look(self, parts: Iterable[Part]) -> Seen:
        """What is there of these parts."""
        paths = {path for part in parts for path in _paths(part)}
        there = {path for path in paths if os.path.lexists(self.at(path))}
        return Seen(
            files={path: _text(self.at(path)) for path in there if not self.at(path).is_dir()},
            directories={
                path: self._mode(self.at(path)) for path in there if self.at(path).is_dir()
            },
            there=frozenset(there),
            users=frozenset(each.pw_name for each in pwd.getpwall()),
            reload_needed=self.prefix is None and _reload_needed(),
        )

    def make(self, change: Change) -> None:
        """Do one thing. SetupError when it cannot be done."""
        part = change.part
        try:
            if isinstance(part, Command):
                _run(part.words)
            elif isinstance(part, Directory):
                self.at(part.path).mkdir(parents=True, exist_ok=True)
                self.at(part.path).chmod(part.mode)
                self._give(self.at(part.path), part.owner, part.owner)
            elif isinstance(part, File):
                self._write(part)
            else:
                self.at(part.path).unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"This could not be done: {change.sentence}: {error.strerror or error}.",
                "What was done before it stays; run `healtharchive install` again after mending.",
            ) from error

    def _write(self, file: File) -> None:
        """Whole or not at all: systemd may read it at any moment."""
        path = self.at(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                written.write(file.text)
                os.fchmod(written.fileno(), file.mode)
            self._give(Path(name), "root", file.group)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise

    def _give(self, path: Path, owner: str, group: str) -> None:
        if self.prefix is None:
            os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)

    def _mode(self, path: Path) -> tuple[int, str]:
        found = path.stat()
        owner = "" if self.prefix is not None else _name(found.st_uid)
        return stat.S_IMODE(found.st_mode), owner


def _paths(part: Part) -> Iterator[Path]:
    if isinstance(part, Command):
        yield from part.makes
    else:
        yield part.path


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _reload_needed() -> bool:
    """Whether systemd knows one of our units in an older state than its file; an installation
    that was interrupted leaves it so."""
    if not any((UNIT_DIR / name).exists() for name in UNITS):
        return False
    command = ["systemctl", "show", "--property=NeedDaemonReload", "--value", *UNITS[:3], UNITS[-1]]
    try:
        return "yes" in answer_of(command).stdout.split()
    except SetupError:
        return False


def _run(words: Sequence[str]) -> None:
    if complaint := complaint_of(answer_of(words, COMMAND_SECONDS)):
        raise SetupError(
            complaint,
            "Run `healtharchive install` again after mending that; what is done is not repeated.",
        )
