"""The archived bodies: what was captured, made harmless, at addresses of their own.

/raw/12                       the body of capture 12
/warc/12                      its WARC record, byte for byte
/at/20260124062801/URL        the body captured nearest to that moment
/fr/at/20260124062801/URL     the page about that capture
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from healtharchive import __version__
from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import (
    REVISIT,
    Holding,
    copies_of,
    get_holding,
    nearest_answer,
    nearest_holding,
    payload_holding,
)
from healtharchive.model.withheld import require_shown
from healtharchive.search.stored import Stored
from healtharchive.warc.cdxj import stored_key
from healtharchive.web.absence import absent
from healtharchive.web.doorway import timestamp14
from healtharchive.web.headers import ARCHIVED_HEADERS, HEAD
from healtharchive.web.language import Language
from healtharchive.web.limits import client_of, line_of, networks
from healtharchive.web.memento import exact_id, memento_headers
from healtharchive.web.moments import moment_of
from healtharchive.web.original import memento_path, original_url, url_in
from healtharchive.web.outgoing import Sent
from healtharchive.web.reading import Answer, Reading, ReadOrder, StorageUnavailable
from healtharchive.web.trouble import Missing
from healtharchive.web.validators import unchanged, validators
from healtharchive.web.visit import Site, SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
SMALL_BYTES = 1 << 20
# A record never changes; the shape we give it may, with the next release.
KEPT = "public, max-age=3600"


@router.get("/raw/{capture_id}")
def body(capture_id: int, request: Request, site: SiteDep) -> Response:
    """The archived body, behind a sandbox of its own. `ui` is the language its links lead to."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
    return _serve(request, site, holding)


@router.get("/at/{timestamp}/{url:path}")
def nearest_body(timestamp: str, request: Request, site: SiteDep) -> Response:
    """The body of the capture of a URL nearest to the moment: for images, styles and redirects.

    The address with the very second of a capture is a memento. Any other is answered with the
    nearest one at once, which Content-Location names: a page's pictures need no second request.
    """
    url = original_url(request, 3)
    with site.database.read() as connection:
        holding = nearest_to(connection, timestamp, url)
    response = _serve(request, site, holding)
    if timestamp != timestamp14(holding.captured_at):
        response.headers["Content-Location"] = memento_path(holding.url, holding.captured_at)
    return response


@router.get("/{language}/at/{timestamp}/{url:path}")
def nearest_page(timestamp: str, visit: VisitDep, site: SiteDep) -> Response:
    """Leads to the page of the capture of a URL that is nearest to the moment."""
    url = original_url(visit.request, 4)
    with site.database.read() as connection:
        holding = nearest_to(connection, timestamp, url)
    return RedirectResponse(f"/{visit.language}/capture/{holding.id}", 302)


@router.get("/warc/{capture_id}")
def record(capture_id: int, request: Request, site: SiteDep) -> Response:
    """The WARC record as its bytes lie in the file."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
        headers = validators(f'"warc-{capture_id}"', holding.captured_at)
        if unchanged(request.headers, headers["ETag"], holding.captured_at):
            return _not_modified(headers)
        order = ReadOrder("record", place_of(connection, holding))
    suffix = ".warc.gz" if holding.segment.endswith(".gz") else ".warc"
    reading = read(site, order, holding)
    response = send(request, site, reading, f"capture-{capture_id}{suffix}")
    response.headers.update(headers)
    return response


def found_holding(connection: Connection, capture_id: int) -> Holding:
    """The capture that was asked for; Missing when it is not there, Suppressed when not shown."""
    try:
        return get_holding(connection, capture_id)
    except NotFound:
        raise Missing("trouble.404.capture", id=capture_id) from None


def nearest_to(connection: Connection, timestamp: str, url: str) -> Holding:
    """The capture of a URL of that very second, or else the nearest; Missing when there is none."""
    moment = moment_of(timestamp)
    if moment is None:
        raise Missing("trouble.404.page")
    key = stored_key(url)
    exact = exact_id(connection, key, timestamp, url)
    if exact is not None:
        return found_holding(connection, exact)
    if len(timestamp) == 14:
        require_shown(connection, key, moment)  # no other capture stands in for it
    holding = nearest_holding(connection, key, moment, url)
    if holding is None:
        raise absent(connection, key, url)
    return holding


def _order(connection: Connection, holding: Holding, ui: Language) -> ReadOrder:
    payload = payload_holding(connection, holding) if holding.record_type == REVISIT else None
    return ReadOrder(
        want="page",
        record=place_of(connection, holding),
        payload=place_of(connection, payload) if payload else None,
        url=holding.url,
        timestamp=timestamp14(holding.captured_at),
        language=ui,
    )


def place_of(connection: Connection, holding: Holding) -> Stored:
    """Where the capture's record lies, with the copies of its file."""
    return Stored(
        holding.segment_path,
        holding.record_offset,
        holding.record_length,
        copies_of(connection, holding.segment),
    )


