"""The pages of campaigns: which are ready for search, and what keeps the others from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.campaigns import (
    Accepted,
    Campaign,
    Obstacle,
    Readiness,
    list_campaigns,
    readiness,
)
from healtharchive.model.errors import NotFound
from healtharchive.web.progress import JobFacts, job_facts, refresh_seconds, source_names
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """One campaign in the list of all."""

    name: str
    ready: bool
    job_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Every campaign, the newest first."""

    campaigns: tuple[CampaignLine, ...]


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """One campaign: whether it is ready for search, every reason why not, and its jobs.

    `notes` tell what is missing and was accepted.
    """

    name: str
    kind: str
    year: int | None
    created_at: datetime
    ready: bool
    reasons: tuple[Obstacle, ...]
    notes: tuple[Accepted, ...]
    jobs: tuple[JobFacts, ...]


@router.get("/{language}/campaigns")
def show_all(visit: VisitDep, site: SiteDep) -> Response:
    """Every campaign with its verdict."""
    with site.database.read() as connection:
        found = [readiness(connection, each.name) for each in list_campaigns(connection)]
    lines = tuple(_line(each.campaign, each) for each in found)
    return visit.answer("campaigns.html", Campaigns(lines))


@router.get("/{language}/campaign/{name}")
def show(name: str, visit: VisitDep, site: SiteDep) -> Response:
    """One campaign, its verdict with every reason, and its jobs with their progress."""
    if not name.isprintable():  # PostgreSQL takes no NUL in a text
        raise Missing("trouble.404.page")
    with site.database.read() as connection:
        try:
            found = readiness(connection, name)
        except NotFound:
            raise Missing("trouble.404.campaign", id=name) from None
        names = source_names(connection)
    campaign = found.campaign
    facts = CampaignFacts(
        campaign.name,
        campaign.kind,
        campaign.year,
        campaign.created_at,
        found.ready,
        found.obstacles,
        found.notes,
        tuple(job_facts(job, names) for job in found.jobs),
    )
    return visit.answer(
        "campaign.html",
        facts,
        reason_words=lambda obstacle: _words(visit, obstacle),
        refresh_seconds=refresh_seconds(facts.jobs, visit.request.query_params),
    )


def _line(campaign: Campaign, found: Readiness) -> CampaignLine:
    return CampaignLine(campaign.name, found.ready, len(found.jobs), campaign.created_at)


def _words(visit: Visit, obstacle: Obstacle) -> str:
    """One reason in the reader's language; its details stand on the job's card below."""
    if obstacle.job_id is None or obstacle.status is None:
        return visit.say("campaign.reason.empty")
    if obstacle.quality is not None:
        quality = visit.say("quality." + obstacle.quality)
        return visit.say(
            "campaign.reason.quality", id=obstacle.job_id, source=obstacle.source, quality=quality
        )
    status = visit.say("status." + obstacle.status)
    return visit.say(
        "campaign.reason.job", id=obstacle.job_id, source=obstacle.source, status=status
    )
