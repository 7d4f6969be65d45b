"""WACZ files of jobs, sources and campaigns: computed as they are read, with ranges.

/api/wacz/job/7.wacz                  what a job has captured
/api/wacz/source/hc.wacz              all that a source has
/api/wacz/campaign/annual-2026.wacz   all that a campaign has
/wacz/12                              one capture alone, signed, to keep
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from healtharchive.model.collection import CollectionKind, CollectionName, span_start, span_stop
from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import REVISIT, payload_holding, segment_place
from healtharchive.search.collection import LAYOUT_NAME, filename_of, look
from healtharchive.search.collection_prepare import Prepared
from healtharchive.search.page_order import PageOrder
from healtharchive.settings import environment_of
from healtharchive.web.archived import found_holding, head, place_of, read, require_reachable, send
from healtharchive.web.headers import EVERYWHERE, HEAD
from healtharchive.web.preparing import BeingPrepared
from healtharchive.web.ranges import ByteRange, Unsatisfiable, names, wanted
from healtharchive.web.reading import Answer, ReadOrder
from healtharchive.web.trouble import Missing, Trouble
from healtharchive.web.visit import Site, SiteDep
from healtharchive.web.wacz_bytes import Source

router = APIRouter(prefix="/api/wacz")
page_router = APIRouter(include_in_schema=False)
MEDIA_TYPE = "application/zip"
EXPOSED = "Accept-Ranges, Content-Length, Content-Range, Content-Disposition, ETag, Last-Modified"
SHARED = {
    **EVERYWHERE,
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": EXPOSED,
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Robots-Tag": "noindex, nofollow",
}
ALLOWED = {
    **SHARED,
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match",
    "Access-Control-Max-Age": "86400",
}
_BYTES = {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
ANSWERS: dict[int | str, dict[str, object]] = {
    200: {**_BYTES, "description": "The whole file."},
    206: {**_BYTES, "description": "The range that was asked for."},
    304: {"description": "The client has these very bytes already."},
    404: {"model": Trouble, "description": "There is none, or nothing of it is indexed yet."},
    416: {"description": "The range begins behind the end."},
    503: {"model": Trouble, "description": "It is being prepared, or its storage is away."},
}


@router.get(
    "/{kind}/{name}.wacz",
    response_class=Response,
    responses=ANSWERS,
    name="wacz",
    summary="The WARC files of a job, a source or a campaign as one WACZ 1.1.1 file",
)
def serve(kind: CollectionKind, name: str, request: Request, site: SiteDep) -> Response:
    """Bytes, or a range of them. Its ETag changes when, and only when, the bytes do."""
    collection = CollectionName(kind, name)
    prepared = prepared_for(site, collection)
    etag = f'"{prepared.layout.etag}"'
    headers = {
        **SHARED,
        "ETag": etag,
        "Last-Modified": format_datetime(_made_at(prepared), usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename_of(collection))}",
    }
    if names(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    size = prepared.layout.size_bytes
    try:
        asked = request.headers.get("range"), request.headers.get("if-range")
        stretch = wanted(*asked, etag, size)
    except Unsatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    return _stream(site, prepared, stretch, headers)


@router.options("/{kind}/{name}.wacz", include_in_schema=False)
def allow() -> Response:
    """What a page of another origin may send."""
    return Response(status_code=204, headers=ALLOWED)


@page_router.get("/wacz/{capture_id}")
def one_page(capture_id: int, request: Request, site: SiteDep) -> Response:
    """One capture as a small signed WACZ: its records, and where in the archive they lie."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
        _, file_bytes, sha256 = segment_place(connection, holding.segment)
        revisited = payload_holding(connection, holding) if holding.record_type == REVISIT else None
        if revisited is not None and revisited.suppressed_by is not None:
            revisited = None  # a file to take away has no record that is not shown
        order = PageOrder(
            capture_id=capture_id,
            record=place_of(connection, holding),
            file_bytes=file_bytes,
            span_start=span_start(connection, holding.segment, holding.record_offset),
            span_stop=span_stop(connection, holding.segment, holding.record_offset) or file_bytes,
            original=place_of(connection, revisited) if revisited else None,
            url=holding.url,
            title=holding.title or holding.url,
            captured_at=holding.captured_at,
            made_at=site.clock.now(),
            segment=holding.segment,
            segment_sha256=sha256,
            state_dir=str(site.settings.state_dir),
        )
    filename = f"capture-{capture_id}.wacz"
    if HEAD in request.scope:  # all of it would be made for its headers
        require_reachable(site, holding)
        response = head(Answer(MEDIA_TYPE, attachment=True), filename)
    else:
        reading = read(site, ReadOrder("one_page", order.record, one_page=order), holding)
        response = send(request, site, reading, filename)
    response.headers.update(SHARED)
    return response


def prepared_for(site: Site, name: CollectionName) -> Prepared:
    """The WACZ of a collection. Missing; BeingPrepared; BeingRepaired."""
    if not name.name.isprintable():  # no database is asked: PostgreSQL's has no text with a NUL
        raise Missing("trouble.404.wacz", name=repr(name.name))
    try:
        with site.database.read() as connection:
            collection = look(connection, name)
    except NotFound:
        raise Missing("trouble.404.wacz", name=name.name) from None
    settings = site.settings
    return site.preparing.ready(collection, settings.wacz_dir, environment_of(settings))


def _stream(
    site: Site, prepared: Prepared, stretch: ByteRange | None, headers: dict[str, str]
) -> Response:
    size = prepared.layout.size_bytes
    start, stop = (0, size) if stretch is None else (stretch.start, stretch.stop)
    headers["Content-Length"] = str(stop - start)
    headers["Content-Type"] = MEDIA_TYPE
    if stretch is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    body = Source(site.database, site.readers).pieces(prepared, start, stop)
    status = 200 if stretch is None else 206
    return StreamingResponse(_begun(body), status, headers)


def _begun(body: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with its first pieces read: a storage that is away is a 503, no torn answer.

    A short first piece is a ZIP header, behind which the first bytes of a segment come.
    """
    first = list(itertools.islice(body, 2))
    return itertools.chain(first, body)


def _made_at(prepared: Prepared) -> datetime:
    try:
        made = (prepared.directory / LAYOUT_NAME).stat().st_mtime
    except FileNotFoundError:  # removed since it was found
        raise BeingPrepared("The WACZ has just been removed; it is made anew.") from None
    return datetime.fromtimestamp(made, UTC)
