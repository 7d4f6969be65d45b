"""Hot paths: a job's directory under the jobs root shown from a target, by a bind mount.

`plan` is pure and says what is to be done; `apply` does it, and each step may be repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import update

from healtharchive.model.errors import BadInput, SetupError
from healtharchive.model.jobs import Job, get_job, list_jobs
from healtharchive.model.journal import record
from healtharchive.model.layout import MANIFEST_NAME, WARCS_NAME
from healtharchive.model.segments import job_facts
from healtharchive.model.shipments import Parcel, ShipOrder, TargetOrder
from healtharchive.model.states import HELD
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import Target, declare_targets, get_target
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.storage import local_files
from healtharchive.storage.inspection import inspect_target
from healtharchive.storage.mountinfo import (
    Mount,
    covering,
    mount_at,
    read_mounts,
    same_source,
)
from healtharchive.work.order import state_dir_of

TOKEN = "tier"
WARC_SUFFIX = ".warc.gz"
HOLD_BACK = timedelta(days=2)  # longer than any move takes; it ends with the move
UNSAFE = re.compile(r"[^A-Za-z0-9:_.]")


@dataclass(frozen=True, slots=True)
class HotPath:
    """One job's directory and where its bytes are to lie. `hold` says why it is left alone."""

    job_id: int
    name: str  # of its bind target
    target: str
    path: str
    backing: str
    mounted: bool = False
    known: bool = False
    files: tuple[str, ...] = ()  # to be moved, below the path
    hold: str = ""

    @property
    def steps(self) -> list[str]:
        """What `apply` does, in order, for a person."""
        if self.hold:
            return []
        steps = [f"move {name} to {self.backing} and read it back" for name in self.warcs]
        if len(self.warcs) < len(self.files):
            steps.append(
                "move its frontier and what else is not a WARC file to its state directory"
            )
        if not self.mounted:
            steps.append(f"bind {self.backing} at {self.path}")
        if not self.known:
            steps.append(f"declare the hot path {self.name} of target {self.target}")
        return steps

    @property
    def warcs(self) -> tuple[str, ...]:
        """Of the files, those that go to the target."""
        return tuple(name for name in self.files if name.endswith(WARC_SUFFIX))

    @property
    def definition(self) -> TargetDefinition:
        """The bind target that looks after it from now on."""
        return TargetDefinition(
            self.name, TargetKind.BIND, self.path, parent=self.target, backing=self.backing
        )


def plan(
    jobs: Sequence[Job],
    target: Target,
    mounts: Sequence[Mount],
    files: dict[int, tuple[str, ...]],
) -> list[HotPath]:
    """What it takes for these jobs to write to the target. `files` are what their paths hold."""
    return [_plan_one(job, target, mounts, files.get(job.id, ())) for job in jobs]


def _plan_one(job: Job, target: Target, mounts: Sequence[Mount], files: tuple[str, ...]) -> HotPath:
    path = PurePosixPath(job.output_dir)
    backing = str(PurePosixPath(target.root, job.source, path.name))
    at, under = mount_at(mounts, job.output_dir), covering(mounts, backing)
    mounted = at is not None and under is not None and same_source(at, under, "/", backing)
    hot = HotPath(
        job_id=job.id,
        name=f"hot-{job.id}",
        target=target.name,
        path=str(path),
        backing=backing,
        mounted=mounted,
        known=job.hot_path is not None,
        files=() if mounted else files,
    )
    hold = _hold(job, target, hot)
    if not hold and at is not None and not mounted:
        hold = f"what is mounted at its path is not {backing}"
    return replace(hot, files=(), hold=hold) if hold else hot


def _hold(job: Job, target: Target, hot: HotPath) -> str:
    if job.status in HELD:
        return "it runs: pause it first"
    if job.target is not None and job.target != target.name:
        return f"it lies on target {job.target} already"
    if job.target is not None and job.hot_path is None:
        return "its directory lies on the target without a hot path"
    unsealed = [name for name in hot.files if not _movable(name)]
    if unsealed:
        return f"it has files that are not sealed ({unsealed[0]}): let it run to a stop first"
    return ""


