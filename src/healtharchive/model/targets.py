"""Targets in the database: declared, looked at, tripped, released; each change with its event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, insert, or_, select, update

from healtharchive.model import wire
from healtharchive.model.database import Database
from healtharchive.model.errors import NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.states import (
    HELD,
    TARGET_TRANSITIONS,
    JobStatus,
    TargetEvent,
    TargetState,
    step,
)
from healtharchive.model.tables import archive_jobs, attempts, targets
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One row of `targets`: what was declared, the breaker, the last look, the last repair."""

    name: str
    kind: TargetKind
    root: str
    parent: str | None
    ship: bool
    definition: TargetDefinition
    declared: bool
    identity: str | None
    state: TargetState
    since: datetime
    tripped_at: datetime | None
    trip_streak: int
    strikes: int
    good_probes: int
    good_since: datetime | None
    verdict: Verdict | None
    probed_at: datetime | None
    last_healthy_at: datetime | None
    last_error: str | None
    evidence: Mapping[str, Any]
    last_apply_at: datetime | None
    apply_streak: int


_PLAIN = tuple(
    each.name
    for each in fields(Target)
    if each.name not in ("kind", "definition", "state", "verdict")
)


# -- questions -----------------------------------------------------------------------------


def get_target(connection: Connection, name: str, *, lock: bool = False) -> Target:
    """One target; NotFound when nobody declared it. With `lock` nobody changes it meanwhile."""
    query = select(targets).where(targets.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no target '{name}'.", "`healtharchive storage status` shows them."
        )
    return _target(row)


def list_targets(connection: Connection, *, declared_only: bool = True) -> list[Target]:
    """Every target; parents before the hot paths that lie on them."""
    query = select(targets).order_by(targets.c.parent.is_not(None), targets.c.id)
    if declared_only:
        query = query.where(targets.c.declared)
    return [_target(row) for row in connection.execute(query)]


def needs(name: Any) -> Any:
    """The condition that a job needs a target: its output's, its hot path, or that one's parent."""
    jobs = archive_jobs.c
    return or_(jobs.target == name, jobs.hot_path == name)


def targets_of_jobs(connection: Connection) -> set[str]:
    """The targets that the WARC files of any job are written to."""
    query = select(archive_jobs.c.target).where(archive_jobs.c.target.is_not(None)).distinct()
    return set(connection.execute(query).scalars())


def writers_of(connection: Connection, name: str) -> list[int]:
    """The jobs that run now and need the target."""
    query = select(archive_jobs.c.id).where(archive_jobs.c.status.in_(HELD), needs(name))
    return list(connection.execute(query.order_by(archive_jobs.c.id)).scalars())


def places_wanted(connection: Connection, name: str, limit: int) -> list[str]:
    """Output directories on the target of jobs that run or could be claimed next, those first."""
    jobs = archive_jobs.c
    soon = (*HELD, JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)
    query = (
        select(jobs.output_dir)
        .where(jobs.target == name, jobs.hot_path.is_(None), jobs.status.in_(soon))
        .order_by(jobs.status.in_(HELD).desc(), jobs.position, jobs.id)
    )
    return list(connection.execute(query.limit(limit)).scalars())


def waiting_for(connection: Connection, name: str) -> int:
    """How many jobs wait that need the target."""
    waiting = (JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)
    query = select(func.count()).select_from(archive_jobs)
    query = query.where(archive_jobs.c.status.in_(waiting), needs(name))
    return int(connection.execute(query).scalar_one())


def trial_got_on(connection: Connection, name: str, since: datetime) -> bool:
    """Whether a job that needs the target was started since then and has captured something."""
    query = select(archive_jobs.c.id).where(
        needs(name),
        exists(
            select(attempts.c.id).where(
                attempts.c.job_id == archive_jobs.c.id, attempts.c.started_at >= since
            )
        ),
        archive_jobs.c.progress_at > since,
    )
    return connection.execute(query.limit(1)).first() is not None


def open_targets_of(connection: Connection, job_ids: Iterable[int]) -> dict[int, str]:
    """Of these jobs, those that need a target whose breaker is open, and why it is."""
    wanted = list(job_ids)
    if not wanted:
        return {}
    rows = connection.execute(
        select(archive_jobs.c.id, targets.c.name, targets.c.verdict, targets.c.last_error)
        .join(
            targets,
            and_(
                targets.c.state == TargetState.OPEN,
                or_(
                    targets.c.name == archive_jobs.c.target,
                    targets.c.name == archive_jobs.c.hot_path,
                ),
            ),
        )
        .where(archive_jobs.c.id.in_(wanted))
    )
    return {row.id: f"target {row.name} is {row.verdict}: {row.last_error}" for row in rows}


