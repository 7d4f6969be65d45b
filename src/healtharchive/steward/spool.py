"""The spool reconciler: how full the local disk is, over time, and what may go when it fills.

Derived things go first, then local files whose segments are verified elsewhere with fresh proof,
through the same door as every release. Nothing is touched that is not on a local disk.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from healtharchive.model.copies import due_for_check, releasable
from healtharchive.model.errors import SetupError
from healtharchive.model.finished import jobs_finished
from healtharchive.model.layout import CRAWL_LOG_NAME, CRAWLER_LOG_NAME
from healtharchive.model.measures import forget_measures, last_measured, note_measures
from healtharchive.model.segments import SegmentFile
from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL
from healtharchive.model.targets import Target, list_targets
from healtharchive.settings import Settings
from healtharchive.steward.fixity import Fixity
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.rounds import Caps, Step
from healtharchive.steward.shipping import BATCH, Shipping
from healtharchive.storage import errand
from healtharchive.storage.mountinfo import Mount, covering, read_mounts
from healtharchive.work.order import state_dir_of

logger = logging.getLogger(__name__)

TIDYING = Path(__file__).with_name("tidying.py")
TIDY_SECONDS = 60.0
EVERY_SECONDS = 60.0
MEASURE_SECONDS = 300.0
KEPT_DAYS = 90.0  # measures, bundles of evidence, logs
WACZ_DAYS = 7.0  # without anybody's asking for it
LOOKED_BACK_DAYS = 400.0  # at jobs whose logs may be left
OLD_LOOK_SECONDS = 120.0  # what the storage reconciler saw before then says nothing of now
MOST_PATHS = 40  # removed in one step
LOGS = (CRAWL_LOG_NAME, CRAWLER_LOG_NAME)
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "lustre", "virtiofs")
DERIVED = {
    "wacz": "prepared WACZ states that nobody asked for in 7 days",
    "evidence": "bundles of evidence older than 90 days",
    "logs": "logs of crawls that were indexed over 90 days ago",
}


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk under jobs_root, as the storage reconciler saw it. None: nobody can tell."""

    used_percent: float
    free_bytes: int
    total_bytes: int | None

    @property
    def measures(self) -> dict[str, float]:
        """The numbers that are kept."""
        found: dict[str, float] = {
            "spool_used_percent": self.used_percent,
            "spool_free_bytes": self.free_bytes,
        }
        return (
            found if self.total_bytes is None else {**found, "spool_total_bytes": self.total_bytes}
        )


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A thing that may go: a directory or a file that the archive made and needs no more."""

    kind: str
    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Removable:
    """Local files of segments: those with fresh proof, and what must be proven on which target."""

    segments: int = 0
    size_bytes: int = 0
    unproven: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a plan needs to know."""

    now: datetime
    disk: Disk | None
    measured_at: datetime | None
    rubbish: Sequence[Rubbish] = ()
    removable: Removable = Removable()


def disk_of(spool: Target | None, now: datetime) -> Disk | None:
    """The disk from the newest look at the spool; None when that is old or never was. Pure."""
    if spool is None or spool.probed_at is None:
        return None
    if (now - spool.probed_at).total_seconds() > OLD_LOOK_SECONDS:
        return None
    evidence = spool.evidence  # zeros are left out of it
    if "free_bytes" not in evidence and "used_percent" not in evidence:
        return None
    used = float(evidence.get("used_percent", 0.0))
    free = int(evidence.get("free_bytes", 0))
    return Disk(used, free, evidence.get("disk_bytes"))


def plan(observed: Observed, settings: Settings) -> list[Step]:
    """What is to be measured and removed now, derived things first. Pure."""
    disk = observed.disk
    if disk is None:
        return []
    return [*_measuring(observed, disk), *_tidying(observed, disk, settings)] + (
        _releasing(observed.removable, disk) if disk.used_percent >= _soft(settings) else []
    )


def _soft(settings: Settings) -> float:
    return settings.spool_soft_percent


