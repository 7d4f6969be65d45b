"""/operations/stream: what is new, as server-sent events (HTML Standard §9.2), one stream a page.

`journal`: events that were written since; `condition`: something of the archive's condition is
another; `log`: the crawl of `?job=` went on. The page then asks for itself again, so that what it
shows is made in one place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response, StreamingResponse

from healtharchive.model.errors import DatabaseUnavailable, NotFound
from healtharchive.model.jobs import get_job
from healtharchive.model.journal import Event
from healtharchive.model.states import HELD
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.model.wire import to_plain
from healtharchive.web.cdx_query import Asked
from healtharchive.web.operations_admission import COOKIE, Refused
from healtharchive.web.operations_board import Seen
from healtharchive.web.operations_desk import Desk, DeskDep
from healtharchive.web.operations_entry import PageVisitor, admission_of
from healtharchive.web.operations_log import Tail

router = APIRouter(include_in_schema=False)
TURN_SECONDS = 2.0
STEP_SECONDS = 0.25  # after which it is seen that the server stops
ALIVE_TURNS = 7  # of silence, and then a comment
MOST_STREAMS = 16
OUTAGES = (DatabaseUnavailable, DBAPIError)


@dataclass(slots=True)
class Told:
    """What one stream has told already."""

    events: frozenset[int] = frozenset()
    least: int = 0  # older events than those at the beginning are nothing new
    digest: str = ""
    tail: Tail | None = None
    _silent: int = field(default=0)

    def begin(self, seen: Seen, tail: Tail | None) -> None:
        """From here on, what is another is new."""
        self.events = frozenset(each.id for each in seen.events)
        self.least = min(self.events, default=0)
        self.digest, self.tail = seen.digest, tail

    def news(self, seen: Seen, tail: Tail | None) -> Iterator[str]:
        """What is new, as events of the stream; a comment now and then when nothing is.

        By number, not by the last one: on PostgreSQL an event with a smaller number may be
        committed after one with a greater.
        """
        new = [e for e in seen.events if e.id not in self.events and e.id > self.least]
        if new:
            self.events |= {each.id for each in new}
            yield _event("journal", [_short(each) for each in new], new[-1].id)
        if seen.digest != self.digest:
            yield _event("condition", {"level": seen.level, "wrong": len(seen.lines)})
        if tail != self.tail:
            yield _event("log", {})
        same = not new and seen.digest == self.digest and tail == self.tail
        self.digest, self.tail = seen.digest, tail
        self._silent = self._silent + 1 if same else 0
        if same and self._silent % ALIVE_TURNS == 0:
            yield ": alive\n\n"


@router.get("/operations/stream")
def stream(request: Request, visitor: PageVisitor, desk: DeskDep) -> Response:
    """What is new, as long as the page, its session and this process last."""
    if desk.streams >= MOST_STREAMS:
        raise Refused(503, "trouble.503.streams", most=MOST_STREAMS)
    job_id = Asked(request.query_params.multi_items()).number("job", 1, BIGGEST_ID)
    return StreamingResponse(
        _tell(request, desk, job_id),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _tell(request: Request, desk: Desk, job_id: int | None) -> AsyncIterator[str]:
    told = Told()
    desk.streams += 1
    try:
        told.begin(*await run_in_threadpool(look, desk, job_id))
        yield "retry: 3000\n\n"
        while await _wait(request, desk):
            try:
                admitted, seen, tail = await run_in_threadpool(_turn, request, desk, job_id)
            except OUTAGES:
                yield ": the database does not answer\n\n"
                continue
            if not admitted:
                return
            for each in told.news(seen, tail):
                yield each
    finally:
        desk.streams -= 1


async def _wait(request: Request, desk: Desk) -> bool:
    """Wait for the next turn; False when there is none."""
    for _ in range(round(TURN_SECONDS / STEP_SECONDS)):
        if desk.is_stopping() or await request.is_disconnected():
            return False
        await asyncio.sleep(STEP_SECONDS)
    return True


def _turn(request: Request, desk: Desk, job_id: int | None) -> tuple[bool, Seen, Tail | None]:
    session = request.cookies.get(COOKIE, "")
    admitted = admission_of(request).by_session(session) is not None
    return (admitted, *look(desk, job_id))


def look(desk: Desk, job_id: int | None) -> tuple[Seen, Tail | None]:
    """How the archive is, and the tail of the job that a page shows."""
    return desk.board.seen(), _tail(desk, job_id)


def _tail(desk: Desk, job_id: int | None) -> Tail | None:
    """The tail of a job that runs; of any other nothing new comes."""
    if job_id is None:
        return None
    with desk.database.read() as connection:
        try:
            job = get_job(connection, job_id)
        except NotFound:
            return None
    return desk.logs.tail(job) if job.status in HELD else None


def _short(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "at": to_plain(event.at),
        "subject": event.subject,
        "subject_id": event.subject_id,
        "what": event.what,
        "why": event.why,
        "by": event.actor.unit,
    }


def _event(name: str, data: object, number: int | None = None) -> str:
    # JSON has no line breaks but those in strings, where they are escaped.
    identity = f"id: {number}\n" if number is not None else ""
    return f"{identity}event: {name}\ndata: {json.dumps(data)}\n\n"
