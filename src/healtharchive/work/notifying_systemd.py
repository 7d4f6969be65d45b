"""What a long-lived process tells systemd of itself; silence where systemd did not ask for it.

The messages are those of sd_notify(3). Whoever calls `alive` is what the watchdog watches: it
belongs in the loop whose life is meant, never in a thread beside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

FEEDS = 4  # so many signs of life in one watchdog period
SEND_SECONDS = 1.0
STATUS_CHARS = 200


@dataclass(slots=True)
class Notice:
    """One process's words to systemd. Made by `asked`; one made without an address says nothing."""

    address: str = ""
    watchdog_seconds: float = 0.0
    _ready: bool = False
    _status: str = ""
    _fed_at: float = float("-inf")

    @classmethod
    def asked(cls, environment: MutableMapping[str, str] = os.environ) -> Notice:
        """What systemd asks of this process. No child inherits the variables: they go."""
        address = environment.pop("NOTIFY_SOCKET", "")
        period = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watched = meant and period.isdigit()
        return cls(address, int(period) / 1_000_000 if watched else 0.0)

    def alive(self, status: str, *, ready: bool = True) -> None:
        """The loop goes round; `status` is what it does. With the first `ready` it has started.

        To be called each time round: what systemd knows already is not sent again before a part
        of the watchdog's period is over.
        """
        if not self.address:
            return
        lines = []
        if ready and not self._ready:
            self._ready = True
            lines.append("READY=1")
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={_one_line(status)}")
        now = time.monotonic()
        if self.watchdog_seconds and now - self._fed_at >= self.watchdog_seconds / FEEDS:
            self._fed_at = now
            lines.append("WATCHDOG=1")
        self._send(lines)

    def stopping(self, why: str, seconds: float) -> None:
        """It ends, and may take so long: longer than the unit's own time if that is shorter."""
        within = f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"
        self._send(["STOPPING=1", f"STATUS=stops: {_one_line(why)}", within])

    def _send(self, lines: list[str]) -> None:
        if not lines or not self.address:
            return
        # A leading @ stands for the abstract namespace (unix(7)).
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with (
            contextlib.suppress(OSError),  # a sign of life that is lost is followed by the next
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.settimeout(SEND_SECONDS)
            channel.sendto("\n".join(lines).encode(), name)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:STATUS_CHARS]
