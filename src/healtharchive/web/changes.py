"""What changed on a source's pages, or on one: a list for people, JSON, and an Atom feed.

/fr/changes?source=hc&since=2026-01-24&min_score=0.4&order=score
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.changes import ListedChange, Place, Wish, list_changes
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.warc.cdxj import stored_key
from healtharchive.web.atom import Feed, atom, path_of
from healtharchive.web.cdx_query import Asked
from healtharchive.web.compare import weight_of
from healtharchive.web.described import answers, query
from healtharchive.web.moments import moment_of
from healtharchive.web.original import base_of
from healtharchive.web.progress import source_names
from healtharchive.web.trouble import Unusable
from healtharchive.web.visit import Site, SiteDep, Visit, VisitDep

router = APIRouter()
PER_PAGE = 50
MOST_PER_PAGE = 500
ORDERS = ("time", "score")
LEAST_SCORE = 0.01  # nothing but the page's frame has changed: 0
SCORES = ("0", "0.01", "0.1", "0.4", "0.7")
FIELDS = query(
    {
        "source": "Code of a source, such as hc.",
        "url": "Only changes of this page.",
        "since": "Found in captures from this moment on: a day such as 2026-01-24, UTC.",
        "until": "Found in captures before this moment.",
        "min_score": "Changes that matter so much or more, 0 to 1; 0.01 if not given.",
        "order": "time: newest first; score: those that matter most first.",
        "limit": "Changes a page, up to 500; 50 if not given.",
        "after": "Where the next page begins: the `next` of the page before.",
    }
)


@dataclass(frozen=True, slots=True)
class ChangeList:
    """One page of changes. `next` goes into `after` for the following page; null on the last."""

    changes: tuple[ListedChange, ...]
    next: str | None


@router.get("/{language}/changes", include_in_schema=False)
def show(visit: VisitDep, site: SiteDep) -> Response:
    """The changes as a page, or its JSON."""
    asked = Asked(visit.request.query_params.multi_items())
    found = _found(site, _wish(asked))
    with site.database.read() as connection:
        names = source_names(connection)
    return visit.answer(
        "changes.html",
        found,
        names=names,
        asked={name: asked.text(name) for name in ("source", "url", "since", "min_score", "order")},
        scores=SCORES,
        orders=ORDERS,
        weight_of=weight_of,
        path_of=path_of,
        next_link=visit.link(after=found.next) if found.next else "",
        first_link=visit.link(after="") if asked.text("after") else "",
        feed_link=_feed_link(visit),
    )


@router.get(
    "/api/changes.atom",
    tags=["machines"],
    openapi_extra=FIELDS,
    response_class=Response,
    responses={200: {"content": {"application/atom+xml": {}}}, **answers(400)},
)
def feed(visit: VisitDep, site: SiteDep) -> Response:
    """The changes as an Atom feed (RFC 4287), page by page (RFC 5005)."""
    asked = Asked(visit.request.query_params.multi_items())
    found = _found(site, _wish(asked))
    following = visit.link(after=found.next) if found.next else ""
    about = Feed(
        base=base_of(visit.request),
        own=visit.link(),
        page=f"/{visit.language}/changes" + _query(visit, language="", after="", limit=""),
        following=following,
        subject=asked.text("url") or asked.text("source"),
    )
    body = atom(visit, about, found.changes)
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Language"}
    return Response(body, media_type="application/atom+xml", headers=headers)


def _feed_link(visit: Visit) -> str:
    language = str(visit.language)
    return "/api/changes.atom" + _query(visit, after="", order="", format="", language=language)


def _query(visit: Visit, **changes: str) -> str:
    """The query of this address with some of it changed, and its question mark."""
    _, mark, query = visit.link(**changes).partition("?")
    return mark + query


def _found(site: Site, wish: Wish) -> ChangeList:
    with site.database.read() as connection:
        found = list_changes(connection, wish)
    page = tuple(found[: wish.limit - 1])
    following = _written(page[-1], wish) if len(found) == wish.limit else None
    return ChangeList(page, following)


def _wish(asked: Asked) -> Wish:
    """What is asked for, one more than a page to see whether another follows."""
    order = asked.choice("order", ORDERS, "time")
    url = asked.text("url")
    return Wish(
        source=asked.text("source"),
        url=url,
        url_key=stored_key(url) if url else "",
        since=_moment(asked, "since"),
        until=_moment(asked, "until"),
        least_score=_score(asked),
        order="score" if order == "score" else "time",
        after=_place(asked.text("after"), order),
        limit=1 + (asked.number("limit", 1, MOST_PER_PAGE) or PER_PAGE),
    )


def _moment(asked: Asked, name: str) -> datetime | None:
    """A moment as digits or as ISO 8601 writes it, such as 2026-01-24."""
    text = asked.text(name)
    if not text:
        return None
    found = moment_of(text.rstrip("Z").translate({ord(each): None for each in "-:T"}))
    if found is None:
        raise Unusable("trouble.400.moment", name=name, value=text[:40])
    return found


def _score(asked: Asked) -> float:
    text = asked.text("min_score")
    if not text:
        return LEAST_SCORE
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise Unusable("trouble.400.score", name="min_score", value=text[:40])
    return score


def _written(change: ListedChange, wish: Wish) -> str:
    value = change.score if wish.order == "score" else change.at.isoformat()
    line = json.dumps([value, change.id]).encode()
    return base64.urlsafe_b64encode(line).decode().rstrip("=")


def _place(text: str, order: str) -> Place | None:
    """Where a page ended; Unusable when nobody was given such a place for this order."""
    if not text:
        return None
    try:
        value, number = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        at = float(value) if order == "score" else datetime.fromisoformat(value)
        exact = at.tzinfo if isinstance(at, datetime) else math.isfinite(at)
        if not (exact and 0 <= int(number) <= BIGGEST_ID):
            raise ValueError(text)
        return Place(at.astimezone(UTC) if isinstance(at, datetime) else at, int(number))
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise Unusable("trouble.400.place", name="after") from None
