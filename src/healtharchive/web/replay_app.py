"""The origin of archived pages: replayweb.page's two scripts, their frame, and WACZ files to read.

/show/12          replayweb.page with the page of capture 12 in it
/show.js          what it says to the site's page around it
/replay/…         what its service worker lives under
/api/wacz/…       the archive's files, read by ranges (`wacz`)

It answers nothing else, sets no cookie and takes no order: whatever an archived script gets hold
of here is public anyway.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from healtharchive.web import replay_place, static_place, trouble, wacz
from healtharchive.web.archived import found_holding
from healtharchive.web.doorway import timestamp14
from healtharchive.web.headers import EVERYWHERE, HeadAsGet, SafeHeaders
from healtharchive.web.limits import Allowance, Limited, networks
from healtharchive.web.replay import job_of
from healtharchive.web.visit import Site, SiteDep

router = APIRouter(include_in_schema=False)
SHOW_POLICY = (
    f"sandbox {replay_place.SANDBOX}; default-src 'none'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self' data:; frame-src 'self'; worker-src 'self' blob:; "
    "form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self' {site}"
)
# A service worker's requests go by the policy of its script: nothing leaves this origin.
WORKER_POLICY = "default-src 'none'; connect-src 'self' data:; script-src 'self'"
SCRIPT_KEPT = "public, max-age=86400"


def create_replay_app(site: Site) -> FastAPI:
    """The application of the second origin over the same archive as the site's."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.site = site
    app.include_router(router)
    app.include_router(wacz.router)
    trouble.install(app)
    app.add_middleware(
        Limited,
        allowance=Allowance(site.settings.requests_per_second, site.settings.requests_burst),
        proxies=networks(site.settings.trusted_proxies),
        clock=site.clock,
    )
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    return app


@router.get("/show/{capture_id}")
def show(capture_id: int, request: Request, site: SiteDep) -> Response:
    """The archived page, run by replayweb.page from its job's WACZ."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
    job = wacz.prepared_for(site, job_of(holding))
    page = site.templates.get_template("replay_show.html").render(
        script=f"/show.js?v={static_place.version('show.js')}",
        site=_site_origin(request, site),
        source=f"/api/wacz/job/{holding.job_id}.wacz",
        # The browser keeps what it read of an index under this name, also when the index changes.
        collection=f"job-{holding.job_id}-{job.layout.etag[:16]}",
        url=holding.url,
        timestamp=timestamp14(holding.captured_at),
    )
    return HTMLResponse(page, headers=_framed(request, site))


@router.get("/show.js")
def teller() -> Response:
    """Our own script beside the frame: it says to the site's page where the reader is."""
    return _script(static_place.STATIC / "show.js", {})


@router.get("/replay/")
def frame(request: Request, site: SiteDep) -> Response:
    """What the service worker answers by itself once it is there."""
    page = site.templates.get_template("replay_frame.html").render()
    return HTMLResponse(page, headers=_framed(request, site))


@router.get("/replay/ui.js")
def interface() -> Response:
    """replayweb.page's interface."""
    return _script(replay_place.ASSETS / "ui.js", {})


@router.get("/replay/sw.js")
def worker() -> Response:
    """replayweb.page's service worker, which answers for the archived page's whole web."""
    return _script(replay_place.ASSETS / "sw.js", {"Content-Security-Policy": WORKER_POLICY})


def _script(path: Path, more: dict[str, str]) -> Response:
    if not path.is_file():
        raise trouble.Missing("trouble.404.replay")
    headers = {**EVERYWHERE, "Cache-Control": SCRIPT_KEPT, **more}
    return FileResponse(path, media_type="text/javascript", headers=headers)


def _framed(request: Request, site: Site) -> dict[str, str]:
    return {
        **EVERYWHERE,
        "Content-Security-Policy": SHOW_POLICY.replace("{site}", _site_origin(request, site)),
        "Origin-Agent-Cluster": "?1",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-cache",
    }


def _site_origin(request: Request, site: Site) -> str:
    return replay_place.site_origin(request.url, site.settings.public_url, site.port)
