"""The pictures of rendered pages, as they were taken during the crawl.

/thumbnail/12     the first screen of capture 12, small
/screenshot/12    all of its page
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from healtharchive.model.pictures import PictureKind, pictures_of
from healtharchive.web.archived import found_holding, place_of, read, send
from healtharchive.web.reading import ReadOrder
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import Site, SiteDep

router = APIRouter(include_in_schema=False)


@router.get("/thumbnail/{capture_id}")
def thumbnail(capture_id: int, request: Request, site: SiteDep) -> Response:
    """The small picture of a capture's first screen."""
    return _picture(request, site, capture_id, PictureKind.THUMBNAIL)


@router.get("/screenshot/{capture_id}")
def screenshot(capture_id: int, request: Request, site: SiteDep) -> Response:
    """The picture of a capture's whole page."""
    return _picture(request, site, capture_id, PictureKind.SCREENSHOT)


def _picture(request: Request, site: Site, capture_id: int, kind: PictureKind) -> Response:
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
        picture = pictures_of(connection, capture_id).get(kind)
        if picture is None:
            raise Missing(f"trouble.404.{kind}", id=capture_id)
        place = replace(
            place_of(connection, holding),
            offset=picture.record_offset,
            length=picture.record_length,
        )
    reading = read(site, ReadOrder("picture", place), holding)
    return send(request, site, reading, f"{kind}-{capture_id}")
