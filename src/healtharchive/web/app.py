"""The web application: pages, API and archived bodies over one database and one index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.settings import Settings
from healtharchive.web import (
    api,
    archived,
    campaigns,
    captures,
    cdx,
    changes,
    cite,
    compare,
    datasets,
    described,
    health,
    history,
    holdings,
    jobs,
    memento,
    metrics,
    pictures,
    replay,
    report,
    robots,
    search,
    sources,
    static_place,
    targets,
    trouble,
    wacz,
)
from healtharchive.web.headers import HeadAsGet, SafeHeaders
from healtharchive.web.limits import Allowance, Limited, networks
from healtharchive.web.reading import Readers
from healtharchive.web.replay_place import ReplayPlace
from healtharchive.web.sharing import Shared
from healtharchive.web.validators import Validated
from healtharchive.web.visit import Site

SMALL_BYTES = 1000  # too little to be worth compressing
READERS = 4
READY = 2  # ahead of need: who asks, hangs up and asks again has one at work and one to come


def create_site(
    settings: Settings, database: Database, port: int = 0, replay: ReplayPlace | None = None
) -> Site:
    """What the pages work with. They are served on `port`, archived pages at `replay`."""
    return Site(
        settings=settings,
        database=database,
        clock=SystemClock(),
        readers=Readers(limit=READERS, ahead=READY),
        templates=_templates(),
        stylesheet=static_place.address("style.css"),
        port=port,
        replay=replay,
    )


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The site over this database, without replay. It opens nothing until the first request."""
    return app_of(create_site(settings, database))


def app_of(site: Site) -> FastAPI:
    """The web pages, their API and archived bodies."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        site.readers.start()
        yield
        site.readers.close()
        site.preparing.close()

    app = FastAPI(
        title="HealthArchive",
        summary="Search a web archive and read how its campaigns stand.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=described.answers(400, 429, 503),
        redirect_slashes=False,  # /anything would lead to /anything/, which is not there either
    )
    app.state.site = site
    app.state.intake = report.Intake(site.settings, site.clock)
    files = GZipMiddleware(StaticFiles(directory=static_place.STATIC), SMALL_BYTES)
    app.mount("/static", files, name="static")
    for page in (
        health,
        robots,
        metrics,
        api,
        cdx,
        memento,
        holdings,
        archived,
        search,
        campaigns,
        jobs,
        sources,
        targets,
        captures,
        history,
        compare,
        changes,
        datasets,
        pictures,
        cite,
        report,
        replay,
        wacz,
    ):
        app.include_router(page.router)
    app.include_router(wacz.page_router)
    trouble.install(app)
    described.install(app)
    app.add_middleware(Validated)
    app.add_middleware(
        Limited,
        allowance=Allowance(site.settings.requests_per_second, site.settings.requests_burst),
        proxies=networks(site.settings.trusted_proxies),
        clock=site.clock,
    )
    app.add_middleware(Shared)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    return app


def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("healtharchive.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = static_place.address
    return made
