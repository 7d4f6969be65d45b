"""The page that an archived page is replayed in: our banner, and the other origin's frame.

/en/replay/12                       capture 12
/en/replay/at/20260124062801/URL    leads to the one nearest to that moment
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from healtharchive.model.collection import CollectionKind, CollectionName
from healtharchive.model.holdings import Holding
from healtharchive.web import replay_place, static_place
from healtharchive.web.archived import found_holding, nearest_to, require_reachable
from healtharchive.web.doorway import timestamp14
from healtharchive.web.headers import SCRIPTED_POLICY
from healtharchive.web.original import original_url
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep, VisitDep
from healtharchive.web.wacz import prepared_for

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFacts:
    """What is shown, and where: `frame` is the address of the replayed page on its own origin."""

    id: int
    url: str
    title: str | None
    captured_at: datetime
    source: str
    source_name: str
    campaign: str | None
    frame: str


@router.get("/{language}/replay/{capture_id}")
def show(capture_id: int, visit: VisitDep, site: SiteDep) -> Response:
    """A capture replayed with its scripts, styles and pictures, all of them from the archive."""
    if site.replay is None or not replay_place.installed():
        raise Missing("trouble.404.replay")
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
    require_reachable(site, holding)
    prepared_for(site, job_of(holding))
    origin = site.replay.origin(visit.request.url)
    facts = ReplayFacts(
        id=holding.id,
        url=holding.url,
        title=holding.title,
        captured_at=holding.captured_at,
        source=holding.source,
        source_name=holding.source_name,
        campaign=holding.campaign,
        frame=f"{origin}/show/{holding.id}",
    )
    response = visit.answer(
        "replay.html",
        facts,
        replayed=facts,
        sandbox=replay_place.SANDBOX,
        timestamp=timestamp14(holding.captured_at),
        script=static_place.address("replay.js"),
    )
    response.headers["Content-Security-Policy"] = SCRIPTED_POLICY.replace(
        "frame-src 'self'", f"frame-src {origin}"
    )
    return response


@router.get("/{language}/replay/at/{timestamp}/{url:path}")
def nearest(timestamp: str, visit: VisitDep, site: SiteDep) -> Response:
    """Leads to the replay of the capture of a URL that is nearest to the moment."""
    url = original_url(visit.request, 5)
    with site.database.read() as connection:
        holding = nearest_to(connection, timestamp, url)
    return RedirectResponse(f"/{visit.language}/replay/{holding.id}", 302)


def job_of(holding: Holding) -> CollectionName:
    """The collection that a capture is replayed from: all that its job captured."""
    return CollectionName(CollectionKind.JOB, str(holding.job_id))
