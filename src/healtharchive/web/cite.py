"""The page that says how a capture is cited and how it is proved, and the citations as files.

/en/cite/12        every style, the permanent address, the chain from the record to the manifest
/cite/12.bib       BibTeX;  /cite/12.ris  RIS
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from healtharchive.model.holdings import Holding, segment_named
from healtharchive.web.archived import found_holding
from healtharchive.web.citing import Cited, citations
from healtharchive.web.doorway import timestamp14
from healtharchive.web.replay_place import site_origin
from healtharchive.web.visit import SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
FILES = {
    "bib": ("bibtex", "application/x-bibtex"),
    "ris": ("ris", "application/x-research-info-systems"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A capture cited in every style, and what proves it.

    `payload_digest` is the archived body's, `segment_sha256` the whole WARC file's, which its job's
    sealed manifest lists with its size: whoever has the three can check each against the next.
    """

    id: int
    url: str
    title: str | None
    captured_at: datetime
    permanent_url: str
    styles: Mapping[str, str]
    payload_digest: str | None
    segment: str
    segment_sha256: str
    segment_bytes: int
    record_offset: int
    record_length: int
    record_url: str
    job_id: int


@router.get("/{language}/cite/{capture_id}")
def show(capture_id: int, visit: VisitDep, site: SiteDep) -> Response:
    """How this capture is cited, and how anybody can prove it."""
    with site.database.read() as connection:
        holding = found_holding(connection, capture_id)
        segment = segment_named(connection, holding.segment)
    cited = _cited(visit, holding)
    facts = Citation(
        id=holding.id,
        url=holding.url,
        title=holding.title,
        captured_at=holding.captured_at,
        permanent_url=cited.permanent_url,
        styles=citations(cited),
        payload_digest=holding.payload_digest,
        segment=segment.name,
        segment_sha256=segment.sha256,
        segment_bytes=segment.size_bytes,
        record_offset=holding.record_offset,
        record_length=holding.record_length,
        record_url=f"/warc/{holding.id}",
        job_id=holding.job_id,
    )
    return visit.answer("cite.html", facts, citation=facts)


@router.get("/cite/{capture_id}.bib")
def bibtex(capture_id: int, visit: VisitDep) -> Response:
    """The citation as a BibTeX file."""
    return _file(capture_id, visit, "bib")


@router.get("/cite/{capture_id}.ris")
def ris(capture_id: int, visit: VisitDep) -> Response:
    """The citation as a RIS file."""
    return _file(capture_id, visit, "ris")


def _file(capture_id: int, visit: Visit, suffix: str) -> Response:
    with visit.site.database.read() as connection:
        holding = found_holding(connection, capture_id)
    style, media_type = FILES[suffix]
    name = f"capture-{capture_id}.{suffix}"
    return Response(
        citations(_cited(visit, holding))[style],
        media_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _cited(visit: Visit, holding: Holding) -> Cited:
    origin = site_origin(visit.request.url, visit.site.settings.public_url, visit.site.port)
    # Percent signs and all: the address is the original's own, behind the moment.
    permanent = f"{origin}/{visit.language}/at/{timestamp14(holding.captured_at)}/{holding.url}"
    return Cited(
        author=holding.source_name,
        title=holding.title or holding.url,
        url=holding.url,
        permanent_url=permanent,
        captured_at=holding.captured_at,
        read_on=visit.site.clock.now().date(),
        language=visit.language,
    )
