"""/robots.txt: crawlers of others may read our pages and data sets, but no archived bodies.

They would find an old page where its site has a newer one, and follow links without an end.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

router = APIRouter(include_in_schema=False)
KEPT_FROM_CRAWLERS = (
    "/raw/",
    "/at/",
    "/en/at/",
    "/fr/at/",
    "/warc/",
    "/wacz/",
    "/api/wacz/",
    "/timegate/",
    "/thumbnail/",
    "/screenshot/",
)
ROBOTS = "User-agent: *\n" + "".join(f"Disallow: {each}\n" for each in KEPT_FROM_CRAWLERS)


@router.get("/robots.txt")
def show() -> Response:
    """The rules, the same for every crawler."""
    return PlainTextResponse(ROBOTS)
