"""What the operations pages work with beside the site, and how each of them is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from healtharchive.model.database import Database
from healtharchive.model.journal import Event
from healtharchive.model.journal_pages import get_event
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.web import static_place
from healtharchive.web.cdx_query import Asked
from healtharchive.web.headers import SCRIPTED_POLICY
from healtharchive.web.operations_admission import Visitor
from healtharchive.web.operations_board import Board
from healtharchive.web.operations_entry import FORM_TOKEN, admission_of
from healtharchive.web.operations_log import Logs
from healtharchive.web.visit import Visit

SCRIPT = "operations.js"


def never() -> bool:
    """Of a server that does not stop."""
    return False


@dataclass
class Desk:
    """One a process. `streams` is how many pages listen now."""

    database: Database
    board: Board
    logs: Logs
    is_stopping: Callable[[], bool] = never
    streams: int = 0


def desk_of(request: Request) -> Desk:
    """The desk of the application that a request came to."""
    desk: Desk = request.app.state.desk
    return desk


DeskDep = Annotated[Desk, Depends(desk_of)]


def page(
    visit: Visit,
    visitor: Visitor,
    section: str,
    template: str,
    facts: object,
    *,
    status: int = 200,
    job_id: int | None = None,
    **around: object,
) -> Response:
    """A page of this visitor's, kept up to date by a stream where scripts run."""
    response = visit.answer(
        template,
        facts,
        status=status,
        section=section,
        visitor=visitor,
        form_token_name=FORM_TOKEN,
        form_token=admission_of(visit.request).form_token(visitor),
        script=static_place.address(SCRIPT),
        stream=f"/operations/stream?job={job_id}" if job_id else "/operations/stream",
        done=done_lately(visit),
        may=visitor.may,
        **around,
    )
    response.headers["Content-Security-Policy"] = SCRIPTED_POLICY
    return response


def done_lately(visit: Visit) -> Event | None:
    """The event of what was just done here, which the address names."""
    asked = Asked(visit.request.query_params.multi_items())
    number = asked.number("event", 1, BIGGEST_ID)
    if number is None:
        return None
    with visit.site.database.read() as connection:
        return get_event(connection, number)
