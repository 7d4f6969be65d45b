"""The archived bodies: what was captured, made harmless, at addresses of their own.

/raw/12                       the body of capture 12
/warc/12                      its WARC record, byte for byte
/at/20260124062801/URL        the body captured nearest to that moment
/fr/at/20260124062801/URL     the page about that capture
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response, StreamingResponse

from healtharchive.model.errors import NotFound
from healtharchive.model.holdings import (
    REVISIT,
    Holding,
    copies_of,
    get_holding,
    nearest_holding,
    payload_holding,
)
from healtharchive.search.stored import Stored
from healtharchive.warc.cdxj import stored_key
from healtharchive.web.doorway import WIDEST_URL, timestamp14
from healtharchive.web.headers import ARCHIVED_HEADERS
from healtharchive.web.language import Language
from healtharchive.web.reading import Answer, Reading, ReadOrder, StorageUnavailable
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import Site, SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
DIGITS = re.compile(r"\d{4,14}")
# A record never changes; the shape we give it may, with the next release.
KEPT = "public, max-age=3600"
WEB = ("http://", "https://")


@router.get("/raw/{capture_id}")
def body(capture_id: int, site: SiteDep, ui: Language = Language.EN) -> Response:
    """The archived body, behind a sandbox of its own. `ui` is the language its links lead to."""
    with site.database.read() as connection:
        holding, order = _ordered(connection, _found(connection, capture_id), ui)
    return _serve(site, holding, order)


@router.get("/at/{timestamp}/{url:path}")
def nearest_body(timestamp: str, url: str, site: SiteDep, ui: Language = Language.EN) -> Response:
    """The body of the capture of `url` nearest to the moment: for images, styles and redirects."""
    with site.database.read() as connection:
        holding, order = _ordered(connection, _nearest(connection, timestamp, url), ui)
    return _serve(site, holding, order)


@router.get("/{language}/at/{timestamp}/{url:path}")
def nearest_page(timestamp: str, url: str, visit: VisitDep, site: SiteDep) -> Response:
    """Leads to the page of the capture of `url` that is nearest to the moment."""
    if visit.request.url.query:  # somebody typed the address with its own query
        url = f"{url}?{visit.request.url.query}"
    with site.database.read() as connection:
        holding = _nearest(connection, timestamp, url)
    return RedirectResponse(f"/{visit.language}/capture/{holding.id}", 302)


@router.get("/warc/{capture_id}")
def record(capture_id: int, site: SiteDep) -> Response:
    """The WARC record as its bytes lie in the file."""
    with site.database.read() as connection:
        holding = _found(connection, capture_id)
        order = ReadOrder("record", _place(connection, holding))
    suffix = ".warc.gz" if holding.segment.endswith(".gz") else ".warc"
    reading = _read(site, order, holding)
    return _stream(reading, f"capture-{capture_id}{suffix}")


def _found(connection: Connection, capture_id: int) -> Holding:
    try:
        return get_holding(connection, capture_id)
    except NotFound:
        raise Missing("trouble.404.capture", id=capture_id) from None


def _nearest(connection: Connection, timestamp: str, url: str) -> Holding:
    moment = moment_of(timestamp)
    usable = url.lower().startswith(WEB) and url.isprintable() and len(url) <= WIDEST_URL
    if moment is None or not usable:
        raise Missing("trouble.404.page")
    holding = nearest_holding(connection, stored_key(url), moment)
    if holding is None:
        raise Missing("trouble.404.url", live_url=url, url=url)
    return holding


def _ordered(connection: Connection, holding: Holding, ui: Language) -> tuple[Holding, ReadOrder]:
    payload = payload_holding(connection, holding) if holding.record_type == REVISIT else None
    order = ReadOrder(
        want="page",
        record=_place(connection, holding),
        payload=_place(connection, payload) if payload else None,
        url=holding.url,
        timestamp=timestamp14(holding.captured_at),
        language=ui,
    )
    return holding, order


def _place(connection: Connection, holding: Holding) -> Stored:
    return Stored(
        holding.segment_path,
        holding.record_offset,
        holding.record_length,
        copies_of(connection, holding.segment),
    )


def _serve(site: Site, holding: Holding, order: ReadOrder) -> Response:
    reading = _read(site, order, holding)
    if reading.answer.location:
        _exhaust(reading.body)
        address = f"{reading.answer.location}?ui={order.language}"
        return RedirectResponse(address, 302, headers=dict(ARCHIVED_HEADERS))
    return _stream(reading, _filename(holding))


def _read(site: Site, order: ReadOrder, holding: Holding) -> Reading:
    reading = site.readers.read(order)
    if reading.answer.refused:
        _exhaust(reading.body)
        _refuse(reading.answer, holding)
    return reading


def _refuse(answer: Answer, holding: Holding) -> None:
    if answer.refused == "missing":
        raise StorageUnavailable(f"{holding.segment} is not at its place.")
    if answer.refused == "out_of_reach":
        raise StorageUnavailable(answer.reason)
    raise Missing(f"trouble.404.{answer.refused}", live_url=holding.url, id=holding.id)


def _exhaust(body: Iterator[bytes]) -> None:
    """Read an answer to its end, so that its child can take the next order."""
    for _ in body:
        pass


def _stream(reading: Reading, filename: str) -> Response:
    headers = {**ARCHIVED_HEADERS, "Cache-Control": KEPT}
    if reading.answer.attachment:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    # The whole value: Starlette would add a charset to text/* of its own.
    headers["Content-Type"] = reading.answer.media_type
    return StreamingResponse(reading.body, headers=headers)


def _filename(holding: Holding) -> str:
    last = holding.url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last[-120:] or f"capture-{holding.id}"


def moment_of(timestamp: str) -> datetime | None:
    """The moment of 4 to 14 digits, the missing ones filled up with the earliest; None if none."""
    if not (timestamp.isascii() and DIGITS.fullmatch(timestamp)):
        return None
    filled = timestamp + "00000101000000"[len(timestamp) :]
    year, month, day = int(filled[:4]), int(filled[4:6]), int(filled[6:8])
    if not (1 <= year <= 9998 and 1 <= month <= 12):
        return None
    day = min(max(day, 1), calendar.monthrange(year, month)[1])
    hour, minute, second = (int(filled[at : at + 2]) for at in (8, 10, 12))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
