"""Taking a job over: the process of an earlier attempt that may still hold the frontier is ended.

The fence already refuses what it would write; but a stopped process can hold the frontier's lock
for ever, and nobody can wait for that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

from healtharchive.crawl import frontier_schema as schema

DEATH_SECONDS = 5.0


def identify(pid: int) -> str:
    """What tells a process from a later one with the same number: boot id, pid, start ticks.

    Empty when it does not exist.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    after_name = stat.rpartition(")")[2].split()
    return f"{boot} {pid} {after_name[19]}"  # field 22 of proc(5): starttime


def end_previous(path: Path) -> int | None:
    """End the process that last owned this frontier, if it still runs; its pid, or None.

    Only a process with the recorded start time is ended, never a stranger that got its number.
    """
    if not path.exists():
        return None
    return end(_owner(path))


def end(owner: str) -> int | None:
    """End the process that `identify` told so, if it still runs; its pid, or None.

    Waits for its death, but not for ever: one that hangs in the kernel is left to die later.
    """
    parts = owner.split()
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    pid = int(parts[1])
    if pid == os.getpid() or identify(pid) != owner:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + DEATH_SECONDS
    while identify(pid) == owner and runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return pid


def _owner(path: Path) -> str:
    connection = schema.connect(path, readonly=True)
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'owner'").fetchone()
    except sqlite3.Error:
        return ""  # a frontier that was killed before it had its tables
    finally:
        connection.close()
    return str(row[0]) if row else ""


def is_stopped(pid: int) -> bool:
    """Whether somebody stopped the process (SIGSTOP, Ctrl-Z, a debugger)."""
    return _state(pid) in ("T", "t")


def runs(pid: int) -> bool:
    """Whether there is such a process, more than a zombie that its parent has not collected yet."""
    return _state(pid) not in ("", "Z", "X")


def _state(pid: int) -> str:
    """The letter of proc(5), field 3; empty when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]
