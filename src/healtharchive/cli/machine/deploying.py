"""A deployment, decided: may it be made now, and which steps is it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healtharchive.cli.messages import size, span

HOLDS_SINCE = "0009"  # the schema that can say why a service is down


@dataclass(frozen=True, slots=True)
class Drain:
    """Work that a restart interrupts: it commits and goes back to the queue."""

    job_id: int
    source: str
    work: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a deployment meets. `pending` are migrations, each with what an older program minds."""

    schema: str
    head: str
    pending: Mapping[str, tuple[str, ...]]
    unmet: tuple[str, ...]
    drains: tuple[Drain, ...]
    database_bytes: int
    free_bytes: int | None  # where backups are kept; None: it cannot be seen
    source_error: str
    lock: str  # who deploys already; empty: nobody
    running: tuple[str, ...]  # services of this machine that systemd has active
    unmanaged: tuple[str, ...]  # services that live here outside systemd
    version: str
    versions: tuple[str, ...] = ()  # of the processes that live


@dataclass(frozen=True, slots=True)
class Verdict:
    """YES or NO. `reasons` are against it, `notes` are only good to know."""

    ready: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: lock, backup, stop, upgrade, start, restart, verify or unlock."""

    what: str
    sentence: str
    service: str = ""


def judge(standing: Standing) -> Verdict:
    """Whether a deployment may begin now."""
    reasons = [*_schema_reasons(standing), *standing.unmet]
    if standing.lock:
        reasons.append(standing.lock)
    if standing.source_error:
        reasons.append(standing.source_error)
    if standing.free_bytes is not None and standing.free_bytes < 2 * standing.database_bytes:
        reasons.append(
            f"the backup needs up to {size(2 * standing.database_bytes)} and "
            f"{size(standing.free_bytes)} are free in backup_dir"
        )
    return Verdict(not reasons, tuple(reasons), tuple(_notes(standing)))


def is_additive(standing: Standing) -> bool:
    """Whether running processes of the older program get along with the new schema."""
    return not any(standing.pending.values())


def _schema_reasons(standing: Standing) -> list[str]:
    if not standing.schema:
        return ["the database has no schema: this is a first installation, not a deployment"]
    if standing.schema > standing.head:
        return [
            f"the database has the schema {standing.schema}, newer than the {standing.head} of "
            "this program"
        ]
    if not is_additive(standing) and standing.schema < HOLDS_SINCE:
        return [
            f"the way from schema {standing.schema} is not only additions: stop the services, run "
            "`healtharchive db upgrade`, and start them"
        ]
    return []


def _notes(standing: Standing) -> list[str]:
    notes = [
        f"job {each.job_id} ({each.source}) has run for {span(each.seconds)} ({each.work}): it "
        "commits, goes back to the queue and continues there"
        for each in standing.drains
    ]
    for revision, minded in standing.pending.items():
        kind = f"not only additions ({', '.join(minded)})" if minded else "only additions"
        notes.append(f"migration {revision}: {kind}")
    if not is_additive(standing):
        notes.append("every service is down while the schema changes")
    if standing.free_bytes is None:
        notes.append("how much is free for the backup cannot be seen")
    notes += [
        f"the {each} on this machine is not systemd's: restart it by hand afterwards"
        for each in standing.unmanaged
    ]
    older = [each for each in standing.versions if each != standing.version]
    notes += [f"processes of version {each} run now" for each in older]
    return notes


def plan(standing: Standing) -> list[Step]:
    """The steps in order; a dry run prints the very ones that are taken."""
    services, head = standing.running, standing.head
    upgrade = [Step("upgrade", f"bring the schema from {standing.schema} to {head}")]
    steps = [
        Step("lock", "take the deploy lock: nothing is repaired automatically meanwhile"),
        Step("backup", "back the database up"),
    ]
    if standing.pending and not is_additive(standing):
        steps += [Step("stop", f"stop the {each}", each) for each in services]
        steps += upgrade
        steps += [Step("start", f"start the {each}", each) for each in services]
    else:
        steps += upgrade if standing.pending else []
        steps += [Step("restart", f"restart the {each}", each) for each in services]
    steps.append(Step("verify", "look at the archive with `healtharchive status`"))
    return [*steps, Step("unlock", "give the deploy lock back")]


def way_back(standing: Standing, done: tuple[Step, ...]) -> list[str]:
    """What a person does to have the version before again, after these steps; none: nothing."""
    upgraded = any(each.what == "upgrade" for each in done)
    touched = [each for each in done if each.what in ("restart", "start", "stop")]
    if not upgraded and not touched:
        return []
    older = next((each for each in standing.versions if each != standing.version), "before")
    units = " ".join(f"healtharchive-{each}.service" for each in standing.running)
    steps = [f"systemctl stop {units}"] if upgraded and units else []
    if upgraded and is_additive(standing):
        steps.append(f"healtharchive db downgrade {standing.schema} --yes  # drops only additions")
    elif upgraded:
        steps.append("restore the backup that was made: docs/backups.md")
    steps.append(f"install the version {older} again, where the units find it")
    return [*steps, f"systemctl restart {units}"] if units else steps
