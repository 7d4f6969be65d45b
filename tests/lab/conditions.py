"""Conditions of an archive, made by hand: a healthy one, and what a test changes in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from healtharchive.model.services import Hold, HoldKind, Process, Service
from healtharchive.settings import Settings, load
from healtharchive.steward.alert_rules import Finding
from healtharchive.steward.condition import (
    BackupNow,
    Condition,
    RunningNow,
    ServiceNow,
    SpoolNow,
    TargetNow,
    WaitingNow,
)
from healtharchive.steward.findings import findings

NOW = datetime(2026, 1, 24, 12, 0, tzinfo=UTC)
WORKER_UNIT = "healtharchive-worker.service"
UNDONE = ("queued", "parked", "retryable", "completed", "running", "indexing")


def settings_here(**values: object) -> Settings:
    """The defaults, and what a test sets; files would be nowhere."""
    named = {"data_dir": "/nowhere", **values}
    env = {f"HEALTHARCHIVE_{name.upper()}": str(value) for name, value in named.items()}
    return load(env, env_file=Path("/nowhere/no.env"))


def ago(**length: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(**length)


def process(service: str, **changes: Any) -> Process:
    """A process that lives, in its unit, since yesterday."""
    made = Process(
        service=service,
        holder=f"vps1:812:1:{service}",
        host="vps1",
        unit=f"healtharchive-{service}.service",
        pid=812,
        version="1",
        started_at=ago(days=1),
        beat_at=NOW,
        stopped_at=None,
        stop_reason=None,
    )
    return replace(made, **changes)


def living(service: str) -> ServiceNow:
    """A service that runs."""
    return ServiceNow(service, (process(service),), (), (), None)


def stopped(service: str, *holds: Hold, by: str = "", at: datetime | None = None) -> ServiceNow:
    """A service that was stopped an hour ago."""
    moment = at or ago(hours=1)
    last = process(service, beat_at=moment, stopped_at=moment, stop_reason="SIGTERM")
    return ServiceNow(service, (), (), holds, last, by)


def never(service: str) -> ServiceNow:
    """A service that never ran."""
    return ServiceNow(service, (), (), (), None)


def hold(service: str, kind: HoldKind, *, at: datetime, until: datetime | None = None) -> Hold:
    """A hold on every machine."""
    return Hold(1, service, "", kind, "ada", "the disk is changed", at, until, None, None)


def target(name: str, **changes: Any) -> TargetNow:
    """A healthy mount."""
    made = TargetNow(
        name=name,
        kind="mount",
        parent="",
        state="closed",
        since=ago(days=3),
        verdict="healthy",
        error="",
        probed_at=NOW,
        last_healthy_at=NOW,
        last_apply_at=None,
        repairs=0,
        trips=0,
        held="",
        jobs_waiting=0,
        unshipped=0,
        unshipped_bytes=0,
        unshipped_since=None,
        bad_copies=0,
        unread_since=None,
    )
    return replace(made, **changes)


def running(job_id: int = 6, **changes: Any) -> RunningNow:
    """A crawl that gets on."""
    made = RunningNow(
        job_id=job_id,
        source="hc",
        campaign="annual-2026",
        work="crawl",
        worker="vps1:812:1:worker",
        unit=WORKER_UNIT,
        urls_done=100,
        urls_queued=300,
        urls_failed=1,
        bytes_written=1,
        started_at=ago(hours=2),
        progress_at=ago(seconds=5),
        pages_per_minute=60.0,
        errors_per_minute=0.0,
        eta_seconds=300.0,
        stall_seconds=1800.0,
        restarts_per_day=4,
        targets=("spool",),
    )
    return replace(made, **changes)


def waiting(job_id: int = 7, **changes: Any) -> WaitingNow:
    """A parked job that is tried again in a minute."""
    made = WaitingNow(
        job_id=job_id,
        source="phac",
        campaign="annual-2026",
        status="parked",
        why="stale mount (errno 107)",
        since=ago(hours=3),
        next_at=NOW + timedelta(minutes=1),
        target="",
        last_error="",
        targets=("spool",),
    )
    return replace(made, **changes)


def healthy(**changes: Any) -> Condition:
    """An archive with which nothing is wrong, and what a test changes in it."""
    made = Condition(
        now=NOW,
        services={str(each): living(each) for each in Service},
        jobs={"indexed": 3},
        for_workers=0,
        running=(),
        waiting=(),
        failed=(),
        targets=(target("spool", kind="local"), target("box")),
        campaigns=(),
        spool=SpoolNow(40.0, NOW, None),
        lost_segments=(),
        unindexed_since=None,
        uncompared_since=None,
        rounds=(),
        actions=(),
        alerts=(),
        backup=BackupNow(ago(hours=3), "", ago(days=1), ""),
        expiries=(),
        reports_open=0,
        reports_since=None,
        drift=(),
        deploy_lock_age_seconds=None,
    )
    if "jobs" in changes and "for_workers" not in changes:
        changes["for_workers"] = sum(changes["jobs"].get(each, 0) for each in UNDONE)
    return replace(made, **changes)


def with_services(*services: ServiceNow) -> dict[str, ServiceNow]:
    """All services run but these."""
    made = {str(each): living(each) for each in Service}
    return {**made, **{each.service: each for each in services}}


def found_in(condition: Condition, **values: object) -> list[Finding]:
    """Everything that is found in a condition."""
    return findings(condition, settings_here(**values))


def names(found: Iterable[Finding]) -> list[str]:
    """The names of the rules of what is found and not explained."""
    return [each.rule.name for each in found if not each.explained_by]
