"""The API: the facts of every page as JSON, under addresses that no language names.

Each answer is the one that its page gives for ?format=json: one function makes both.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from healtharchive.web import (
    campaigns,
    captures,
    changes,
    compare,
    datasets,
    history,
    jobs,
    search,
    sources,
    targets,
)
from healtharchive.web.described import answers
from healtharchive.web.finding import Findings
from healtharchive.web.trouble import Trouble

router = APIRouter(prefix="/api")


@dataclass(frozen=True, slots=True)
class _Field:
    """One parameter of a query, for the description."""

    name: str
    description: str
    required: bool = False


_FIELDS = (
    _Field(
        "q",
        "Words to find; a phrase in quotation marks; filters such as site:canada.ca, source:hc, "
        "lang:fr, type:pdf, before:2026-01-24, after:2025, title:measles, inurl:covid, -site:…",
    ),
    _Field("source", "Code of a source, such as hc."),
    _Field("campaign", "Name of a campaign, such as annual-2026."),
    _Field("lang", "Language of the page: en or fr."),
    _Field("type", "html, pdf or text."),
    _Field("from", "First day of capture, such as 2026-01-24 (UTC)."),
    _Field("to", "Last day of capture."),
    _Field("which", "latest: the latest capture of each page; all: every capture."),
    _Field("sort", "relevance, newest, or oldest: by the first capture of the page."),
    _Field("page", "Page of results, from 1."),
)
_HISTORY_FIELDS = (
    _Field("url", "Address of the page, such as https://example.org/page.", required=True),
    _Field("year", "Year of the captures (UTC); the latest with any if left out."),
    _Field("after", "Where the next page begins: the `next` of the page before."),
)


def _described(fields: tuple[_Field, ...]) -> dict[str, object]:
    """Query parameters, as OpenAPI describes them."""
    return {
        "parameters": [
            {
                "name": field.name,
                "in": "query",
                "required": field.required,
                "description": field.description,
                "schema": {"type": "string"},
            }
            for field in fields
        ]
    }


_MISSING: dict[int | str, dict[str, object]] = {404: {"model": Trouble}}

router.add_api_route(
    "/search",
    search.show,
    response_model=Findings,
    responses={422: {"model": search.SearchErrors}},
    openapi_extra=_described(_FIELDS),
    name="search",
)
router.add_api_route(
    "/captures/{capture_id}",
    captures.show,
    response_model=captures.CaptureFacts,
    responses=_MISSING,
    name="capture",
)
router.add_api_route(
    "/history",
    history.show,
    response_model=history.History,
    responses=_MISSING,
    openapi_extra=_described(_HISTORY_FIELDS),
    name="history",
)
router.add_api_route(
    "/compare",
    compare.show,
    response_model=compare.ComparisonFacts,
    responses=answers(400, 404),
    openapi_extra=compare.FIELDS,
    name="compare",
)
router.add_api_route(
    "/changes",
    changes.show,
    response_model=changes.ChangeList,
    responses=answers(400),
    openapi_extra=changes.FIELDS,
    name="changes",
)
router.add_api_route(
    "/campaigns", campaigns.show_all, response_model=campaigns.Campaigns, name="campaigns"
)
router.add_api_route(
    "/campaigns/{name}",
    campaigns.show,
    response_model=campaigns.CampaignFacts,
    responses=_MISSING,
    name="campaign",
)
router.add_api_route("/jobs", jobs.show_all, response_model=jobs.Jobs, name="jobs")
router.add_api_route(
    "/jobs/{job_id}",
    jobs.show,
    response_model=jobs.JobStory,
    responses=_MISSING,
    name="job",
)
router.add_api_route("/sources", sources.show_all, response_model=sources.Sources, name="sources")
router.add_api_route("/data", datasets.show, response_model=datasets.DataFacts, name="data")
router.add_api_route("/targets", targets.show_all, response_model=targets.Targets, name="targets")
