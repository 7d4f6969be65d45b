"""Looks at targets and the local disk, as the steward saw them last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from healtharchive.model.actions import HOUR, done_within
from healtharchive.model.condition import oldest_proof, oldest_unshipped, refusal_told
from healtharchive.model.copies import CopyTally, tally
from healtharchive.model.local_readings import bad_local, oldest_local_reading
from healtharchive.model.measures import measures_since
from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL, TargetKind, Verdict
from healtharchive.model.targets import Target, waiting_for
from healtharchive.model.told import HELD, last_told
from healtharchive.settings import Settings
from healtharchive.steward.condition import SpoolNow, TargetNow
from healtharchive.steward.gates import GatePolicy, Record, next_apply
from healtharchive.steward.mending import RECOVER
from healtharchive.steward.projection import full_in_days

USED_PERCENT = "spool_used_percent"
PROJECTED = timedelta(days=7)
MOUNTED = (TargetKind.MOUNT, TargetKind.BIND)
UNMENDABLE = (Verdict.READ_ONLY, Verdict.NOT_WRITABLE, Verdict.FULL, Verdict.MISSING)
# What the storage reconciler says when time alone will not help.
FOR_A_PERSON = ("mounting again does not mend", "nobody said how it is mounted", "it was repaired")


def target_now(
    connection: Connection, target: Target, gates: GatePolicy, now: datetime
) -> TargetNow:
    """One target with its copies, and when it may be repaired again."""
    local, sick = target.name == SPOOL, target.state is not TargetState.CLOSED
    counted = tally(connection, target.name) if target.ship else _bad_only(connection, target)
    shipped = target.ship and counted.waiting > 0
    return TargetNow(
        name=target.name,
        kind=str(target.kind),
        parent=target.parent or "",
        state=str(target.state),
        since=target.since,
        verdict=str(target.verdict or ""),
        error=(target.last_error or "").rstrip("."),
        probed_at=target.probed_at,
        last_healthy_at=target.last_healthy_at,
        last_apply_at=target.last_apply_at,
        repairs=target.apply_streak,
        trips=target.trip_streak,
        held=held(connection, target),
        refused=refusal_told(connection, target.name, RECOVER, target.since) if sick else "",
        repair_at=next_apply(Record(target.last_apply_at, target.apply_streak), gates, now),
        repairs_in_hour=done_within(connection, "target", target.name, RECOVER, HOUR, now)
        if sick
        else 0,
        jobs_waiting=waiting_for(connection, target.name),
        unshipped=counted.waiting,
        unshipped_bytes=counted.waiting_bytes,
        unshipped_since=oldest_unshipped(connection, target.name) if shipped else None,
        bad_copies=counted.bad,
        unread_since=oldest_local_reading(connection)
        if local
        else oldest_proof(connection, target.name),
    )


def _bad_only(connection: Connection, target: Target) -> CopyTally:
    """Of a target that nothing is shipped to, the copies that jobs wrote there."""
    if target.name == SPOOL:
        bad = bad_local(connection).values()
        return CopyTally(bad=sum(number for number, _ in bad))
    found = tally(connection, target.name)
    return CopyTally(found.verified, found.bad)


def held(connection: Connection, target: Target) -> str:
    """Why no repair will be made until a person acts; empty when automation goes on by itself."""
    if target.state is TargetState.CLOSED or target.kind not in MOUNTED:
        return ""
    if not target.definition.can_be_mounted:
        return "nobody said how it is mounted"
    if target.verdict in UNMENDABLE:
        return f"mounting again does not mend '{target.verdict}'"
    refused = refusal_told(connection, target.name, RECOVER, target.since)
    told = last_told(connection, "target", (HELD,), target.name)
    hold = str(told.evidence.get("hold") or "") if told and told.at >= target.since else ""
    return next((each for each in (refused, hold) if each.startswith(FOR_A_PERSON)), "")


def spool_now(
    connection: Connection, targets: Sequence[Target], now: datetime, settings: Settings
) -> SpoolNow | None:
    """The disk under jobs_root, from the spool's row: asking the disk might hang."""
    spool = next((each for each in targets if each.name == SPOOL), None)
    used = spool.evidence.get("used_percent") if spool is not None else None
    if spool is None or not isinstance(used, int | float):
        return None
    noted = measures_since(connection, USED_PERCENT, SPOOL, now - PROJECTED)
    points = [(each.at, each.value) for each in noted]
    days = full_in_days(points, used, settings.spool_full_percent)
    return SpoolNow(used, spool.probed_at, days)
