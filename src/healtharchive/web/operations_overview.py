"""/en/operations: how all of it is, what is wrong first; the workers are paused here, too."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from healtharchive.model.services import HoldKind
from healtharchive.model.tokens import Scope
from healtharchive.steward.condition import Condition
from healtharchive.web.operations_acts import LONGEST_PAUSE_HOURS, pause_worker, resume_worker
from healtharchive.web.operations_board import Line, Seen
from healtharchive.web.operations_desk import DeskDep, page
from healtharchive.web.operations_entry import PageVisitor, SentDep
from healtharchive.web.trouble import Missing, Unusable
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
SERVICES = ("worker", "steward", "serve")
MOST_ROWS = 25


@dataclass(frozen=True, slots=True)
class Overview:
    """The condition, and what is wrong of it, the gravest first."""

    level: str
    lines: tuple[Line, ...]
    condition: Condition


def overview_of(seen: Seen) -> Overview:
    """One look as the page and the API show it."""
    return Overview(seen.level, seen.lines, seen.condition)


@router.get("/{language}/operations")
def show(visit: VisitDep, visitor: PageVisitor, desk: DeskDep) -> Response:
    """The overview."""
    fresh = "event" in visit.request.query_params  # it must show what was just done
    seen = desk.board.seen(fresh=fresh)
    worker = seen.condition.services.get("worker")
    holds = worker.holds if worker is not None else ()
    return page(
        visit,
        visitor,
        "overview",
        "overview.html",
        overview_of(seen),
        services=[seen.condition.services[n] for n in SERVICES if n in seen.condition.services],
        paused=any(each.kind == HoldKind.PAUSE for each in holds),
        most_rows=MOST_ROWS,
    )


@router.post("/{language}/operations/worker/{act}")
def act(act: str, visit: VisitDep, site: SiteDep, sent: SentDep) -> Response:
    """Pause or resume the workers, and show the event."""
    sent.require(Scope.JOBS)
    why = sent.fields.get("why", "")
    if act == "pause":
        hours = hours_of(sent.fields.get("hours", ""))
        finish = "let_finish" in sent.fields
        done = pause_worker(site, sent.visitor, why, hours, let_finish=finish)
    elif act == "resume":
        done = resume_worker(site, sent.visitor, why)
    else:
        raise Missing("trouble.404.page")
    return RedirectResponse(f"/{visit.language}/operations?event={done.event_id}", 303)


def hours_of(text: str) -> float | None:
    """For how long; None without an end. Unusable when it is no number of hours."""
    if not text.strip():
        return None
    try:
        hours = float(text.replace(",", "."))
    except ValueError:
        hours = 0.0
    if not 0 < hours <= LONGEST_PAUSE_HOURS:
        raise Unusable("operations.hours.wrong", most=LONGEST_PAUSE_HOURS)
    return hours
