"""Whether a plan may be carried out now. Pure; what is refused is an event too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.target import Verdict
from healtharchive.work.parking import BackOff


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How careful automation is. Waits double with each repair that did not help."""

    back_off: BackOff
    per_hour: int
    per_day: int
    deploy_lock_seconds: float
    writer_seconds: float = 12.0  # after which a writer that is still there hangs like its target


@dataclass(frozen=True, slots=True)
class Record:
    """What was done before: when last, how often in vain in a row, how often lately.

    `server_is_back` says that who serves the target answers now and did not at the last try: the
    wait after that one says nothing any more.
    """

    last_apply_at: datetime | None = None
    apply_streak: int = 0
    in_last_hour: int = 0
    in_last_day: int = 0
    server_is_back: bool = False
    last_healthy_at: datetime | None = None


def refusal(
    *,
    verdict: Verdict,
    open_since: datetime,
    writers: tuple[int, ...],
    record: Record,
    deploy_lock_age_seconds: float | None,
    now: datetime,
    policy: GatePolicy,
) -> str:
    """Why a repair must wait; empty when it may be made now."""
    if deploy_lock_age_seconds is not None and deploy_lock_age_seconds < policy.deploy_lock_seconds:
        return "a deploy lock is set"
    if record.in_last_hour >= policy.per_hour:
        return f"it was repaired {record.in_last_hour} times in the last hour"
    if record.in_last_day >= policy.per_day:
        return f"it was repaired {record.in_last_day} times in the last day"
    wait = next_apply(record, policy, now)
    if wait is not None and now < wait and not record.server_is_back:
        return f"the last repair did not help: not before {wait:%H:%M:%S}Z"
    if writers and not _hang_too(verdict, open_since, now, policy):
        jobs = ", ".join(str(each) for each in writers)
        return f"it is still used by job {jobs}"
    return ""


def next_apply(record: Record, policy: GatePolicy, now: datetime) -> datetime | None:
    """When the wait after the last repair is over; None when there is no wait."""
    if record.last_apply_at is None or record.apply_streak == 0:
        return None
    if record.last_apply_at > now:  # a clock ran ahead then
        return None
    seconds = policy.back_off.wait_seconds(record.apply_streak, lambda: 0.5)
    return record.last_apply_at + timedelta(seconds=seconds)


def streak_after(record: Record, policy: GatePolicy) -> int:
    """How many repairs in a row it is with the one that is made now."""
    if record.last_apply_at is None:
        return 1
    # Only time in which it was well counts: the waits between vain repairs are long by themselves.
    until = record.last_healthy_at or record.last_apply_at
    good = (until - record.last_apply_at).total_seconds()
    return policy.back_off.streak_after(record.apply_streak, good)


def _hang_too(verdict: Verdict, open_since: datetime, now: datetime, policy: GatePolicy) -> bool:
    """Whether the writers that are left fail as the target does: nothing of theirs is at risk."""
    dead = verdict in (Verdict.STALE, Verdict.HUNG, Verdict.IO_ERROR, Verdict.WRONG_MOUNT)
    return dead and now - open_since >= timedelta(seconds=policy.writer_seconds)
