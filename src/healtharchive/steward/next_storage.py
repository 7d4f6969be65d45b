"""What becomes of a target, the local disk and copies: by itself and when, or by a person. Pure.

`why`, `status`, the messages and the operations pages say the same of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from healtharchive.model.states import TargetState
from healtharchive.model.target import SPOOL, Verdict
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Found, NextStep
from healtharchive.steward.condition import Condition, TargetNow
from healtharchive.steward.moments import moment, span
from healtharchive.steward.next_rounds import if_it_lives, in_round, steward_lives

SPOOL_EVERY_SECONDS = 60.0  # of the reconciler that frees what is verified elsewhere
SHIP_SECONDS = 600.0  # the longest rest of a target whose copies fail
OTHER_SIDE = (
    "look at the other side: does its server answer, is the account in order, is the key right?"
)
# Where mounting again is no cure, what is.
BY_VERDICT = {
    Verdict.FULL: "make room on it, or a larger one: only there it can be mended.",
    Verdict.READ_ONLY: "find out on the other side why it is read-only, and mend it there.",
    Verdict.NOT_WRITABLE: "let the archive's user write there.",
    Verdict.MISSING: "make the directory that is missing, or correct the targets file.",
    Verdict.WRONG_MOUNT: "see what is mounted there instead (`findmnt`), and mount the right one.",
}


# -- targets -------------------------------------------------------------------------------


def after_target(
    target: TargetNow,
    *,
    steward_lives: bool,
    settings: Settings,
    now: datetime,
) -> str:
    """The next look or repair of a target."""
    if not steward_lives:
        return "nobody looks at it: no steward is running; start `healtharchive steward`."
    looked = f"the steward looks at it every {span(settings.probe_every_seconds)}"
    if target.state == TargetState.CLOSED:
        return f"nothing is wrong with it; {looked}."
    if target.state == TargetState.HALF_OPEN:
        return (
            f"it looks well: one of {target.jobs_waiting} waiting jobs tries it, and the others "
            "follow when that one captures."
        )
    if target.held:
        return (
            f"nothing by itself, {target.held}. A person must decide; "
            f"`healtharchive steward run storage --dry-run --target {target.name}` shows what "
            "could be done."
        )
    if target.repair_at is not None and target.repair_at > now:
        return (
            f"at {moment(target.repair_at, now)} it is repaired again if it still needs it"
            f"{_budget(target, settings)}."
        )
    if target.refused:
        return f"{looked}, and repairs it as soon as this is over: {target.refused}."
    return f"{looked} and more often while it is down; when it is well, a job tries it first."


def _budget(target: TargetNow, settings: Settings) -> str:
    """How many of the repairs of an hour are spent."""
    left = max(0, settings.recover_per_hour - target.repairs_in_hour)
    return f", {left} more times in this hour at most"


def only_you(target: TargetNow) -> str:
    """What a person alone can do about a sick target."""
    if target.verdict in BY_VERDICT:
        return BY_VERDICT[Verdict(target.verdict)]
    if target.held.startswith("nobody said how it is mounted"):
        return "mount it by hand; with `mount_command` in the targets file it mends itself."
    return OTHER_SIDE


def after_down(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a target that is down, held or not."""
    target = _target(found, condition)
    by_itself = after_target(
        target, steward_lives=steward_lives(condition), settings=settings, now=condition.now
    )
    return NextStep(by_itself, only_you(target))


def after_flapping(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a target that fails again and again."""
    target = _target(found, condition)
    well = target.since + timedelta(seconds=settings.park_forget_seconds)
    by_itself = (
        f"if it stays well, this is over at {moment(well, condition.now)}."
        if target.state == TargetState.CLOSED
        else after_target(
            target, steward_lives=steward_lives(condition), settings=settings, now=condition.now
        )
    )
    return NextStep(
        by_itself,
        "find out what the failures have in common (the minute, the load, the network): repairs "
        "cure the symptom only.",
    )


def _target(found: Found, condition: Condition) -> TargetNow:
    return next(each for each in condition.targets if each.name == found.subject_id)


# -- the local disk ------------------------------------------------------------------------


def after_full(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a disk that is full, or fills: what is freed, and when it is too late."""
    freed = in_round(
        condition, "spool", SPOOL_EVERY_SECONDS, "frees what every target has a good copy of"
    )
    return NextStep(
        f"{freed}{_when_full(condition, settings)}",
        f"remove what does not belong to the archive, or give it a larger disk{_kept(condition)}.",
    )


def _when_full(condition: Condition, settings: Settings) -> str:
    spool = condition.spool
    if spool is not None and spool.used_percent < settings.spool_soft_percent:
        late = f"at {settings.spool_soft_percent:.0f} % no crawl is begun"
        if spool.full_in_days is not None:
            at = condition.now + timedelta(days=spool.full_in_days)
            late += f", and as it fills now it is full on {at:%Y-%m-%d}"
        return f" Otherwise {late}."
    return f" Crawls go on by themselves below {settings.spool_soft_percent:.0f} %."


def _kept(condition: Condition) -> str:
    """Where nothing is ever freed: there is no target to ship to."""
    alone = all(each.name == SPOOL for each in condition.targets)
    return "; or declare a target: without one nothing is ever freed" if alone else ""


# -- copies --------------------------------------------------------------------------------


def after_shipping(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of copies that are late."""
    by_itself = (
        f"the steward ships the oldest first, every {span(settings.ship_every_seconds)}; what "
        f"fails is tried again after at most {span(SHIP_SECONDS)}."
    )
    return NextStep(
        if_it_lives(condition, by_itself, "then it ships the oldest first."),
        "if it gets nowhere: mend what its last event names (quota, password, host key); if it is "
        "only slow: more `connections` or `bytes_per_second`.",
    )


def after_bad_copy(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of copies that are not what was captured."""
    by_itself = (
        "each is replaced from the local file or another good copy, and read back; where there "
        "is none, nothing: that is told as SegmentLost."
    )
    return NextStep(
        if_it_lives(condition, by_itself, f"then {by_itself}"),
        "look at the other side's disks, and who can delete there: many at once are a dying disk "
        "or a wrong path.",
    )


def after_loss(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a segment that nobody has."""
    return NextStep(
        "nothing: there is nothing to copy from.",
        "find the bytes (snapshots of the provider, a disk that was taken out, a data set or WACZ "
        "that somebody took away) and put the file back; its SHA-256 is in the event.",
    )


def after_fixity(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of copies that are not read back in time."""
    return NextStep(
        if_it_lives(
            condition,
            "the steward reads the longest unread first, at the pace that does all in "
            f"{settings.fixity_days:g} days.",
            "then it reads the longest unread first.",
        ),
        "nothing, if it catches up after an outage; else more `connections`, or a number of days "
        "(`HEALTHARCHIVE_FIXITY_DAYS`) that is true.",
    )