def _measuring(observed: Observed, disk: Disk) -> list[Step]:
    at = observed.measured_at
    if at is not None and (observed.now - at).total_seconds() < MEASURE_SECONDS:
        return []
    why = f"{disk.used_percent:.1f} % of the disk under jobs_root is used"
    return [Step("measure", "spool", SPOOL, why, evidence=disk.measures, urgent=True, quiet=True)]


def _tidying(observed: Observed, disk: Disk, settings: Settings) -> list[Step]:
    steps = []
    for kind, words in DERIVED.items():
        if kind == "wacz" and disk.used_percent < settings.spool_warn_percent:
            continue  # making it again costs somebody a wait
        found = [each for each in observed.rubbish if each.kind == kind]
        if found:
            size = sum(each.size_bytes for each in found)
            evidence = {"bytes": size, "paths": [each.path for each in found]}
            why = f"{len(found)} {words}: {size} bytes"
            steps.append(Step("tidy", "spool", kind, why, evidence=evidence))
    return steps


def _releasing(removable: Removable, disk: Disk) -> list[Step]:
    full = f"{disk.used_percent:.0f} % of the disk is used"
    steps = []
    if removable.segments:
        why = (
            f"{full}: {removable.segments} local files, {removable.size_bytes} bytes, have copies "
            "that were read back not long ago"
        )
        evidence = {"bytes": removable.size_bytes, "segments": removable.segments}
        steps.append(Step("release", "spool", "segments", why, evidence=evidence))
    for target, number in removable.unproven.items():
        why = f"{full}: {number} local files may go when their copies are right"
        steps.append(Step("prove", "target", target, why, evidence={"copies": number}, quiet=True))
    return steps


def is_local(mounts: Sequence[Mount], path: str | Path) -> bool:
    """Whether a path lies on a disk of this machine, by the kernel's table alone."""
    at = covering(mounts, path)
    return at is not None and not at.is_fuse and at.filesystem not in REMOTE


