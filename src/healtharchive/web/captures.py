"""The page of one capture: the archived page in its frame, its facts, and its other captures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.holdings import (
    Holding,
    Sighting,
    count_sightings,
    sightings_around,
)
from healtharchive.model.pictures import PictureKind, pictures_of
from healtharchive.web.archived import found_holding
from healtharchive.web.exhibit_kinds import has_words, is_framed
from healtharchive.web.replay_place import installed
from healtharchive.web.timeline import Found, found_by
from healtharchive.web.visit import SiteDep, VisitDep

router = APIRouter(include_in_schema=False)
MOST_OTHERS = 12  # the page of its history has all
REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFacts:
    """One capture: what was fetched, when, from where, and where its bytes lie.

    `others` are the captures of the same page nearest in time, this one among them, out of
    `capture_count`; `pictures` are those there are at /thumbnail/ID and /screenshot/ID;
    `payload_digest` is that of the body as it was sent, without its chunks.
    """

    id: int
    url: str
    title: str | None
    language: str | None
    captured_at: datetime
    source: str
    source_name: str
    campaign: str | None
    job_id: int
    status_code: int | None
    mime: str | None
    payload_digest: str | None
    payload_bytes: int | None
    truncated: str | None
    record_type: str
    segment: str
    record_offset: int
    record_length: int
    pictures: tuple[PictureKind, ...]
    capture_count: int
    others: tuple[Sighting, ...]


@router.get("/{language}/capture/{capture_id}")
def show(capture_id: int, visit: VisitDep, site: SiteDep) -> Response:
    """One capture with its facts and the archived page in a sandboxed frame."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
        count = count_sightings(connection, holding.url_key)
        near = sightings_around(connection, holding.url_key, holding.captured_at, MOST_OTHERS)
        pictures = tuple(sorted(pictures_of(connection, capture_id)))
    capture = _facts(holding, pictures, count, tuple(near))
    return visit.answer(
        "capture.html",
        capture,
        capture=capture,
        # What an address in the archive may be is decided here: no javascript: in a link.
        live_url=holding.url if holding.url.startswith(("http://", "https://")) else "",
        redirects=holding.status_code in REDIRECTS,
        comparable=found_by(holding.status_code) is Found.PAGE and has_words(holding.mime),
        framed=is_framed(holding.mime),
        replayable=is_framed(holding.mime) and site.replay is not None and installed(),
    )


def _facts(
    holding: Holding,
    pictures: tuple[PictureKind, ...],
    count: int,
    near: tuple[Sighting, ...],
) -> CaptureFacts:
    return CaptureFacts(
        id=holding.id,
        url=holding.url,
        title=holding.title,
        language=holding.language,
        captured_at=holding.captured_at,
        source=holding.source,
        source_name=holding.source_name,
        campaign=holding.campaign,
        job_id=holding.job_id,
        status_code=holding.status_code,
        mime=holding.mime,
        payload_digest=holding.payload_digest,
        payload_bytes=holding.payload_bytes,
        truncated=holding.truncated,
        record_type=holding.record_type,
        segment=holding.segment,
        record_offset=holding.record_offset,
        record_length=holding.record_length,
        pictures=pictures,
        capture_count=count,
        others=near,
    )
