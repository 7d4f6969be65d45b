"""Who holds a lease: a process, told from every later one with the same number."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def this_holder() -> str:
    """The name under which this process holds leases: host:pid:pid-namespace:start."""
    return holder_of(os.getpid())


def holder_of(pid: int) -> str:
    """The name under which a process of this machine holds leases."""
    return f"{socket.gethostname()}:{pid}:{_namespace()}:{_stat(pid)[1]}"


def pid_here(holder: str) -> int | None:
    """The pid of a holder that lives on this machine; None for one that is gone or elsewhere."""
    here = _here(holder)
    return here[0] if here is not None and _stat(here[0])[1] == here[1] else None


def is_gone(holder: str) -> bool:
    """True only if the holder was a process of this machine and does not exist any more.

    False for a holder elsewhere or in another container: only its missing heartbeats can tell.
    """
    here = _here(holder)
    return here is not None and _stat(here[0])[1] != here[1]


def stopped_pid(holder: str) -> int | None:
    """The pid of a holder on this machine that somebody stopped (SIGSTOP); None for any other."""
    here = _here(holder)
    if here is None:
        return None
    pid, start = here
    # proc(5): T is stopped by a signal, t stopped by a debugger.
    return pid if _stat(pid) in (("T", start), ("t", start)) else None


def _here(holder: str) -> tuple[int, str] | None:
    """The pid and start of a holder in this pid namespace; None for any other."""
    parts = holder.rsplit(":", 3)
    if len(parts) != 4 or not parts[1].isdigit():
        return None
    host, pid, namespace, start = parts
    if host != socket.gethostname() or not namespace or namespace != _namespace():
        return None
    return int(pid), start


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """A process's state and its start in clock ticks since boot; both empty when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    fields = stat.rpartition(")")[2].split()
    # proc(5): field 3 is the state (Z, X: dead, not collected yet), field 22 the start.
    return ("", "") if fields[0] in ("Z", "X") else (fields[0], fields[19])
