"""What an attempt needs before it starts: the place it writes to, as it is now."""

from __future__ import annotations

import errno

from sqlalchemy import Connection

from healtharchive.model.attempts import Work
from healtharchive.model.blame import ERRNO_TABLE, Blame, classify_errno
from healtharchive.model.leases import Claim
from healtharchive.model.target import TargetDefinition
from healtharchive.model.targets import get_target
from healtharchive.storage.inspection import Inspection, inspect_path, inspect_target
from healtharchive.storage.register import note_trouble
from healtharchive.work.means import Means
from healtharchive.work.policy import Exit, Outcome, outcome_of_fault

IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR)  # a file where this job's directory should be


def objection(claim: Claim, means: Means) -> Outcome | None:
    """Why nothing is started in the job's place; None when it may be. Outages are the caller's."""
    if claim.job.target is not None:
        return _objection_of_target(claim, means)
    seen = means.probe(claim.job.output_dir)
    if seen.fault is not None:
        return outcome_of_fault(seen.fault)
    if claim.work is Work.CRAWL and seen.used_percent >= means.settings.spool_full_percent:
        detail = f"{seen.used_percent:.0f} % of the disk under {seen.path} is used"
        return outcome_of_fault(classify_errno(errno.ENOSPC, detail))
    return None


def blame_target(connection: Connection, claim: Claim, means: Means, outcome: Outcome) -> None:
    """Count an attempt's trouble against the target it needed, in the caller's transaction."""
    name = claim.job.hot_path or claim.job.target
    if name is None or outcome.exit is not Exit.INFRA or outcome.blame != Blame.TARGET:
        return
    known = ERRNO_TABLE.get(outcome.errno) if outcome.errno is not None else None
    note_trouble(
        means.database,
        connection,
        name,
        definite=known[2] if known else outcome.errno is None,
        why=f"job {claim.job.id}: {outcome.reason}"[:500],
        policy=means.breaker,
        actor=means.actor,
        caused_by=claim.event_id,
    )


def _objection_of_target(claim: Claim, means: Means) -> Outcome | None:
    """A mount must be the right one, not only readable: a wrong one is never written to."""
    for seen in _looks(claim, means):
        if seen.errno in IN_THE_WAY and seen.path == claim.job.output_dir:
            return outcome_of_fault(classify_errno(seen.errno, seen.path))
        if not seen.healthy:
            reason = f"target {seen.target} is {seen.verdict}: {seen.detail}"
            return Outcome(Exit.INFRA, reason, Blame.TARGET, seen.errno)
    return None


def _looks(claim: Claim, means: Means) -> list[Inspection]:
    settings, job = means.settings, claim.job
    deadline = settings.probe_deadline_seconds
    user = settings.crawler_user
    with means.database.read() as connection:
        target = get_target(connection, job.hot_path or job.target or "")
        parent: TargetDefinition | None = None
        if target.parent:
            parent = get_target(connection, target.parent).definition
    first = inspect_target(
        target.definition,
        deadline_seconds=deadline,
        identity=target.identity or "",
        user=user,
        parent=parent,
    )
    if not first.healthy or job.output_dir == target.root:
        return [first]
    place = inspect_path(
        job.output_dir, deadline_seconds=deadline, target=target.name, make=True, user=user
    )
    return [first, place]
