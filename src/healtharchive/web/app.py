"""The web application: pages, API and archived bodies over one database and one index."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.settings import Settings
from healtharchive.web import (
    api,
    archived,
    campaigns,
    captures,
    health,
    jobs,
    search,
    sources,
    targets,
    trouble,
)
from healtharchive.web.headers import HeadAsGet, SafeHeaders
from healtharchive.web.reading import Readers
from healtharchive.web.visit import Site

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The site over this database. It opens nothing until the first request."""
    site = Site(
        settings=settings,
        database=database,
        clock=SystemClock(),
        readers=Readers(),
        templates=_templates(),
        stylesheet=_stylesheet(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        site.readers.close()

    app = FastAPI(
        title="HealthArchive",
        summary="Search a web archive and read how its campaigns stand.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # /anything would lead to /anything/, which is not there either
    )
    app.state.site = site
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for page in (health, api, archived, search, campaigns, jobs, sources, targets, captures):
        app.include_router(page.router)
    trouble.install(app)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    return app


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("healtharchive.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _stylesheet() -> str:
    content = (STATIC / "style.css").read_bytes()
    return f"/static/style.css?v={hashlib.sha256(content).hexdigest()[:12]}"
