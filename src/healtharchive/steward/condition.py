"""How the archive is, in one record: what `status`, the alerts and the operations pages look at.

All of it is read from the database, so it is there while every mount hangs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from healtharchive.model.actions import Action
from healtharchive.model.expiries import Expiry
from healtharchive.model.rounds import Round
from healtharchive.model.services import Hold, Process


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """One kind of service. `living` are processes that beat lately; `silent` say they live only.

    `refused` is why the steward last did not start it, since its newest process began.
    """

    service: str
    living: tuple[Process, ...]
    silent: tuple[Process, ...]
    holds: tuple[Hold, ...]
    last_stopped: Process | None
    stopped_by: str = ""  # the sentence of the stop signal, when one ended it
    refused: str = ""

    @property
    def seen_at(self) -> datetime | None:
        """When one of its processes was last known to live."""
        ended = [] if self.last_stopped is None else [self.last_stopped.stopped_at]
        known = [each.beat_at for each in (*self.living, *self.silent)]
        return max([*known, *(each for each in ended if each is not None)], default=None)

    @property
    def newest(self) -> Process | None:
        """The process that was started last, whether it lives or not."""
        ended = () if self.last_stopped is None else (self.last_stopped,)
        known = (*self.living, *self.silent, *ended)
        return max(known, key=lambda each: each.started_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNow:
    """A job that runs. `pages_per_minute` is over the last minutes; None while nobody knows."""

    job_id: int
    source: str
    campaign: str
    work: str  # crawl or index
    worker: str
    unit: str
    urls_done: int
    urls_queued: int
    urls_failed: int
    bytes_written: int
    started_at: datetime | None
    progress_at: datetime | None
    pages_per_minute: float | None
    errors_per_minute: float | None
    eta_seconds: float | None
    stall_seconds: float  # of its source, or of the settings
    restarts_per_day: int  # after a stall, at most
    restarts_in_day: int = 0
    waits_until: datetime | None = None  # when its newest polite wait ends, or ended
    waits: str = ""  # for whom and why, while it does
    targets: tuple[str, ...] = ()  # that it needs


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingNow:
    """A job that waits. `next_at` is None when nothing but a free worker is missing."""

    job_id: int
    source: str
    campaign: str
    status: str
    why: str
    since: datetime | None
    next_at: datetime | None
    target: str
    last_error: str
    targets: tuple[str, ...] = ()  # that it needs


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetNow:
    """A storage target. `repairs` are those in a row that did not help; `held` why none is made.

    `refused` is why the last repair of this trouble was not made, `repair_at` when the wait after
    one that did not help is over.
    """

    name: str
    kind: str
    parent: str
    state: str
    since: datetime
    verdict: str
    error: str
    probed_at: datetime | None
    last_healthy_at: datetime | None
    last_apply_at: datetime | None
    repairs: int
    trips: int  # that followed each other soon
    held: str
    jobs_waiting: int
    unshipped: int
    unshipped_bytes: int
    unshipped_since: datetime | None
    bad_copies: int
    unread_since: datetime | None  # when the copy that was unread the longest was last read
    refused: str = ""
    repair_at: datetime | None = None
    repairs_in_hour: int = 0


@dataclass(frozen=True, slots=True)
class CampaignNow:
    """A campaign: ready for search, or each reason why not."""

    name: str
    year: int | None
    ready: bool
    reasons: tuple[str, ...]
    settled: bool = False  # nothing happens to its jobs any more unless a person asks


@dataclass(frozen=True, slots=True)
class SpoolNow:
    """The disk under jobs_root, as the steward saw it last."""

    used_percent: float
    seen_at: datetime | None
    full_in_days: float | None  # None: it does not grow, or nobody knows


@dataclass(frozen=True, slots=True)
class AlertNow:
    """An alert that fires."""

    name: str
    severity: str
    subject: str
    subject_id: str
    summary: str
    since: datetime
    sent_at: datetime | None
    inhibited_by: str


@dataclass(frozen=True, slots=True)
class BackupNow:
    """Backups of the database, from the journal. Tests are those of the newest backup."""

    last_at: datetime | None
    last_error: str
    restored_at: datetime | None
    restore_error: str
    unproven_since: datetime | None = None  # there are backups, and no test went well since


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """All of it at one moment of the database's clock."""

    now: datetime
    services: Mapping[str, ServiceNow]
    jobs: Mapping[str, int]  # by state
    for_workers: int  # jobs that a worker could get on with now, whether one has them or not
    running: tuple[RunningNow, ...]
    waiting: tuple[WaitingNow, ...]
    failed: tuple[WaitingNow, ...]
    targets: tuple[TargetNow, ...]
    campaigns: tuple[CampaignNow, ...]
    spool: SpoolNow | None
    lost_segments: tuple[str, ...]  # no good copy is left anywhere
    unindexed_since: datetime | None  # the oldest captured job that waits to be indexed
    uncompared_since: datetime | None  # the oldest indexed job that waits to be compared
    rounds: tuple[Round, ...]
    actions: tuple[Action, ...]  # the last ones, newest first
    alerts: tuple[AlertNow, ...]
    backup: BackupNow
    expiries: tuple[Expiry, ...]
    reports_open: int
    reports_since: datetime | None
    drift: tuple[str, ...]  # one sentence each: configuration or schema that is not as it should be
    deploy_lock_age_seconds: float | None
    runs: tuple[Process, ...] = ()  # that live and work on one job each, beside the workers
    drift_names: tuple[str, ...] = ()  # the word of each of these
    index_renewal: str = ""  # how far an index is that is being made anew
