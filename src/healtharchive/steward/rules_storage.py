"""Rules about storage: targets, the local disk, and the copies of sealed segments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL, Verdict
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import AlertRule, Found
from healtharchive.steward.condition import Condition, SpoolNow, TargetNow
from healtharchive.steward.next_storage import (
    after_bad_copy,
    after_down,
    after_fixity,
    after_flapping,
    after_full,
    after_loss,
    after_shipping,
)

FLAPS = 3
TARGET_TROUBLE = ("TargetHeld", "TargetFlapping", "TargetDown")
LATE_FIXITY = 1.1  # of the time in which every copy is to be read
MOST_LOST = 20  # named one by one; whoever lost more reads the journal


# -- targets -------------------------------------------------------------------------------


def _target_down(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.targets:
        if each.state == TargetState.CLOSED or _only_full(each):
            continue
        trial = " It looks well again and is being tried." if _on_trial(each) else ""
        detail = f": {each.error}" if each.error else ""
        waiting = f" {each.jobs_waiting} jobs wait for it." if each.jobs_waiting else ""
        yield Found(
            "target",
            each.name,
            f"{each.name} is {_verdict(each)} since {each.since:%Y-%m-%d %H:%M:%S}Z{detail}."
            f"{waiting}{trial}",
            {"state": each.state, "verdict": each.verdict, "repairs": each.repairs},
            command=f"healtharchive why target {each.name}",
            since=each.since,
            needs=needs_of(each),
        )


def needs_of(target: TargetNow) -> tuple[str, ...]:
    """A target and what it lies on."""
    return (target.name, target.parent) if target.parent else (target.name,)


def _verdict(target: TargetNow) -> str:
    return (target.verdict or "sick").replace("_", " ") if not _on_trial(target) else "half-open"


def _on_trial(target: TargetNow) -> bool:
    return target.state == TargetState.HALF_OPEN


def _only_full(target: TargetNow) -> bool:
    """The spool's breaker opens when it is full: that is told by a rule of its own."""
    closed = target.state == TargetState.CLOSED
    return target.name == SPOOL and target.verdict == Verdict.FULL and not closed


