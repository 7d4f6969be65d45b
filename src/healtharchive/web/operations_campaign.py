"""A campaign over time: pages, bytes, errors and rates, drawn from the samples of its jobs."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.campaigns import list_campaigns, readiness
from healtharchive.model.courses import Moment, course_of
from healtharchive.model.errors import NotFound
from healtharchive.web.operations_charts import HEIGHT, WIDTH, charts_of
from healtharchive.web.operations_desk import page
from healtharchive.web.operations_entry import PageVisitor
from healtharchive.web.progress import JobFacts, job_facts, source_names
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import Site, SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
STEPS = 48


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign in the list of all."""

    name: str
    ready: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class CampaignList:
    """Every campaign, the newest first."""

    campaigns: tuple[CampaignLine, ...]


@dataclass(frozen=True, slots=True)
class CampaignView:
    """One campaign: whether it is ready for search, its jobs, and how they got on together."""

    name: str
    ready: bool
    reasons: tuple[str, ...]
    jobs: tuple[JobFacts, ...]
    course: tuple[Moment, ...]


def campaigns_of(site: Site) -> CampaignList:
    """The list of all."""
    with site.database.read() as connection:
        found = [readiness(connection, each.name) for each in list_campaigns(connection)]
    return CampaignList(
        tuple(CampaignLine(each.campaign.name, each.ready, len(each.jobs)) for each in found)
    )


def campaign_of(site: Site, name: str) -> CampaignView:
    """One campaign; Missing when there is none of this name."""
    with site.database.read() as connection:
        try:
            found = readiness(connection, name)
        except NotFound:
            raise Missing("trouble.404.campaign", id=name) from None
        names = source_names(connection)
        course = course_of(connection, [job.id for job in found.jobs], STEPS)
    reasons = tuple(
        f"job {each.job_id} ({each.source}) {each.reason}" if each.job_id else each.reason
        for each in found.obstacles
    )
    jobs = tuple(job_facts(job, names) for job in found.jobs)
    return CampaignView(name, found.ready, reasons, jobs, tuple(course))


@router.get("/{language}/operations/campaigns")
def show_all(visit: VisitDep, site: SiteDep, visitor: PageVisitor) -> Response:
    """The list of all."""
    return page(visit, visitor, "campaigns", "campaigns.html", campaigns_of(site))


@router.get("/{language}/operations/campaign/{name}")
def show(name: str, visit: VisitDep, site: SiteDep, visitor: PageVisitor) -> Response:
    """One campaign."""
    found = campaign_of(site, name)
    return page(
        visit,
        visitor,
        "campaigns",
        "campaign.html",
        found,
        charts=charts_of(found.course),
        chart_width=WIDTH,
        chart_height=HEIGHT,
    )