# -- changes -------------------------------------------------------------------------------


def declare_targets(
    database: Database,
    connection: Connection,
    definitions: Iterable[TargetDefinition],
    *,
    actor: Actor,
    only_add: bool = False,
) -> None:
    """Bring the rows to what is declared. A target that no file names any more keeps its history.

    With `only_add` the others are left as they are: hot paths are declared one by one.
    """
    now = database.now(connection)
    named = {each.name: each for each in definitions}
    known = {row.name: row for row in connection.execute(select(targets))}
    for definition in named.values():
        columns = _declared_columns(definition)
        row = known.get(definition.name)
        if row is None:
            _add(connection, definition, columns, now, actor)
        elif any(getattr(row, name) != value for name, value in columns.items()):
            connection.execute(
                update(targets).where(targets.c.name == definition.name).values(**columns)
            )
    if only_add:
        return
    gone = [
        row.name
        for row in known.values()
        if row.declared and row.name not in named and row.kind != TargetKind.BIND
    ]
    if gone:
        connection.execute(update(targets).where(targets.c.name.in_(gone)).values(declared=False))


def change_target(
    database: Database,
    connection: Connection,
    name: str,
    event: TargetEvent | None,
    *,
    actor: Actor,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    caused_by: int | None = None,
) -> int | None:
    """Change a target's row; with `event` take its breaker a legal step, whose event's id it is."""
    row = connection.execute(
        select(targets.c.state).where(targets.c.name == name).with_for_update()
    ).one()
    values = dict(columns or {})
    if event is None:
        if values:
            connection.execute(update(targets).where(targets.c.name == name).values(**values))
        return None
    now = database.now(connection)
    before = TargetState(row.state)
    after = step(TARGET_TRANSITIONS, before, event)
    values |= {"state": after, "since": now}
    connection.execute(update(targets).where(targets.c.name == name).values(**values))
    if after is not TargetState.OPEN:
        _let_go(database, connection, name)
    return record(
        connection,
        at=now,
        actor=actor,
        subject="target",
        subject_id=name,
        what=event,
        from_state=before,
        to_state=after,
        why=why,
        evidence=evidence,
        caused_by=caused_by,
    )


def _let_go(database: Database, connection: Connection, name: str) -> None:
    """The jobs that were parked for the target need not wait for their time any more."""
    jobs = archive_jobs.c
    parked = select(jobs.id).where(
        needs(name),
        jobs.parked_target.is_not(None),
        jobs.status.in_((JobStatus.PARKED, JobStatus.COMPLETED)),
    )
    # Who has a job's row locked is claiming it, and may wait for the target's row that we have.
    free = list(connection.execute(database.skip_locked(parked)).scalars())
    connection.execute(update(archive_jobs).where(jobs.id.in_(free)).values(not_before=None))


def _add(
    connection: Connection,
    definition: TargetDefinition,
    columns: Mapping[str, Any],
    now: datetime,
    actor: Actor,
) -> None:
    connection.execute(
        insert(targets).values(
            name=definition.name, state=TargetState.CLOSED, since=now, evidence={}, **columns
        )
    )
    record(
        connection,
        at=now,
        actor=actor,
        subject="target",
        subject_id=definition.name,
        what="declared",
        to_state=TargetState.CLOSED,
        why="it was declared",
        evidence={"kind": definition.kind, "root": definition.root},
    )


def _declared_columns(definition: TargetDefinition) -> dict[str, Any]:
    return {
        "kind": definition.kind.value,
        "root": definition.root,
        "parent": definition.parent or None,
        "ship": definition.ship,
        "definition": wire.to_plain(definition),
        "declared": True,
    }


def _target(row: Row[Any]) -> Target:
    plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    return Target(
        kind=TargetKind(row.kind),
        definition=wire.from_plain(TargetDefinition, row.definition)
        if row.definition
        else TargetDefinition(row.name, TargetKind(row.kind), row.root),
        state=TargetState(row.state),
        verdict=Verdict(row.verdict) if row.verdict else None,
        **plain,
    )
