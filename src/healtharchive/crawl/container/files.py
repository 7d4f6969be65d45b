"""The directory that a crawler works in: its temporary directories, WARC and state files.

What is there was written by a program that ran in the container: symbolic links are never
followed, and every walk has an end.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_ENTRIES = 200_000
MOST_LEVELS = 8
TEMPORARY_PREFIX = ".tmp"
# Where Browsertrix works when no temporary directory is made for it.
COLLECTIONS = "collections"
WARC_SUFFIXES = (".warc.gz", ".warc")
# rec-1a2b3c-20260124061710123-0.warc.gz: whose file it is stands around the time.
TIMED_NAME = re.compile(r"^(?P<before>.*?)(?P<time>\d{14,17})(?P<after>.*)$")


@dataclass(frozen=True, slots=True)
class CrawlerFile:
    """A WARC file of the crawler's. `name` is its path below the crawler's directory."""

    path: Path
    name: str
    size_bytes: int
    changed_at: float

    @property
    def writer(self) -> str:
        """What the files of one worker have in common; the file's own name when it has no time."""
        found = TIMED_NAME.match(self.path.name)
        who = f"{found['before']}*{found['after']}" if found else self.path.name
        return f"{self.path.parent}/{who}"


@dataclass(slots=True)
class Scan:
    """What was found: oldest first. `cut_short`: there was more than one walk may look at."""

    directories: list[Path] = field(default_factory=list)
    warcs: list[CrawlerFile] = field(default_factory=list)
    states: list[Path] = field(default_factory=list)
    refused: int = 0
    cut_short: bool = False


def scan(work: Path) -> Scan:
    """Look through the crawler's directory. What may not be read is counted, not raised."""
    found = Scan()
    states: list[tuple[float, Path]] = []
    for entry, level in _walk(work, found):
        if entry.is_dir(follow_symlinks=False):
            if level == 0:
                found.directories.append(Path(entry.path))
            continue
        path = Path(entry.path)
        if path.name.endswith(WARC_SUFFIXES) and path.parent.name == "archive":
            facts = entry.stat(follow_symlinks=False)
            name = str(path.relative_to(work))
            found.warcs.append(CrawlerFile(path, name, facts.st_size, facts.st_mtime))
        elif path.suffix == ".yaml" and path.parent.name == "crawls":
            states.append((entry.stat(follow_symlinks=False).st_mtime, path))
    found.directories.sort()
    found.warcs.sort(key=lambda each: (_time_of(each.path.name), each.name))
    found.states = [path for _, path in sorted(states)]
    return found


def superseded(warcs: list[CrawlerFile]) -> set[str]:
    """The names of files after which their worker has begun a later one."""
    latest: dict[str, CrawlerFile] = {}
    for each in warcs:
        latest[each.writer] = max(
            each, latest.get(each.writer, each), key=lambda one: _time_of(one.path.name)
        )
    return {each.name for each in warcs if latest[each.writer].name != each.name}


def _time_of(name: str) -> str:
    found = TIMED_NAME.match(name)
    return found["time"] if found else ""


def _walk(work: Path, found: Scan) -> Iterator[tuple[os.DirEntry[str], int]]:
    """Entries below the crawler's own directories, nearest first, with their level."""
    waiting: list[tuple[str, int]] = [(str(work), 0)]
    looked_at = 0
    while waiting:
        directory, level = waiting.pop(0)
        for entry in _entries(directory, found):
            looked_at += 1
            if looked_at > MOST_ENTRIES:
                found.cut_short = True
                return
            ours = entry.name.startswith(TEMPORARY_PREFIX) or entry.name == COLLECTIONS
            if entry.is_symlink() or (level == 0 and not ours):
                continue
            try:
                yield entry, level
                if entry.is_dir(follow_symlinks=False) and level < MOST_LEVELS:
                    waiting.append((entry.path, level + 1))
            except FileNotFoundError:
                continue  # the crawler removed it meanwhile


def _entries(directory: str, found: Scan) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except PermissionError:
        found.refused += 1
        return []


@dataclass(frozen=True, slots=True)
class Relaxed:
    """What a pass over the permissions did; `refused` are entries that are another user's."""

    changed: int
    refused: int


def relax(work: Path, most: int = MOST_ENTRIES) -> Relaxed:
    """Let everybody read what the crawler wrote: files r, directories rx. At most so many entries.

    The mode is changed through an open descriptor, which no link can be put in the place of.
    """
    changed = refused = looked_at = 0
    for top in sorted(work.glob(f"{TEMPORARY_PREFIX}*")):
        if top.is_symlink():
            continue
        unreadable: list[OSError] = []
        for _, _, names, directory in os.fwalk(top, onerror=unreadable.append):
            changed += _allow(directory, 0o055)
            for name in names:
                looked_at += 1
                if looked_at > most:
                    return Relaxed(changed, refused)
                outcome = _relax_file(name, directory)
                changed += outcome is True
                refused += outcome is None
        refused += len(unreadable)
    return Relaxed(changed, refused)


def _relax_file(name: str, directory: int) -> bool | None:
    """Whether its mode was changed; None when it is not ours to change."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    except PermissionError:
        return None
    except OSError:
        return False  # a link, a socket, or gone
    try:
        return _allow(descriptor, 0o044)
    except PermissionError:
        return None
    finally:
        os.close(descriptor)


def _allow(descriptor: int, bits: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or mode & bits == bits:
        return False
    os.fchmod(descriptor, stat.S_IMODE(mode) | bits)
    return True
