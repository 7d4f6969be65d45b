"""What the steward works with: the settings, the database, the clock, and its policies."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, this_process
from healtharchive.settings import Settings
from healtharchive.steward.gates import GatePolicy
from healtharchive.storage.breaker import BreakerPolicy
from healtharchive.storage.mount_power import Mounter, mounter_here
from healtharchive.work.means import breaker_policy
from healtharchive.work.parking import BackOff
from healtharchive.work.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardMeans:
    """Everything a reconciler needs from outside. Tests replace parts of it."""

    settings: Settings
    database: Database
    clock: Clock
    stop: Stop
    actor: Actor = field(default_factory=this_process)

    @property
    def breaker(self) -> BreakerPolicy:
        """When a target counts as dead, and when as well again."""
        return breaker_policy(self.settings)

    @property
    def gates(self) -> GatePolicy:
        """How careful repairs are."""
        settings = self.settings
        return GatePolicy(
            BackOff(
                settings.recover_first_seconds,
                settings.recover_max_seconds,
                settings.park_jitter,
                settings.park_forget_seconds,
            ),
            settings.recover_per_hour,
            settings.recover_per_day,
            settings.deploy_lock_seconds,
        )

    @property
    def mounter(self) -> Mounter:
        """Who makes and unmakes mounts for us."""
        return mounter_here(
            self.settings.mounter_socket,
            jobs_root=self.settings.jobs_root,
            mount_seconds=self.settings.mount_seconds,
        )

    def deploy_lock_age_seconds(self) -> float | None:
        """How old the deploy lock is; None when there is none.

        One dated in the future is as old as it is ahead: a wrong clock must not lock for ever.
        """
        try:
            made = os.stat(self.settings.deploy_lock).st_mtime
        except OSError:
            return None
        return abs(self.clock.now().timestamp() - made)
