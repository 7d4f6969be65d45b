"""What attempts work with: the settings, the database, the clock, and how children are started."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from healtharchive.model.attempts import Work
from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, this_process
from healtharchive.settings import Settings, environment_of
from healtharchive.storage.breaker import BreakerPolicy
from healtharchive.storage.probe import ProbeResult, probe
from healtharchive.work.holder import this_holder
from healtharchive.work.parking import BackOff, Roll
from healtharchive.work.policy import RetryPolicy

PROBE_SECONDS = 10.0
DATABASE_VARIABLE = "HEALTHARCHIVE_DATABASE_URL"
Commands = Mapping[Work, Sequence[str]]  # the program of each kind of child
COMMANDS: Commands = {
    Work.CRAWL: (sys.executable, "-P", "-m", "healtharchive.crawl"),
    Work.INDEX: (sys.executable, "-P", "-m", "healtharchive.search"),
}


def probe_output(path: str) -> ProbeResult:
    """A look at the directory a job writes to."""
    return probe(path, PROBE_SECONDS)


def breaker_policy(settings: Settings) -> BreakerPolicy:
    """When a target counts as dead, and when as well again."""
    return BreakerPolicy(
        settings.breaker_strikes,
        settings.breaker_good_probes,
        settings.breaker_good_seconds,
        settings.park_forget_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Everything an attempt needs from outside. Tests replace parts of it."""

    settings: Settings
    database: Database
    clock: Clock
    actor: Actor = field(default_factory=this_process)
    holder: str = field(default_factory=this_holder)
    commands: Commands = field(default_factory=lambda: COMMANDS)
    probe: Callable[[str], ProbeResult] = probe_output
    roll: Roll = random.random

    @property
    def policy(self) -> RetryPolicy:
        """The waits and budgets that the settings ask for."""
        settings = self.settings
        back_off = BackOff(
            settings.park_first_seconds,
            settings.park_max_seconds,
            settings.park_jitter,
            settings.park_forget_seconds,
            settings.starts_per_hour,
        )
        return RetryPolicy(back_off, settings.retry_delay_seconds, settings.index_retry_budget)

    @property
    def breaker(self) -> BreakerPolicy:
        """When a target counts as dead, as the settings ask for."""
        return breaker_policy(self.settings)

    def environment(self, work: Work) -> dict[str, str]:
        """A child's environment: these settings. Only an index child is told the database."""
        env = {**os.environ, **environment_of(self.settings)}
        env.pop(DATABASE_VARIABLE, None)
        if work is Work.INDEX:
            url = self.database.engine.url
            env[DATABASE_VARIABLE] = url.render_as_string(hide_password=False)
        return env
