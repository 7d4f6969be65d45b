"""Whether the site lives, and whether it can answer: for systemd, load balancers and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse

from healtharchive.model import schema
from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.wire import to_plain
from healtharchive.web.visit import Site, SiteDep

router = APIRouter(tags=["health"])
NOT_STORED = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Health:
    """One look: `ok`, or `unavailable` with what does not answer and the command that mends it."""

    status: Literal["ok", "unavailable"]
    database: str = "not asked"


@router.get("/health/live", response_model=Health)
@router.get("/healthz", response_model=Health, include_in_schema=False)
async def live() -> JSONResponse:
    """200 while the process can answer at all.

    It asks nothing, and no thread: a dead database or busy readers are no reason to restart a
    server that would come back just as helpless.
    """
    return JSONResponse(to_plain(Health("ok")), headers=NOT_STORED)


@router.get("/health/ready", response_model=Health)
def ready(site: SiteDep) -> JSONResponse:
    """200 when the database answers and has this program's schema, otherwise 503."""
    health = _look(site)
    status = 200 if health.status == "ok" else 503
    return JSONResponse(to_plain(health), status_code=status, headers=NOT_STORED)


def _look(site: Site) -> Health:
    try:
        schema.check(site.database)
    except HealthArchiveError as error:
        # The sentence names the database's address, which is the operator's business alone.
        return Health("unavailable", type(error).__name__)
    except DBAPIError:
        return Health("unavailable", "DatabaseUnavailable")
    return Health("ok", "ok")
