"""Hot paths: a job's directory under the jobs root shown from a target, by a bind mount.

`plan` is pure and says what is to be done; `apply` does it, and each step may be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sqlalchemy import update

from healtharchive.model.errors import BadInput, SetupError
from healtharchive.model.jobs import Job, get_job, list_jobs
from healtharchive.model.journal import record
from healtharchive.model.segments import WARCS_NAME
from healtharchive.model.shipments import Parcel, ShipOrder, TargetOrder
from healtharchive.model.states import HELD
from healtharchive.model.tables import archive_jobs
from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.model.targets import Target, declare_targets, get_target
from healtharchive.steward.courier import carry
from healtharchive.steward.means import StewardMeans
from healtharchive.storage import local_files, mounting
from healtharchive.storage.mountinfo import Mount, mount_at, read_mounts
from healtharchive.work.order import state_dir_of

TOKEN = "tier"
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
        steps = [f"move {name} to {self.backing} and read it back" for name in self.files]
        if not self.mounted:
            steps.append(f"bind {self.backing} at {self.path}")
        if not self.known:
            steps.append(f"declare the hot path {self.name} of target {self.target}")
        return steps

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
    mounted = mount_at(mounts, job.output_dir) is not None
    hot = HotPath(
        job_id=job.id,
        name=f"hot-{job.id}",
        target=target.name,
        path=str(path),
        backing=str(PurePosixPath(target.root, job.source, path.name)),
        mounted=mounted,
        known=job.hot_path is not None,
        files=() if mounted else files,
    )
    hold = _hold(job, target, hot)
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
    files = {job.id: local_files.listed(job.output_dir) for job in chosen if job.hot_path is None}
    return plan(chosen, found, read_mounts(), files)


def apply(means: StewardMeans, hot: HotPath) -> list[str]:
    """Carry one plan out; what was done. SetupError when a step fails: it may be repeated."""
    if hot.hold:
        return []
    done: list[str] = []
    if hot.files:
        done += _move(means, hot)
    if not hot.mounted:
        step = mounting.bind(hot.backing, hot.path, deadline_seconds=means.settings.mount_seconds)
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


def _move(means: StewardMeans, hot: HotPath) -> list[str]:
    """WARC files go to the target, are read back, and only then leave; the rest stays local."""
    state = state_dir_of(means.settings, hot.job_id)
    local_files.move_state(hot.path, str(state), WARCS_NAME)
    warcs = [name for name in hot.files if name.endswith(".warc.gz")]
    parcels = tuple(_parcel(hot, name) for name in warcs)
    with means.database.read() as connection:
        target = get_target(connection, hot.target)
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
    return [f"moved {name}" for name in hot.files]


def _parcel(hot: HotPath, name: str) -> Parcel:
    path = f"{hot.path}/{name}"
    sha256, size = local_files.digest(path)
    source, directory = PurePosixPath(hot.backing).parts[-2:]
    return Parcel(path, f"{source}/{directory}/{name}", size, sha256)


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
    escaped = UNSAFE.sub(
        lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode()),
        path.strip("/").replace("/", "\0"),
    ).replace("\\x00", "-")
    return f"{escaped}.mount"


def unit(hot: HotPath, target: Target) -> str:
    """A systemd mount unit that makes the hot path again after a reboot."""
    needs = target.definition.unit
    after = f"Requires={needs}\nAfter={needs}\n" if needs else f"RequiresMountsFor={target.root}\n"
    return (
        f"# Made by `healtharchive tier apply` for job {hot.job_id}.\n"
        f"[Unit]\nDescription=HealthArchive hot path of job {hot.job_id}\n{after}\n"
        f"[Mount]\nWhat={hot.backing}\nWhere={hot.path}\nType=none\nOptions=bind,nofail\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def fstab_line(hot: HotPath, target: Target) -> str:
    """The same for /etc/fstab."""
    requires = f",x-systemd.requires-mounts-for={target.root}"
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


def _escaped(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
