"""What the kernel says of a process's connections, by `ss`: whom it talks to, and when it heard."""

from __future__ import annotations

import re
from dataclasses import dataclass

from healtharchive.storage import errand

COMMAND = ("ss", "--tcp", "--unix", "--info", "--processes", "--no-header", "--oneline")
ASK_SECONDS = 1.0
OWNER = re.compile(r"\bpid=(\d+),")
LAST_HEARD = re.compile(r"\blastrcv:(\d+)")
LOCAL, PEER = 5, 7  # the words of a unix socket's line that hold the inodes of its two ends


@dataclass(frozen=True, slots=True)
class Socket:
    """One open socket. Of a unix socket, the inodes of both ends; of TCP, when its peer last sent.

    `heard_seconds` is None where the kernel does not say.
    """

    pids: frozenset[int]
    inode: str = ""
    peer: str = ""
    heard_seconds: float | None = None


def open_sockets() -> list[Socket]:
    """Every TCP and unix socket of this network namespace; none where `ss` is missing."""
    try:
        done = errand.run(COMMAND, ASK_SECONDS)
    except OSError:
        return []
    lines = done.output.decode(errors="replace").splitlines() if done.status == 0 else []
    return [socket for socket in map(parse, lines) if socket is not None]


def parse(line: str) -> Socket | None:
    """One line of `ss`; None for what is neither TCP nor unix."""
    words = line.split()
    pids = frozenset(int(pid) for pid in OWNER.findall(line))
    if words and words[0].startswith("u_") and len(words) > PEER:
        return Socket(pids, words[LOCAL], words[PEER])
    if words and words[0] == "tcp":
        heard = LAST_HEARD.search(line)
        return Socket(pids, heard_seconds=int(heard[1]) / 1000.0 if heard else None)
    return None


def partners(pid: int, sockets: list[Socket]) -> set[int]:
    """The processes at the other ends of a process's unix sockets: the ssh of an sshfs."""
    peers = {each.peer for each in sockets if pid in each.pids and each.inode}
    return {other for each in sockets if each.inode in peers for other in each.pids} - {pid}


def heard_seconds(pids: set[int], sockets: list[Socket]) -> float | None:
    """When the peers of these processes' TCP connections last sent anything, in seconds ago.

    The most recent one counts. None when they have no connection, or nobody can tell.
    """
    heard = (each.heard_seconds for each in sockets if pids & each.pids)
    return min((each for each in heard if each is not None), default=None)
