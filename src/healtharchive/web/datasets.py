"""What can be taken away: data sets, WACZ files, and the addresses for programs.

/en/data, /api/data                 all of it, with sizes, checksums and data dictionaries
/data/NAME/FILE                     one file of a data set, with ranges
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from healtharchive.model.datasets import JobFiles, files_by_job, is_withdrawn
from healtharchive.search.dataset.shelf import Offered, OpenFile, dataset_in, datasets_in, open_file
from healtharchive.web.ranges import Unsatisfiable, names, wanted
from healtharchive.web.trouble import Missing
from healtharchive.web.validators import validators
from healtharchive.web.visit import Site, SiteDep, VisitDep
from healtharchive.web.wacz import SHARED

router = APIRouter(include_in_schema=False)
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WaczFile:
    """The WACZ file of a job, a source or a campaign: `size_bytes` of WARC files are in it."""

    kind: str
    name: str
    title: str
    address: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DataFacts:
    """All that can be taken away as files: the newest data sets and jobs first."""

    datasets: tuple[Offered, ...]
    campaigns: tuple[WaczFile, ...]
    sources: tuple[WaczFile, ...]
    jobs: tuple[WaczFile, ...]


@router.get("/{language}/data")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """What can be taken away, and what it means."""
    offered = datasets_in(site.settings.datasets_dir)
    with site.database.read() as connection:
        jobs = files_by_job(connection)
        shown = [
            each for each in offered if not is_withdrawn(connection, each.collection, each.created)
        ]
    facts = DataFacts(
        tuple(shown),
        _campaigns(jobs),
        _sources(jobs),
        tuple(_job(each) for each in jobs),
    )
    return visit.answer("data.html", facts)


@router.get("/data/{name}/{file_name}")
def download(name: str, file_name: str, request: Request, site: SiteDep) -> Response:
    """One file of a data set, or a range of it; its ETag is its SHA-256."""
    found = _found(site, name, file_name)
    etag = f'"{found.sha256}"'
    headers = {
        **SHARED,
        **validators(etag, datetime.fromtimestamp(found.modified_seconds, UTC)),
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name)}",
    }
    if names(request.headers.get("if-none-match"), etag):
        found.stream.close()
        return Response(status_code=304, headers=headers)
    size = found.size_bytes
    asked = request.headers.get("range"), request.headers.get("if-range")
    try:
        stretch = wanted(*asked, etag, size)
    except Unsatisfiable:
        found.stream.close()
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    if stretch is None:
        return _stream(found, 0, size, 200, headers)
    headers["Content-Range"] = f"bytes {stretch.start}-{stretch.stop - 1}/{size}"
    return _stream(found, stretch.start, stretch.stop, 206, headers)


def _found(site: Site, name: str, file_name: str) -> OpenFile:
    data = dataset_in(site.settings.datasets_dir, name)
    if data is not None:
        with site.database.read() as connection:
            if is_withdrawn(connection, data.collection, data.created):
                raise Missing("trouble.404.data.withdrawn", name=name)
    found = open_file(site.settings.datasets_dir, data, file_name) if data else None
    if found is None:
        raise Missing("trouble.404.data", name=f"{name}/{file_name}")
    return found


def _stream(
    found: OpenFile, start: int, stop: int, status: int, headers: dict[str, str]
) -> Response:
    headers["Content-Length"] = str(stop - start)
    headers["Content-Type"] = found.media_type
    return StreamingResponse(_pieces(found.stream, start, stop), status, headers)


def _pieces(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        left = stop - start
        while left:
            piece = stream.read(min(left, PIECE_BYTES))
            if not piece:
                raise EOFError("a data set's file has become shorter")
            left -= len(piece)
            yield piece


def _campaigns(jobs: list[JobFiles]) -> tuple[WaczFile, ...]:
    named = sorted((each for each in jobs if each.campaign), key=lambda each: each.campaign or "")
    return tuple(
        _wacz("campaign", name or "", name or "", list(group))
        for name, group in groupby(named, lambda each: each.campaign)
    )


def _sources(jobs: list[JobFiles]) -> tuple[WaczFile, ...]:
    named = sorted(jobs, key=lambda each: each.source)
    return tuple(
        _wacz("source", code, group[0].source_name, group)
        for code, group in ((c, list(g)) for c, g in groupby(named, lambda each: each.source))
    )


def _job(job: JobFiles) -> WaczFile:
    of = f", {job.campaign}" if job.campaign else ""
    return _wacz("job", str(job.job_id), f"{job.source_name}{of}", [job])


def _wacz(kind: str, name: str, title: str, jobs: list[JobFiles]) -> WaczFile:
    return WaczFile(
        kind,
        name,
        title,
        f"/api/wacz/{kind}/{quote(name, safe='')}.wacz",
        sum(each.files for each in jobs),
        sum(each.size_bytes for each in jobs),
    )
