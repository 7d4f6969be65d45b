"""The admin API: what the operations pages show and do, for programs, below /api/admin/v1.

Bearer tokens (RFC 6750) only. Each scope opens what its name says; `admin` opens everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from healtharchive.model import tokens
from healtharchive.model.journal import Event
from healtharchive.model.journal_pages import following
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.model.tokens import Scope, Token
from healtharchive.steward.condition import AlertNow
from healtharchive.web.cdx_query import Asked
from healtharchive.web.described import answers
from healtharchive.web.operations_acts import (
    LONGEST_PAUSE_HOURS,
    LONGEST_WHY,
    Done,
    Edition,
    act_on_job,
    make_campaign,
    pause_worker,
    reason,
    resume_worker,
)
from healtharchive.web.operations_admission import Visitor
from healtharchive.web.operations_campaign import (
    CampaignList,
    CampaignView,
    campaign_of,
    campaigns_of,
)
from healtharchive.web.operations_desk import DeskDep
from healtharchive.web.operations_entry import ApiRoute, api_with
from healtharchive.web.operations_jobs import LAST_PAGE, JobList, JobView, job_of, jobs_of
from healtharchive.web.operations_journal import wanted_of
from healtharchive.web.operations_overview import Overview, overview_of
from healtharchive.web.operations_storage import Storage, storage_of
from healtharchive.web.visit import SiteDep

PREFIX = "/api/admin/v1"
DESCRIPTION = "/api/admin/openapi.json"
MOST_EVENTS = 1000
SETTLED_SECONDS = 5.0  # after which no event with a smaller number is committed any more
Reader = Annotated[Visitor, Depends(api_with(Scope.READ))]
Operator = Annotated[Visitor, Depends(api_with(Scope.JOBS))]
Owner = Annotated[Visitor, Depends(api_with(Scope.ADMIN))]
JobId = Annotated[int, Field(ge=1, le=BIGGEST_ID)]
Why = Annotated[str, Field(min_length=1, max_length=LONGEST_WHY)]
Code = Annotated[str, Field(max_length=64)]  # with a limit, half a character is refused, too

router = APIRouter(
    prefix=PREFIX, route_class=ApiRoute, responses=answers(400, 401, 403, 413, 422, 429, 503)
)


class JobAct(StrEnum):
    """What may be done to a job."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    REINDEX = "reindex"


class Because(BaseModel):
    """Why something is done, for the journal."""

    why: Why


class Pause(Because):
    """A declared pause of the workers; without `hours` until somebody ends it."""

    hours: Annotated[float, Field(gt=0, le=LONGEST_PAUSE_HOURS)] | None = None
    let_finish: bool = False


class NewCampaign(BaseModel):
    """An edition to be made; without `sources` of every declared one."""

    kind: Code = "annual"
    year: int
    sources: list[Code] = []


class NewToken(BaseModel):
    """A token to be made."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    days: Annotated[int, Field(ge=1, le=3650)] = 90


@dataclass(frozen=True, slots=True)
class Events:
    """Events, oldest first. Ask for more with `next_after_id`.

    An event may come again on the next page: what was written a moment ago is repeated until no
    smaller number can follow it. Its number tells.
    """

    events: tuple[Event, ...]
    next_after_id: int


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token, this once."""

    secret: str
    token: Token


@router.get("/status")
def status(_: Reader, desk: DeskDep) -> Overview:
    """How the archive is, and what is wrong, the gravest first."""
    return overview_of(desk.board.seen())


@router.get("/jobs")
def jobs(
    _: Reader,
    site: SiteDep,
    status: JobStatus | None = None,
    page: Annotated[int, Query(ge=1, le=LAST_PAGE)] = 1,
) -> JobList:
    """The jobs, in the order they are claimed."""
    return jobs_of(site, str(status or ""), page)


@router.get("/jobs/{job_id}", responses=answers(404))
def job(job_id: JobId, _: Reader, site: SiteDep) -> JobView:
    """One job with its attempts and its story."""
    return job_of(site, job_id)


@router.post("/jobs/{job_id}/{act}", responses=answers(404, 409))
def act(job_id: JobId, act: JobAct, body: Because, visitor: Operator, site: SiteDep) -> Done:
    """Pause, resume, cancel or retry a job, or have it indexed again."""
    return act_on_job(site, visitor, job_id, act, body.why)