def _movable(name: str) -> bool:
    return name.endswith((".warc.gz", ".cdxj", "manifest.jsonl")) or not name.startswith(
        f"{WARCS_NAME}/"
    )


# -- doing it --------------------------------------------------------------------------------


def survey(means: StewardMeans, target: str, job_ids: Sequence[int]) -> list[HotPath]:
    """The plan for these jobs, or for every job that is not settled."""
    with means.database.read() as connection:
        chosen = [get_job(connection, each) for each in job_ids] or [
            job for job in list_jobs(connection) if not job.settled
        ]
        found = get_target(connection, target)
    if found.kind is TargetKind.OBJECT:
        raise BadInput(
            f"Target '{target}' is no directory: a hot path needs a mount or a local one.",
            "Segments are shipped to it instead: set `ship = true` in the targets file.",
        )
    mounts = read_mounts()
    # Nothing that is mounted is asked: it may hang.
    local = [job for job in chosen if job.target is None and not mount_at(mounts, job.output_dir)]
    files = {job.id: local_files.listed(job.output_dir) for job in local}
    return plan(chosen, found, mounts, files)


def apply(means: StewardMeans, hot: HotPath) -> list[str]:
    """Carry one plan out; what was done. SetupError when a step fails: it may be repeated."""
    if not hot.steps:
        return []
    target = _healthy_target(means, hot.target)
    with _held_back(means, hot.job_id):
        return _apply(means, hot, target)


def _apply(means: StewardMeans, hot: HotPath, target: Target) -> list[str]:
    done: list[str] = []
    if hot.files:
        done += _move(means, hot, target)
    if not hot.mounted:
        step = means.mounter.mount(hot.definition, target.definition)
        if not step.ok:
            raise SetupError(
                f"{hot.path} cannot be bound to {hot.backing}: {step.detail}.",
                "Mend that and repeat the command.",
            )
        done.append(f"bound {hot.backing} at {hot.path}")
    if not hot.known:
        _declare(means, hot)
        done.append(f"declared {hot.name}")
    return done


def _healthy_target(means: StewardMeans, name: str) -> Target:
    """The target, as it is now; SetupError when it is not what was declared, or not usable."""
    with means.database.read() as connection:
        target = get_target(connection, name)
    seen = inspect_target(
        target.definition,
        deadline_seconds=means.settings.probe_deadline_seconds,
        identity=target.identity or "",
        user=means.settings.crawler_user,
    )
    if not seen.healthy:
        raise SetupError(
            f"Target '{name}' is {seen.verdict}: {seen.detail}.",
            f"`healtharchive steward run storage --target {name}` says what would mend it.",
            playbook="targetdown",
        )
    return target


@contextmanager
def _held_back(means: StewardMeans, job_id: int) -> Iterator[None]:
    """Nobody claims the job meanwhile; SetupError when somebody has it already."""
    jobs = archive_jobs.c
    with means.database.begin() as connection:
        before = get_job(connection, job_id).not_before
        until = means.database.now(connection) + HOLD_BACK
        changed = connection.execute(
            update(archive_jobs)
            .where(jobs.id == job_id, jobs.status.not_in(HELD))
            .values(not_before=until)
        )
    if changed.rowcount != 1:
        raise SetupError(f"Job {job_id} was started meanwhile.", "Pause it and try again.")
    try:
        yield
        before = None
    finally:
        with means.database.begin() as connection:
            mine = (jobs.id == job_id, jobs.not_before == until)
            connection.execute(update(archive_jobs).where(*mine).values(not_before=before))