def _serve(request: Request, site: Site, holding: Holding) -> Response:
    ui = Visit(request).language if "ui" in request.query_params else Language.EN
    etag = f'W/"{holding.id}-{ui}-{__version__}"'
    headers = {
        **validators(etag, holding.captured_at),
        **memento_headers(request, holding.url, holding.captured_at),
    }
    if unchanged(request.headers, etag):  # its date says nothing of the shape we give it
        return _not_modified(headers)
    with site.database.read() as connection:
        order = _order(connection, holding, ui)
    reading = read(site, order, holding)
    if reading.answer.location:
        _exhaust(reading)
        address = _onward(site, holding, reading.answer.location)
        headed = f"{address}?ui={order.language}"
        response: Response = RedirectResponse(headed, 302, headers=dict(ARCHIVED_HEADERS))
    else:
        response = send(request, site, reading, _filename(holding))
    response.headers.update(headers)
    return response


def _onward(site: Site, holding: Holding, location: str) -> str:
    """Where an archived redirect leads in the archive.

    One that leads to the page itself (to https:, or after a cookie was set) leads to the nearest
    capture of the page that is no redirect: another way would be a circle.
    """
    url = url_in(location)
    if stored_key(url) != holding.url_key:
        return location
    with site.database.read() as connection:
        found = nearest_answer(connection, holding.url_key, holding.captured_at)
        if found is None:
            raise absent(connection, holding.url_key, url)
    return f"/at/{timestamp14(found.captured_at)}/{quote(found.url, safe='')}"


def _not_modified(headers: Mapping[str, str]) -> Response:
    return Response(status_code=304, headers={**ARCHIVED_HEADERS, "Cache-Control": KEPT, **headers})


def read(site: Site, order: ReadOrder, holding: Holding) -> Reading:
    """What a child found; StorageUnavailable or Missing when it is not to be had."""
    reading = site.readers.read(order)
    if reading.answer.refused:
        _exhaust(reading)
        _refuse(reading.answer, holding)
    return reading


def require_reachable(site: Site, holding: Holding) -> None:
    """StorageUnavailable or Missing when the record cannot be read now; no large one is tried."""
    if holding.record_length > SMALL_BYTES:
        return
    with site.database.read() as connection:
        order = ReadOrder("record", place_of(connection, holding))
    _exhaust(read(site, order, holding))


def _refuse(answer: Answer, holding: Holding) -> None:
    if answer.refused == "missing":
        raise StorageUnavailable(f"{holding.segment} is not at its place.")
    if answer.refused == "out_of_reach":
        raise StorageUnavailable(answer.reason)
    raise Missing(f"trouble.404.{answer.refused}", live_url=holding.url, id=holding.id)


def _exhaust(reading: Reading) -> None:
    """Read an answer to its end, so that its child can take the next order."""
    for _ in reading.body:
        pass


def send(request: Request, site: Site, reading: Reading, filename: str) -> Response:
    """The answer with its body, for which no child is kept; `filename` is for a download."""
    if HEAD in request.scope:
        reading.body.close()
        return head(reading.answer, filename)
    spooled = site.outgoing.spool(reading.body, _client(request, site))
    return Sent(spooled, _headers(reading.answer, filename))


def head(answer: Answer, filename: str) -> Response:
    """The headers of such an answer alone."""
    response = Response(headers=_headers(answer, filename))
    del response.headers["Content-Length"]  # nobody has counted
    return response


def _headers(answer: Answer, filename: str) -> dict[str, str]:
    # The whole Content-Type: Starlette would add a charset to text/* of its own.
    headers = {**ARCHIVED_HEADERS, "Cache-Control": KEPT, "Content-Type": answer.media_type}
    if answer.attachment:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    return headers


def _client(request: Request, site: Site) -> str:
    """Whose body it is; empty for this machine, whose undeclared proxy may ask for many people."""
    client = client_of(request.scope, networks(site.settings.trusted_proxies))
    return "" if client is None or client.is_loopback else line_of(client)


def _filename(holding: Holding) -> str:
    last = holding.url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last[-120:] or f"capture-{holding.id}"