@router.get("/campaigns")
def campaigns(_: Reader, site: SiteDep) -> CampaignList:
    """Every campaign, the newest first."""
    return campaigns_of(site)


@router.get("/campaigns/{name}", responses=answers(404))
def campaign(name: str, _: Reader, site: SiteDep) -> CampaignView:
    """One campaign: whether it is ready for search, its jobs, how they got on."""
    return campaign_of(site, name)


@router.post("/campaigns", responses=answers(404, 409))
def new_campaign(body: NewCampaign, visitor: Operator, site: SiteDep) -> Edition:
    """Make a campaign with one job a source; asked again, it adds what is missing."""
    return make_campaign(site, visitor, body.kind, body.year, tuple(body.sources))


@router.get("/targets")
def targets(_: Reader, site: SiteDep, desk: DeskDep) -> Storage:
    """Every storage target with its states of a week."""
    return storage_of(site, desk.board.seen())


@router.get("/events")
def events(
    request: Request,
    _: Reader,
    site: SiteDep,
    after_id: Annotated[int, Query(ge=0, le=BIGGEST_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 100,
) -> Events:
    """The journal from an event on; subject, id, what, actor, since and until narrow it."""
    wanted = wanted_of(Asked(request.query_params.multi_items()))
    with site.database.read() as connection:
        now = site.database.now(connection)
        found = following(connection, wanted, limit=limit, after_id=after_id)
    settled = now - timedelta(seconds=SETTLED_SECONDS)
    return Events(tuple(found), _next(found, after_id, settled))


@router.get("/alerts")
def alerts(_: Reader, desk: DeskDep) -> tuple[AlertNow, ...]:
    """The alerts that fire now."""
    return desk.board.seen().condition.alerts


@router.get("/tokens")
def all_tokens(_: Owner, site: SiteDep) -> list[Token]:
    """Every token there ever was."""
    with site.database.read() as connection:
        return tokens.list_tokens(connection)


@router.post("/tokens", responses=answers(409))
def new_token(body: NewToken, visitor: Owner, site: SiteDep) -> MadeToken:
    """Make a token; nobody can show it again."""
    secret = tokens.new_secret()
    lasts = timedelta(days=body.days)
    with site.database.begin() as connection:
        made = tokens.create_token(
            site.database, connection, body.name, body.scopes, lasts, secret, actor=visitor.actor
        )
    return MadeToken(secret, made)


@router.post("/tokens/{name}/revoke", responses=answers(404, 409))
def revoke(name: str, body: Because, visitor: Owner, site: SiteDep) -> Token:
    """Let a token in no more."""
    why = reason(body.why)
    with site.database.begin() as connection:
        return tokens.revoke_token(site.database, connection, name, why=why, actor=visitor.actor)


@router.post("/worker/pause", responses=answers(409))
def pause(body: Pause, visitor: Operator, site: SiteDep) -> Done:
    """Declare that no worker claims anything; what runs goes back to the queue, or may finish."""
    return pause_worker(site, visitor, body.why, body.hours, let_finish=body.let_finish)


@router.post("/worker/resume", responses=answers(409))
def resume(body: Because, visitor: Operator, site: SiteDep) -> Done:
    """End every declared pause of the workers."""
    return resume_worker(site, visitor, body.why)


def install(app: FastAPI) -> None:
    """Give the application the API and its description, which a token for reading opens."""
    app.include_router(router)

    def describe(_: Reader) -> dict[str, Any]:
        described = get_openapi(
            title="HealthArchive admin API",
            version="1",
            summary="Watch and operate a web archive.",
            routes=router.routes,
        )
        schemes = {"bearer": {"type": "http", "scheme": "bearer"}}
        described.setdefault("components", {})["securitySchemes"] = schemes
        described["security"] = [{"bearer": []}]
        return described

    described = APIRouter(route_class=ApiRoute)
    described.add_api_route(DESCRIPTION, describe, include_in_schema=False)
    app.include_router(described)


def _next(found: list[Event], after_id: int, settled: datetime) -> int:
    """The last event below which nothing can be missing."""
    number = after_id
    for each in found:
        if each.at > settled:
            break
        number = each.id
    return number
