"""The operations page: every place that keeps bytes, as the last look at it found it.

Everything is read from the database, where the steward writes it: no path is touched here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.copies import CopyTally, tally
from healtharchive.model.states import TargetState
from healtharchive.model.target import TargetKind, Verdict
from healtharchive.model.targets import Target, list_targets, waiting_for
from healtharchive.web.progress import REFRESH_SECONDS
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """How a target or a hot path is. `trouble` is what is wrong now, empty when nothing is."""

    name: str
    breaker: TargetState
    since: datetime
    last_look: Verdict | None
    looked_at: datetime | None
    last_healthy_at: datetime | None
    trouble: str
    jobs_waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts(HealthFacts):
    """One target. `copies` are those of sealed segments; none where nothing is shipped to.

    `hot_paths` are the directories of jobs that lie on it and are seen under the jobs root.
    """

    kind: TargetKind
    used_percent: float | None
    copies: CopyTally | None
    hot_paths: tuple[HealthFacts, ...]


@dataclass(frozen=True, slots=True)
class Targets:
    """Every declared target."""

    targets: tuple[TargetFacts, ...]


@router.get("/{language}/targets")
def show_all(visit: VisitDep, site: SiteDep) -> Response:
    """Every target with its breaker, its copies, its hot paths and who waits for it."""
    with site.database.read() as connection:
        found = list_targets(connection)
        waiting = {each.name: waiting_for(connection, each.name) for each in found}
        copies = {each.name: tally(connection, each.name) for each in found if each.ship}
    names = {each.name for each in found}
    facts = tuple(
        _facts(each, found, waiting, copies.get(each.name))
        for each in found
        if each.parent not in names  # a hot path whose target is declared no more stands alone
    )
    sick = any(each.state is not TargetState.CLOSED for each in found)
    steady = visit.request.query_params.get("refresh") == "off"
    refresh = REFRESH_SECONDS if sick and not steady else None
    return visit.answer("targets.html", Targets(facts), refresh_seconds=refresh)


def _facts(
    target: Target, found: Sequence[Target], waiting: Mapping[str, int], copies: CopyTally | None
) -> TargetFacts:
    hot_paths = (
        HealthFacts(**_health(each, waiting)) for each in found if each.parent == target.name
    )
    return TargetFacts(
        **_health(target, waiting),
        kind=target.kind,
        used_percent=target.evidence.get("used_percent"),
        copies=copies,
        hot_paths=tuple(hot_paths),
    )


def _health(target: Target, waiting: Mapping[str, int]) -> dict[str, Any]:
    well = target.state is TargetState.CLOSED and target.verdict in (None, Verdict.HEALTHY)
    return {
        "name": target.name,
        "breaker": target.state,
        "since": target.since,
        "last_look": target.verdict,
        "looked_at": target.probed_at,
        "last_healthy_at": target.last_healthy_at,
        "trouble": "" if well else target.last_error or "",
        "jobs_waiting": waiting[target.name],
    }
