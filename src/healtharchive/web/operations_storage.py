"""The storage as its operator sees it: every target, its states of a week, its copies, its lag.

Nothing is looked at from here: a look from this process's own view of the mounts could find what
is not so, and a look is written down. The steward looks every few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.copies import CopyTally, tally
from healtharchive.model.journal import Event
from healtharchive.model.journal_pages import Wanted, newest
from healtharchive.model.targets import Target, list_targets
from healtharchive.steward.condition import TargetNow
from healtharchive.web.operations_board import Seen
from healtharchive.web.operations_charts import Stretch, band
from healtharchive.web.operations_desk import DeskDep, page
from healtharchive.web.operations_entry import PageVisitor
from healtharchive.web.visit import Site, SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
DAYS = 7
MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target: how it is now, its copies where it is shipped to, and its states of a week."""

    now: TargetNow
    used_percent: float | None
    copies: CopyTally | None
    states: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Every declared target; the states are those between the two moments."""

    since: datetime
    until: datetime
    targets: tuple[TargetView, ...]


def storage_of(site: Site, seen: Seen) -> Storage:
    """Every target that the condition has."""
    with site.database.read() as connection:
        until = site.database.now(connection)
        since = until - timedelta(days=DAYS)
        rows = {each.name: each for each in list_targets(connection)}
        views = []
        for now in seen.condition.targets:
            wanted = Wanted(subject="target", subject_id=now.name, since=since)
            events = newest(connection, wanted, limit=MOST_EVENTS)[::-1]
            row = rows.get(now.name)
            copies = tally(connection, now.name) if row is not None and row.ship else None
            views.append(_view(now, row, copies, events, since, until))
    return Storage(since, until, tuple(views))


def _view(
    now: TargetNow,
    row: Target | None,
    copies: CopyTally | None,
    events: Sequence[Event],
    since: datetime,
    until: datetime,
) -> TargetView:
    used = row.evidence.get("used_percent") if row is not None else None
    return TargetView(now, used, copies, tuple(band(events, now.state, since, until)))


@router.get("/{language}/operations/storage")
def show(visit: VisitDep, site: SiteDep, visitor: PageVisitor, desk: DeskDep) -> Response:
    """Every target."""
    found = storage_of(site, desk.board.seen())
    return page(visit, visitor, "storage", "storage.html", found, days=DAYS)
