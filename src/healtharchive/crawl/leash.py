"""The leash a crawl runs on: its lease, and the wish of somebody that it stops."""

from __future__ import annotations

from dataclasses import dataclass

from healtharchive.model.clock import Clock
from healtharchive.model.errors import LeaseLost
from healtharchive.model.orders import Command


@dataclass(slots=True)
class Leash:
    """Until when this attempt may write, by the monotonic clock, and whether it shall stop.

    The lease is counted from the moment its renewal was read, a little later than the worker's
    own; the fence in the frontier decides in the end.
    """

    clock: Clock
    lease_until: float
    stop_reason: str = ""
    stop_by: float = 0.0

    def check(self) -> None:
        """LeaseLost when the lease has run out without a renewal."""
        if self.clock.monotonic() > self.lease_until:
            raise LeaseLost("The lease ran out without a renewal; this attempt writes no more.")

    def obey(self, command: Command) -> None:
        """Take a command from the worker."""
        if command.kind == "renew":
            self.lease_until = self.clock.monotonic() + command.lease_seconds
        else:
            self.stop(command.reason or "the worker asked", command.deadline_seconds)

    def stop(self, reason: str, deadline_seconds: float) -> None:
        """Ask the crawl to end: what is in flight has this long. The first wish counts."""
        if not self.stop_reason:
            self.stop_reason = reason
            self.stop_by = self.clock.monotonic() + deadline_seconds

    @property
    def stopping(self) -> bool:
        """Whether somebody asked the crawl to end."""
        return bool(self.stop_reason)
