"""Rescue: takes jobs back from holders that are gone, never from one that only runs long."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from healtharchive.model.rescues import Lease, list_leases, rescue
from healtharchive.work.holder import is_gone, stopped_pid
from healtharchive.work.means import Means


@dataclass(slots=True)
class Rescuer:
    """Remembers which leases it has seen run out, and since when.

    A lease that ran out is only rescued when it is still the same a heartbeat later: after an
    outage of the database every lease has run out, and the living deserve to say so first.
    """

    means: Means
    _seen: dict[tuple[int, int], float] = field(default_factory=dict)

    def look(self, ours: Collection[tuple[int, int]]) -> list[int]:
        """Rescue what is due but `ours`, the (job, token) of attempts that run here; the jobs' ids.

        Outages of the database are the caller's.
        """
        return [lease.job_id for lease, why in self.due(ours) if self.take(lease, why)]

    def due(self, ours: Collection[tuple[int, int]] = ()) -> list[tuple[Lease, str]]:
        """The leases that are to be rescued now, each with the reason."""
        database = self.means.database
        with database.read() as connection:
            now = database.now(connection)
            held = list_leases(connection)
        leases = [each for each in held if (each.job_id, each.fence) not in ours]
        overdue = {each: each.expires_at <= now for each in leases}
        self._forget({(each.job_id, each.fence) for each, late in overdue.items() if late})
        reasons = [(each, self._reason(each, late)) for each, late in overdue.items()]
        return [(lease, why) for lease, why in reasons if why]

    def _reason(self, lease: Lease, late: bool) -> str:
        """Why a lease is to be rescued; empty while it is not."""
        if not lease.owner:
            return f"it says {lease.status}, and nobody holds it"
        if is_gone(lease.owner):
            return f"the process that held it is gone: {lease.owner}"
        if late and self._waited(lease):
            since = f"{lease.heartbeat_at:%Y-%m-%dT%H:%M:%SZ}" if lease.heartbeat_at else "ever"
            return f"no heartbeat from {lease.owner} since {since}"
        return ""

    def _waited(self, lease: Lease) -> bool:
        now = self.means.clock.monotonic()
        first_seen = self._seen.setdefault((lease.job_id, lease.fence), now)
        return now - first_seen >= self.means.settings.heartbeat_seconds

    def take(self, lease: Lease, why: str) -> bool:
        """Rescue it; False when its holder gave a sign of life after all."""
        try:
            return self._write(lease, why)
        except OperationalError as error:
            if not self.means.database.is_locked(error) or not _end_stopped(lease):
                raise
            return self._write(lease, f"{why}; stopped within a transaction, it was ended")

    def _write(self, lease: Lease, why: str) -> bool:
        with self.means.database.begin() as connection:
            return rescue(
                self.means.database,
                connection,
                lease,
                actor=self.means.actor,
                why=why,
                evidence={"lease_expires_at": lease.expires_at.isoformat()},
            )

    def _forget(self, overdue: set[tuple[int, int]]) -> None:
        for key in set(self._seen) - overdue:
            del self._seen[key]


def _end_stopped(lease: Lease) -> bool:
    """End the holder of a lost lease that was stopped while it held SQLite's write lock.

    Nobody else can write until it is gone, and itself it may write nothing any more.
    """
    pid = stopped_pid(lease.owner)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True
