"""A host of its own in a network namespace, whose cable can be pulled. Root only."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

COMMAND_SECONDS = 20.0
BLOCKS = 1 << 15  # of four addresses, in 198.18.0.0/15
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Host:
    """A namespace with one address, reached from here through a pair of virtual cards."""

    namespace: str
    address: str
    cable: str  # our end

    def cut(self) -> None:
        """Pull the cable: packets are lost, nobody is told."""
        _run("ip", "link", "set", self.cable, "down")

    def join(self) -> None:
        """Put it in again."""
        _run("ip", "link", "set", self.cable, "up")


@contextmanager
def host() -> Iterator[Host]:
    """A host that exists as long as the block; its addresses are for tests (RFC 2544).

    Each process takes others, since several may run their tests at once.
    """
    number = next(_numbers) % 60
    tag = f"{os.getpid() % 100_000}n{number}"
    namespace, ours, theirs = f"lab-{tag}", f"la{tag}", f"lb{tag}"
    base = int(ip_address("198.18.0.0")) + 4 * ((61 * os.getpid() + number) % BLOCKS)
    near, far = ip_address(base + 1), ip_address(base + 2)
    with ExitStack() as undo:
        _run("ip", "netns", "add", namespace)
        undo.callback(_try, "ip", "netns", "del", namespace)
        _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
        undo.callback(_try, "ip", "link", "del", ours)
        _run("ip", "link", "set", theirs, "netns", namespace)
        _run("ip", "addr", "add", f"{near}/30", "dev", ours)
        _run("ip", "link", "set", ours, "up")
        within = ("ip", "-n", namespace)
        _run(*within, "addr", "add", f"{far}/30", "dev", theirs)
        _run(*within, "link", "set", theirs, "up")
        _run(*within, "link", "set", "lo", "up")
        yield Host(namespace, str(far), ours)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, timeout=COMMAND_SECONDS, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")


def _try(*command: str) -> None:
    subprocess.run(command, timeout=COMMAND_SECONDS, check=False, capture_output=True)