def _target_held(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.targets:
        if each.state == TargetState.CLOSED or not each.held:
            continue
        yield Found(
            "target",
            each.name,
            f"{each.name} is {_verdict(each)} since {each.since:%Y-%m-%d %H:%M:%S}Z and is not "
            f"mended automatically: {each.held}. A person must decide.",
            {"held": each.held, "verdict": each.verdict, "repairs": each.repairs},
            command=f"healtharchive steward run storage --dry-run --target {each.name}",
            since=each.since,
            needs=needs_of(each),
        )


def _target_flapping(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.targets:
        recent = timedelta(seconds=settings.park_forget_seconds)
        well = each.state == TargetState.CLOSED and condition.now - each.since > recent
        if each.trips < FLAPS or well:
            continue
        yield Found(
            "target",
            each.name,
            f"{each.name} has failed {each.trips} times, each soon after it had come back"
            f"{_flapping_now(each)}.",
            {"trips": each.trips, "state": each.state, "verdict": each.verdict},
            command=f"healtharchive why target {each.name}",
            needs=needs_of(each),
        )


def _flapping_now(target: TargetNow) -> str:
    """How it is at the moment, as the end of a sentence."""
    if target.state == TargetState.CLOSED:
        return f"; it is well since {target.since:%H:%M:%S}Z"
    detail = f": {target.error}" if target.error else ""
    return f"; it is {_verdict(target)} since {target.since:%H:%M:%S}Z{detail}"


# -- the local disk ------------------------------------------------------------------------


def _spool_full(condition: Condition, settings: Settings) -> Iterator[Found]:
    spool = condition.spool
    refused = [each for each in condition.targets if _only_full(each)]
    if spool is not None and spool.used_percent >= settings.spool_soft_percent:
        yield _spool_found(
            spool,
            f"{spool.used_percent:.0f} % of the disk under jobs_root is used: no crawl is begun at "
            f"{settings.spool_soft_percent:.0f} % and more.",
        )
    elif refused:
        yield _spool_found(
            spool, f"The disk under jobs_root is full and no crawl is begun: {refused[0].error}."
        )


def _spool_filling(condition: Condition, settings: Settings) -> Iterator[Found]:
    spool = condition.spool
    if spool is None or spool.used_percent < settings.spool_warn_percent:
        return
    seen = f" at {spool.seen_at:%Y-%m-%d %H:%M:%S}Z" if spool.seen_at else ""
    used = f"{spool.used_percent:.0f} % of the disk under jobs_root was used{seen}"
    yield _spool_found(spool, f"{used}; crawls stop at {settings.spool_full_percent:.0f} %.")


def _disk_full_soon(condition: Condition, settings: Settings) -> Iterator[Found]:
    spool = condition.spool
    if spool is None or spool.full_in_days is None:
        return
    if spool.full_in_days <= settings.spool_days_warn:
        yield _spool_found(
            spool,
            f"The disk under jobs_root will be full in {spool.full_in_days:.1f} days if it goes "
            "on filling as in the last days.",
        )


def _spool_found(spool: SpoolNow | None, sentence: str) -> Found:
    evidence = (
        {}
        if spool is None
        else {"used_percent": spool.used_percent, "full_in_days": spool.full_in_days}
    )
    return Found("target", SPOOL, sentence, evidence, needs=(SPOOL,))


# -- copies --------------------------------------------------------------------------------


def _shipping_late(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.targets:
        since = each.unshipped_since
        if since is None:
            continue
        if condition.now - since < timedelta(seconds=settings.ship_lag_seconds):
            continue
        yield Found(
            "target",
            each.name,
            f"{each.unshipped} sealed segments ({each.unshipped_bytes / 1e9:.1f} GB) wait to be "
            f"copied to {each.name}, the oldest since {since:%Y-%m-%d %H:%M}Z.",
            {"segments": each.unshipped, "bytes": each.unshipped_bytes},
            command=f"healtharchive steward run shipping --dry-run --target {each.name}",
            since=since,
            needs=needs_of(each),
        )


def _copy_bad(condition: Condition, settings: Settings) -> Iterator[Found]:
    for each in condition.targets:
        if not each.bad_copies:
            continue
        yield Found(
            "target",
            each.name,
            f"{each.bad_copies} copies on {each.name} are missing or differ from what was "
            "captured; they are replaced from another good copy where there is one.",
            {"copies": each.bad_copies},
            needs=needs_of(each),
        )


def _segment_lost(condition: Condition, settings: Settings) -> Iterator[Found]:
    for name in condition.lost_segments[:MOST_LOST]:
        yield Found(
            "segment",
            name,
            f"No good copy of the segment {name} is left anywhere.",
            command=f"healtharchive why segment {name}",
        )


def _fixity_late(condition: Condition, settings: Settings) -> Iterator[Found]:
    allowed = timedelta(days=settings.fixity_days * LATE_FIXITY)
    for each in condition.targets:
        if each.unread_since is None or condition.now - each.unread_since <= allowed:
            continue
        yield Found(
            "target",
            each.name,
            f"A copy on {each.name} was last read back on {each.unread_since:%Y-%m-%d}; each "
            f"should be read every {settings.fixity_days:g} days.",
            {"unread_since": each.unread_since.isoformat()},
            command=f"healtharchive steward run fixity --dry-run --target {each.name}",
            since=each.unread_since + allowed,
            needs=needs_of(each),
        )


STORAGE_RULES = (
    AlertRule(
        name="SegmentLost",
        severity="critical",
        lasts_seconds=0.0,
        meaning="Captured bytes are gone: no good copy of a segment is left anywhere.",
        find=_segment_lost,
        next_step=after_loss,
        command="healtharchive storage status",
    ),
    AlertRule(
        name="TargetHeld",
        severity="critical",
        lasts_seconds=60.0,
        meaning="A target is down, and automation may not or cannot mend it: a person must decide.",
        find=_target_held,
        next_step=after_down,
        command="healtharchive steward run storage --dry-run",
    ),
    AlertRule(
        name="TargetDown",
        severity="critical",
        lasts_seconds=300.0,
        meaning="A target cannot be used; the jobs that need it wait and spend no retry.",
        find=_target_down,
        next_step=after_down,
        command="healtharchive storage status",
        explained_by=TARGET_TROUBLE,
    ),
    AlertRule(
        name="SpoolFull",
        severity="critical",
        lasts_seconds=60.0,
        meaning="The disk under jobs_root is so full that no crawl is begun.",
        find=_spool_full,
        next_step=after_full,
        command="healtharchive steward run spool --dry-run",
    ),
    AlertRule(
        name="TargetFlapping",
        severity="critical",
        lasts_seconds=300.0,
        meaning="A target comes back and fails again, time after time.",
        find=_target_flapping,
        next_step=after_flapping,
        command="healtharchive storage status",
        explained_by=("TargetHeld", "TargetFlapping"),
    ),
    AlertRule(
        name="SpoolFilling",
        severity="warning",
        lasts_seconds=300.0,
        meaning="The disk under jobs_root is getting full.",
        find=_spool_filling,
        next_step=after_full,
        command="healtharchive steward run spool --dry-run",
        explained_by=("SpoolFull",),
    ),
    AlertRule(
        name="DiskFullSoon",
        severity="warning",
        lasts_seconds=3600.0,
        meaning="The disk under jobs_root will be full within days if it goes on like this.",
        find=_disk_full_soon,
        next_step=after_full,
        command="healtharchive steward run spool --dry-run",
        explained_by=("SpoolFull",),
    ),
    AlertRule(
        name="ShippingLate",
        severity="warning",
        lasts_seconds=0.0,
        meaning="Sealed segments wait for too long to be copied to a target.",
        find=_shipping_late,
        next_step=after_shipping,
        command="healtharchive steward run shipping --dry-run",
        explained_by=(*TARGET_TROUBLE, "StewardDown"),
    ),
    AlertRule(
        name="CopyBad",
        severity="warning",
        lasts_seconds=3600.0,
        meaning="A copy on a target is missing or is not what was captured.",
        find=_copy_bad,
        next_step=after_bad_copy,
        command="healtharchive storage status",
        explained_by=TARGET_TROUBLE,
    ),
    AlertRule(
        name="FixityLate",
        severity="warning",
        lasts_seconds=0.0,
        meaning="Copies are not read back and re-hashed as often as they should be.",
        find=_fixity_late,
        next_step=after_fixity,
        command="healtharchive steward run fixity --dry-run",
        explained_by=(*TARGET_TROUBLE, "StewardDown"),
    ),
)
