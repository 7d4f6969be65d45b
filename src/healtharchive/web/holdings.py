"""The list of all captures, page by page, for whoever takes the archive's facts away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from healtharchive.model.catalogue import CaptureFilter, CaptureLine, captures_after
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.model.wire import to_plain
from healtharchive.warc.cdxj import stored_key
from healtharchive.web.cdx_query import Asked
from healtharchive.web.described import CAPTURES, answers
from healtharchive.web.original import base_of
from healtharchive.web.visit import SiteDep

router = APIRouter(tags=["machines"])
PAGE_CAPTURES = 100
MOST_PAGE_CAPTURES = 1_000
FILTERS = ("limit", "url", "source", "campaign", "from", "to")


@dataclass(frozen=True, slots=True)
class CaptureList:
    """Captures by their numbers. `next` is the next page's address, None when this is the last.

    A list that came to its end goes on later from `after`, the last number that was seen.
    """

    captures: tuple[CaptureLine, ...]
    after: int
    next: str | None


@router.get(
    "/api/captures",
    response_model=CaptureList,
    responses=answers(400),
    openapi_extra=CAPTURES,
)
def show_all(request: Request, site: SiteDep) -> Response:
    """The captures with greater numbers than `after`, in the order of their numbers."""
    asked = Asked(request.query_params.multi_items())
    after = asked.number("after", 0, BIGGEST_ID) or 0
    limit = asked.number("limit", 1, MOST_PAGE_CAPTURES) or PAGE_CAPTURES
    wanted = _wanted(asked)
    with site.database.read() as connection:
        found = captures_after(connection, after, limit + 1, wanted)
    page = tuple(found[:limit])
    last = page[-1].id if page else after
    following = None
    if len(found) > limit:
        kept = {name: value for name in FILTERS if (value := asked.text(name))}
        following = f"{base_of(request)}/api/captures?{urlencode({**kept, 'after': last})}"
    headers = {"Cache-Control": "no-cache"}
    return JSONResponse(to_plain(CaptureList(page, last, following)), headers=headers)


def _wanted(asked: Asked) -> CaptureFilter:
    url = asked.text("url")
    since: datetime | None = asked.moment("from")
    return CaptureFilter(
        url_key=stored_key(url) if url else None,
        source=asked.text("source") or None,
        campaign=asked.text("campaign") or None,
        since=since,
        before=asked.moment("to", end=True),
    )
