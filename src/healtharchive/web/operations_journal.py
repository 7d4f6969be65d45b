"""The journal with filters, newest first. A page stays the same whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.journal import Event
from healtharchive.model.journal_pages import Wanted, newest
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.web.cdx_query import Asked
from healtharchive.web.operations_desk import page
from healtharchive.web.operations_entry import PageVisitor
from healtharchive.web.trouble import Unusable
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
WORDS = ("subject", "id", "what", "actor")
DATES = ("since", "until")
DAY_CHARS = len("2026-01-24")


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Events, newest first. `before` leads to older ones; None when there are none."""

    asked: Mapping[str, str]
    events: tuple[Event, ...]
    before: int | None


def wanted_of(asked: Asked) -> Wanted:
    """Which events the parameters ask for."""
    return Wanted(
        subject=asked.text("subject"),
        subject_id=asked.text("id"),
        what=asked.text("what").replace(" ", "_"),
        actor=asked.text("actor"),
        since=moment(asked, "since", time.min),
        until=moment(asked, "until", time.max),
    )


def moment(asked: Asked, name: str, of_day: time) -> datetime | None:
    """A day or a moment (ISO 8601; UTC where it does not say); Unusable when it is neither."""
    text = asked.text(name).strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        if len(text) == DAY_CHARS:
            found = datetime.combine(found.date(), of_day)
        # Not each moment that can be written can be counted from UTC.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Unusable("operations.moment.wrong", name=name) from None


@router.get("/{language}/operations/journal")
def show(visit: VisitDep, site: SiteDep, visitor: PageVisitor) -> Response:
    """A page of the journal."""
    asked = Asked(visit.request.query_params.multi_items())
    before = asked.number("before", 1, BIGGEST_ID)
    wanted = wanted_of(asked)
    with site.database.read() as connection:
        found = newest(connection, wanted, limit=PER_PAGE + 1, before_id=before)
    shown = tuple(found[:PER_PAGE])
    older = shown[-1].id if len(found) > PER_PAGE else None
    form = {name: asked.text(name) for name in (*WORDS, *DATES)}
    return page(
        visit,
        visitor,
        "journal",
        "journal.html",
        JournalPage(form, shown, older),
        older_link=visit.link(before=str(older)) if older else "",
        newest_link=visit.link(before="") if before else "",
        words=WORDS,
        dates=DATES,
    )
