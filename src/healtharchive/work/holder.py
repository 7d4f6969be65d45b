"""Who holds a lease: a process, told from every later one with the same number."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def this_holder() -> str:
    """The name under which this process holds leases: host:pid:pid-namespace:start."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_namespace()}:{_start_of(pid)}"


def is_gone(holder: str) -> bool:
    """True only if the holder was a process of this machine and does not exist any more.

    False for a holder elsewhere or in another container: only its missing heartbeats can tell.
    """
    parts = holder.rsplit(":", 3)
    if len(parts) != 4 or not parts[1].isdigit():
        return False
    host, pid, namespace, start = parts
    if host != socket.gethostname() or not namespace or namespace != _namespace():
        return False
    return _start_of(int(pid)) != start


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """A process's start in clock ticks since boot; empty when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # proc(5): field 3 is the state (Z, X: dead, not collected yet), field 22 the start.
    return "" if fields[0] in ("Z", "X") else fields[19]
