"""The process of user space that answers for a mount: found, watched and ended by its pid."""

from __future__ import annotations

import contextlib
import os
import posixpath
import select
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.model.target import TargetDefinition
from healtharchive.storage.mountinfo import Mount, mount_at
from healtharchive.storage.mounting import Step
from healtharchive.storage.sockets import open_sockets, partners

PROC = Path("/proc")
COMM_CHARACTERS = 15  # the kernel cuts a process's name there
END_SECONDS = 2.0
# They start mounts, but do not stay to answer for them.
STARTERS = frozenset({"mount", "umount", "systemctl", "systemd-run", "sh", "bash", "env", "sudo"})


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the kernel says of a process. `state` is its letter: T stopped, D waiting, Z dead."""

    pid: int
    program: str
    state: str
    started_at: datetime
    waits_in: str = ""


def programs(mounts: Sequence[Mount], definition: TargetDefinition) -> set[str]:
    """The names that the mount's process may have."""
    at = mount_at(mounts, definition.root)
    types = [definition.filesystem, at.filesystem if at is not None else ""]
    names = {kind.partition(".")[2] or kind for kind in types if kind not in ("fuse", "")}
    if definition.mount_command:
        names.add(posixpath.basename(definition.mount_command[0]))
    return names - STARTERS


def mount_process(mounts: Sequence[Mount], definition: TargetDefinition) -> int | None:
    """The pid of the FUSE server that is, or was, mounted at the target's root, or None.

    The youngest, if a lazily unmounted one is still there beside it.
    """
    # mount(8) starts it by such a name, for a unit or a line of /etc/fstab.
    helpers = ("", "mount.", "mount.fuse.")
    named = programs(mounts, definition)
    names = {f"{helper}{name}"[:COMM_CHARACTERS] for name in named for helper in helpers}
    found = [
        facts
        for pid in _processes()
        # The name first: reading a command line takes a lock that a hung process may hold.
        if _name(pid) in names
        and _serves(pid, definition.root)
        and (facts := process_facts(pid)) is not None
    ]
    return max(found, key=lambda facts: (facts.started_at, facts.pid)).pid if found else None


def end_mount_process(pid: int, point: str) -> Step:
    """Kill a mount's process, if it is still the one that serves this mount point.

    Its ssh goes too: on a hung server it would hold one of the few connections for minutes.
    """
    began = time.monotonic()
    try:
        handle = os.pidfd_open(pid)  # from here on the pid cannot become another process's
    except ProcessLookupError:
        return Step("end process", point, True, f"nothing to do: there is no process {pid}")
    try:
        if (facts := process_facts(pid)) is None or facts.state == "Z":
            return Step("end process", point, True, f"nothing to do: process {pid} has ended")
        if not _serves(pid, point):
            return Step("end process", point, False, f"process {pid} does not serve it")
        partner = [each for each in partners(pid, open_sockets()) if _name(each) == "ssh"]
        try:
            _kill(handle)
        except PermissionError:
            return Step("end process", point, False, f"process {pid} is another user's")
        for each in partner:
            _kill_ssh(each)
        ended = bool(select.select([handle], [], [], END_SECONDS)[0])
    finally:
        os.close(handle)
    detail = f"process {pid} killed" if ended else f"process {pid} was killed but has not ended"
    return Step("end process", point, ended, detail, time.monotonic() - began)


def process_facts(pid: int) -> ProcessFacts | None:
    """The facts of a process, None when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name, fields = (
        text[text.index("(") + 1 : text.rindex(")")],
        text[text.rindex(")") + 2 :].split(),
    )
    started_at = boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    waits_in = ""
    with contextlib.suppress(OSError):
        waits_in = (PROC / str(pid) / "wchan").read_text().strip("\0\n0")
    when = datetime.fromtimestamp(started_at, UTC)
    return ProcessFacts(pid, name, fields[0], when, waits_in)


def boot_time() -> float:
    """When this machine was started, in seconds since 1970."""
    for line in (PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _processes() -> Iterator[int]:
    for entry in os.listdir(PROC):
        if entry.isdigit():
            yield int(entry)


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def _serves(pid: int, point: str) -> bool:
    """Whether the mount point is one of the words of its command line. A zombie has no words."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    place = posixpath.normpath(point)
    return any(os.fsdecode(word).rstrip("/") == place for word in words)


def _kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _kill_ssh(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _name(pid) == "ssh":
                _kill(handle)
        finally:
            os.close(handle)
