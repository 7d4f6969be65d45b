"""/metrics for Prometheus: how the archive stands, by a few cheap questions to the database.

Only clients on this machine, or of the networks in `metrics_clients`, are answered: what is parked
and why is the operator's business.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from healtharchive.steward.means import StewardMeans
from healtharchive.steward.metrics import exposition, outside
from healtharchive.web.limits import client_of, is_in, networks
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import SiteDep
from healtharchive.work.stopping import Stop

router = APIRouter(include_in_schema=False)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics")
def metrics(request: Request, site: SiteDep) -> Response:
    """Every metric, in Prometheus' text format; 200 also while the database is down, saying so."""
    settings = site.settings
    client = client_of(request.scope, networks(settings.trusted_proxies))
    allowed = networks(settings.metrics_clients, "METRICS_CLIENTS")
    if client is not None and not client.is_loopback and not is_in(client, allowed):
        raise Missing("trouble.404.page")
    means = StewardMeans(
        settings=settings, database=site.database, clock=site.clock, stop=Stop(site.clock)
    )
    told = exposition(site.database, settings, outside(means))
    return Response(told, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