@dataclass(slots=True)
class Spool:
    """Measures the disk and makes room on it."""

    means: StewardMeans
    name: str = "spool"
    caps: Caps = field(default_factory=lambda: Caps(per_hour=240, per_day=5000))
    _shipping: Shipping = field(init=False)
    _fixity: Fixity = field(init=False)

    def __post_init__(self) -> None:
        # With copies_before_release at 0 nothing is released in good times; when room is needed,
        # the same proofs are asked for as if one copy were wanted.
        pressed = replace(self.means.settings, copies_before_release=1)
        means = replace(self.means, settings=pressed)
        self._shipping, self._fixity = Shipping(means), Fixity(means)

    def every_seconds(self) -> float:
        """How often; the disk is measured more rarely."""
        return EVERY_SECONDS

    def plan(self) -> list[Step]:
        """See `plan`."""
        return plan(self.observe(), self.means.settings)

    def observe(self) -> Observed:
        """The disk as it was seen, and what could go."""
        settings, database = self.means.settings, self.means.database
        with database.read() as connection:
            now = database.now(connection)
            targets = {each.name: each for each in list_targets(connection)}
            measured_at = last_measured(connection, "spool_used_percent", SPOOL)
        disk = disk_of(targets.get(SPOOL), now)
        if disk is None:
            return Observed(now=now, disk=None, measured_at=measured_at)
        # Where copies are wanted before a release, shipping releases by itself at every turn.
        pressed = disk.used_percent >= settings.spool_soft_percent
        ours = pressed and settings.copies_before_release == 0
        local = ours and is_local(read_mounts(), settings.jobs_root)
        return Observed(
            now=now,
            disk=disk,
            measured_at=measured_at,
            rubbish=self._rubbish(now),
            removable=self._removable(now, targets) if local else Removable(),
        )

    def apply(self, step: Step) -> str:
        """Do one step. SetupError when what was to go did not go."""
        if step.what == "measure":
            return self._measure(step)
        if step.what == "tidy":
            return self._tidy(step)
        if step.what == "prove":
            return self._prove(step.subject_id)
        released = self._shipping.release()
        return f"{released} local files were removed; their copies stay"

    # -- what could go -------------------------------------------------------------------------

    def _rubbish(self, now: datetime) -> list[Rubbish]:
        settings, mounts = self.means.settings, read_mounts()
        places = {"wacz": settings.wacz_dir, "evidence": settings.evidence_dir}
        look: dict[str, Any] = {
            kind: str(path) if is_local(mounts, path) else "" for kind, path in places.items()
        }
        look["logs"] = [path for path in self._logs(now) if is_local(mounts, path)]
        old = timedelta(days=KEPT_DAYS).total_seconds()
        wacz = timedelta(days=WACZ_DAYS).total_seconds()
        order = {
            "look": look,
            "now": now.timestamp(),
            "older": {"wacz": wacz, "evidence": old, "logs": old},
            "most": MOST_PATHS,
        }
        try:
            answer = ask_tidier(order)
        except SetupError as error:
            logger.warning("%s", error)
            return []
        return [Rubbish(**each) for each in answer["found"]]

    def _logs(self, now: datetime) -> list[str]:
        before, since = now - timedelta(days=KEPT_DAYS), now - timedelta(days=LOOKED_BACK_DAYS)
        with self.means.database.read() as connection:
            jobs = jobs_finished(connection, since, before)
        homes = [
            state_dir_of(self.means.settings, number) if target else Path(output_dir)
            for number, output_dir, target in jobs
        ]
        names = [f"{name}{end}" for name in LOGS for end in ("", ".1")]
        return [str(home / name) for home in homes for name in names]

    def _removable(self, now: datetime, targets: Mapping[str, Target]) -> Removable:
        fresh_since = now - timedelta(seconds=self.means.settings.release_proof_seconds)
        with self.means.database.read() as connection:
            proven = releasable(connection, fresh_since, 1, BATCH)
            unproven = {
                name: len(due)
                for name, target in targets.items()
                if target.ship and target.state is TargetState.CLOSED
                if (due := _unproven(connection, name, fresh_since))
            }
        return Removable(len(proven), sum(each.size_bytes for each in proven), unproven)

    # -- steps ---------------------------------------------------------------------------------

    def _measure(self, step: Step) -> str:
        database = self.means.database
        with database.begin() as connection:
            now = database.now(connection)
            values = {name: float(value) for name, value in step.evidence.items()}
            note_measures(database, connection, SPOOL, values, at=now)
            forget_measures(connection, SPOOL, now - timedelta(days=KEPT_DAYS))
        return step.why

    def _prove(self, target: str) -> str:
        database = self.means.database
        with database.read() as connection:
            age = timedelta(seconds=self.means.settings.release_proof_seconds)
            due = _unproven(connection, target, database.now(connection) - age)
        bad = self._fixity.check(target, due)
        return f"{len(due)} copies on {target} were read again, {bad} are bad"

    def _tidy(self, step: Step) -> str:
        answer = ask_tidier({"kind": step.subject_id, "remove": list(step.evidence["paths"])})
        if answer["trouble"]:
            raise SetupError(
                f"Not all could be removed: {answer['trouble']}.",
                "Look at its owner and mode; the steward tries again.",
            )
        return f"{answer['removed']} were removed, {answer['freed_bytes']} bytes"


def _unproven(connection: Connection, target: str, fresh_since: datetime) -> list[SegmentFile]:
    """Copies on a target whose local file could go if they were known to be right today."""
    never = datetime.fromtimestamp(0, UTC)
    return due_for_check(
        connection,
        target,
        checked_before=never,
        new_before=never,
        proven_before=fresh_since,
        limit=BATCH,
    )


def ask_tidier(order: Mapping[str, Any]) -> Any:
    """What the child of `tidying` answers to an order; SetupError when it gives no answer."""
    try:
        done = errand.run_reading_script(TIDYING, json.dumps(order), TIDY_SECONDS)
        return json.loads(done.output)
    except (OSError, ValueError):  # no room for a process, or one that gave no answer
        raise SetupError(
            f"A look at what could be removed did not end well within {TIDY_SECONDS:g} s.",
            "`healtharchive doctor` checks the directories.",
        ) from None
