"""Who had systemd stop us: the `systemctl` that waits for our end while we look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

SYSTEMD_PID = 1
OURS = "healtharchive.target"  # what stops it stops every service that is part of it
OF_A_UNIT = ("stop", "restart", "try-restart", "reload-or-restart", "kill", "isolate", "disable")
OF_ALL = ("reboot", "poweroff", "halt", "kexec", "soft-reboot", "rescue", "emergency")
SYSTEMCTL = "systemctl"
SHUTDOWN = ("shutdown", "reboot", "poweroff", "halt")
NOBODY = 2**32 - 1  # loginuid of what no login began


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as /proc has it. `words` is its command line, `login_uid` whose session it is."""

    pid: int
    parent: int
    uid: int
    login_uid: int | None
    words: tuple[str, ...]


def asker(processes: Iterable[Seen], unit: str) -> Seen | None:
    """Of these the one that asked systemd to stop `unit`; the youngest, where several could be."""
    found = [each for each in processes if _asks(each.words, unit)]
    return max(found, key=lambda each: each.pid, default=None)


def _asks(words: tuple[str, ...], unit: str) -> bool:
    if not words:
        return False
    program = os.path.basename(words[0])
    if program in SHUTDOWN:
        return True
    if program != SYSTEMCTL:
        return False
    if any(each in OF_ALL for each in words[1:]):
        return True
    named = {unit, unit.removesuffix(".service"), OURS}
    asked = any(each in OF_A_UNIT for each in words[1:])
    return asked and any(fnmatchcase(name, each) for each in words[1:] for name in named)


def living() -> Iterator[Seen]:
    """Every process that can be seen here."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (seen := look(int(entry.name))) is not None:
            yield seen


def look(pid: int) -> Seen | None:
    """One process; None when it is gone or a kernel thread."""
    place = Path(f"/proc/{pid}")
    try:
        line = (place / "cmdline").read_bytes()
        facts = (place / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = dict(each.split(":", 1) for each in facts.splitlines() if ":" in each)
    words = tuple(line.decode("utf-8", "replace").rstrip("\0").split("\0"))
    if not line or "PPid" not in fields or "Uid" not in fields:
        return None
    return Seen(pid, int(fields["PPid"]), int(fields["Uid"].split()[0]), _login(place), words)


def _login(place: Path) -> int | None:
    try:
        number = int((place / "loginuid").read_text())
    except (OSError, ValueError):
        return None  # a kernel without audit
    return None if number == NOBODY else number
