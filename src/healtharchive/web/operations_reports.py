"""What readers reported and nobody has settled: read and settled here with a token for reports."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from healtharchive.model.reader_reports import ReportState, list_reports
from healtharchive.model.tokens import Scope
from healtharchive.web.operations_acts import settle_report
from healtharchive.web.operations_admission import Refused
from healtharchive.web.operations_desk import page
from healtharchive.web.operations_entry import PageVisitor, SentDep
from healtharchive.web.report import ReportList
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
STATES = {"answer": ReportState.ANSWERED, "dismiss": ReportState.DISMISSED}


@router.get("/{language}/operations/reports")
def show(visit: VisitDep, site: SiteDep, visitor: PageVisitor) -> Response:
    """The open reports. They hold what readers wrote of themselves: not for every token."""
    if not visitor.may(Scope.REPORTS):
        raise Refused(403, "trouble.403.scope", name=visitor.name, scope=Scope.REPORTS)
    with site.database.read() as connection:
        found = ReportList(tuple(list_reports(connection)))
    choices = [(each, visit.say("operations.report." + each)) for each in STATES]
    return page(visit, visitor, "reports", "reports.html", found, choices=choices)


@router.post("/{language}/operations/report/{number}/{act}")
def act(number: int, act: str, visit: VisitDep, site: SiteDep, sent: SentDep) -> Response:
    """Settle a report, and show the event."""
    sent.require(Scope.REPORTS)
    if act not in STATES:
        raise Missing("trouble.404.page")
    note = sent.fields.get("why", "")
    done = settle_report(site, sent.visitor, number, STATES[act], note)
    return RedirectResponse(f"/{visit.language}/operations/reports?event={done.event_id}", 303)