def _move(means: StewardMeans, hot: HotPath, target: Target) -> list[str]:
    """WARC files go to the target, are read back, and only then leave; the rest stays local."""
    state = state_dir_of(means.settings, hot.job_id)
    local_files.move_state(hot.path, str(state), WARCS_NAME)
    with means.database.read() as connection:
        facts = job_facts(connection, hot.job_id)
    lines = local_files.manifest_lines(f"{hot.path}/{WARCS_NAME}", MANIFEST_NAME)
    parcels = tuple(_parcel(hot, name, lines, facts) for name in hot.warcs)
    order = TargetOrder(target.definition, ShipOrder(parcels, TOKEN), target.identity or "")
    verified: set[str] = set()
    reason = "it was interrupted"
    for report in carry(order, means.stop, stall_seconds=means.settings.ship_stall_seconds):
        if report.kind == "verified":
            verified.add(report.name)
        reason = report.reason or reason
    missing = [each.name for each in parcels if each.name not in verified]
    if missing:
        raise SetupError(
            f"{missing[0]} did not get to target '{hot.target}': {reason}.",
            "Nothing was removed; repeat the command.",
        )
    local_files.remove([each.path for each in parcels], hot.path, WARCS_NAME)
    return [f"moved {name}" for name in hot.warcs]


def _parcel(
    hot: HotPath, name: str, lines: dict[str, dict[str, Any]], facts: dict[str, Any]
) -> Parcel:
    """A file with all that its line in the manifest says: it is indexed and rebuilt from that."""
    path = f"{hot.path}/{name}"
    line = lines.get(PurePosixPath(name).name, {})
    sha256, size = local_files.digest(path)
    source, directory = PurePosixPath(hot.backing).parts[-2:]
    return Parcel(
        path,
        f"{source}/{directory}/{name}",
        line.get("size_bytes", size),
        line.get("sha256", sha256),
        line.get("records", 0),
        line.get("sealed_at") or local_files.modified_at(path),
        line.get("fence", 0),
        facts,
    )


def _declare(means: StewardMeans, hot: HotPath) -> None:
    with means.database.begin() as connection:
        declare_targets(
            means.database, connection, [hot.definition], actor=means.actor, only_add=True
        )
        connection.execute(
            update(archive_jobs)
            .where(archive_jobs.c.id == hot.job_id)
            .values(target=hot.target, hot_path=hot.name)
        )
        record(
            connection,
            at=means.database.now(connection),
            actor=means.actor,
            subject="job",
            subject_id=hot.job_id,
            what="tiered",
            why=f"its WARC files lie on target {hot.target} from now on",
            evidence={"path": hot.path, "backing": hot.backing, "hot_path": hot.name},
        )


# -- surviving a reboot ----------------------------------------------------------------------


def unit_name(path: str) -> str:
    """The name of the mount unit of a path (systemd.unit(5), the same as systemd-escape --path)."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    escaped = "-".join(UNSAFE.sub(_escaped_bytes, part) for part in parts)
    if escaped.startswith("."):
        escaped = f"\\x2e{escaped[1:]}"
    return f"{escaped or '-'}.mount"


def _escaped_bytes(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(found[0]))


def unit(hot: HotPath, target: Target) -> str:
    """A systemd mount unit that makes the hot path again after a reboot."""
    needs = target.definition.unit
    after = (
        f"Requires={needs}\nAfter={needs}\n"
        if needs
        else f'RequiresMountsFor="{_literal(target.root)}"\n'
    )
    what, where = _literal(hot.backing), _literal(hot.path)
    return (
        f"# Made by `healtharchive tier apply` for job {hot.job_id}.\n"
        f"[Unit]\nDescription=HealthArchive hot path of job {hot.job_id}\n{after}\n"
        f"[Mount]\nWhat={what}\nWhere={where}\nType=none\nOptions=bind,nofail\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def fstab_line(hot: HotPath, target: Target) -> str:
    """The same for /etc/fstab."""
    requires = f",x-systemd.requires-mounts-for={_escaped(target.root)}"
    return f"{_escaped(hot.backing)} {_escaped(hot.path)} none bind,nofail{requires} 0 0"


def write_units(directory: Path, hot_paths: Sequence[HotPath], target: Target) -> list[Path]:
    """Write a unit for each hot path into a directory such as /etc/systemd/system."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for hot in hot_paths:
        path = directory / unit_name(hot.path)
        path.write_text(unit(hot, target), encoding="utf-8")
        written.append(path)
    return written


def _literal(path: str) -> str:
    """A path in a unit file, where % begins a specifier."""
    return path.replace("%", "%%")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
