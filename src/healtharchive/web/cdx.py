"""The CDX server: the archive's index of captures, for replay tools and for people's programs.

Nothing of an answer is kept: it is read from the database portion by portion as it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from healtharchive.model.cdx import Line, Place, Span, count_lines, line_at, lines
from healtharchive.web.cdx_lines import Fields, fields_of, in_cdxj, in_json, in_text
from healtharchive.web.cdx_query import CdxQuery, parse, resume_key
from healtharchive.web.described import CDX, answers
from healtharchive.web.moments import SECOND
from healtharchive.web.visit import Site, SiteDep

router = APIRouter(tags=["machines"])
FIRST_PORTION = 100
LARGEST_PORTION = 2_000
WRITERS: dict[str, tuple[str, Callable[[Fields, Sequence[str]], str]]] = {
    "cdxj": ("text/x-cdxj; charset=utf-8", in_cdxj),
    "json": ("text/x-ndjson; charset=utf-8", in_json),
    "text": ("text/plain; charset=utf-8", in_text),
}


@router.get("/api/cdx", response_class=Response, responses=answers(400), openapi_extra=CDX)
def show(request: Request, site: SiteDep) -> Response:
    """The captures of a URL, a prefix, a host or a domain, as lines of an index."""
    query = parse(request.query_params.multi_items())
    return _pages(site, query) if query.show_pages else answer(site, query)


def answer(site: Site, query: CdxQuery) -> Response:
    """The lines that are asked for. The database's trouble is raised before the first is sent."""
    portions = _Sieve(query, site).portions()
    first = next(portions, b"")
    headers = {"Content-Type": WRITERS[query.output][0], "Cache-Control": "no-cache"}
    return StreamingResponse(chain([first], portions), headers=headers)


def _pages(site: Site, query: CdxQuery) -> Response:
    with site.database.read() as connection:
        count = count_lines(connection, query.span)
    pages = -(-count // query.page_size)
    headers = {"Cache-Control": "no-cache"}
    if query.output != "json":
        return PlainTextResponse(f"{pages}\n", headers=headers)
    told = json.dumps({"pages": pages, "pageSize": query.page_size, "blocks": count})
    return Response(f"{told}\n", headers={**headers, "Content-Type": WRITERS["json"][0]})


class _Sieve:
    """What stays of the lines that are read, and how far the reading has come."""

    def __init__(self, query: CdxQuery, site: Site) -> None:
        self.query = query
        self.site = site
        self.token: tuple[str, ...] | None = None
        if query.collapse is not None and query.resume is not None:
            with site.database.read() as connection:
                before = line_at(connection, query.resume)
            self.token = query.collapse.token(fields_of(before)) if before else None

    def portions(self) -> Iterator[bytes]:
        """The answer in pieces, an empty one where a whole portion was sifted out."""
        write = WRITERS[self.query.output][1]
        left = self.query.limit
        last: list[str] = []
        for portion in self._read():
            kept = list(islice(self._sift(portion), left))
            written = [write(fields, self.query.fields) + "\n" for _, fields in kept]
            left -= len(kept)
            if self.query.last:
                last += written
                written = []
            yield "".join(written).encode()
            if not left:
                if self.query.show_resume_key:
                    yield self._resume_line(kept[-1][0].place)
                break
        yield "".join(reversed(last)).encode()

    def _sift(self, portion: Iterable[Line]) -> Iterator[tuple[Line, Fields]]:
        for line in portion:
            fields = fields_of(line)
            if not all(each.accepts(fields) for each in self.query.filters):
                continue
            if self.query.collapse is not None:
                before, self.token = self.token, self.query.collapse.token(fields)
                if before == self.token:
                    continue
            yield line, fields

    def _resume_line(self, place: Place) -> bytes:
        key = resume_key(place)
        if self.query.output == "json":
            return (json.dumps({"resumeKey": key}) + "\n").encode()
        return f"\n{key}\n".encode()

    def _read(self) -> Iterator[list[Line]]:
        query = self.query
        if query.closest is not None:
            yield from self._nearest_first(query.span, query.closest)
        elif query.page is not None:
            yield from self._page(query.page)
        else:
            backwards = query.sort == "reverse" or query.last
            yield from self._walk(query.span, query.resume, backwards=backwards)

    def _walk(
        self, span: Span, after: Place | None = None, *, backwards: bool = False
    ) -> Iterator[list[Line]]:
        plain = not self.query.filters and not self.query.collapse
        size = min(self.query.limit if plain else FIRST_PORTION, LARGEST_PORTION)
        while True:
            with self.site.database.read() as connection:
                found = lines(connection, span, size, after=after, backwards=backwards)
            yield found
            if len(found) < size:
                return
            after = found[-1].place
            size = min(4 * size, LARGEST_PORTION)

    def _page(self, number: int) -> Iterator[list[Line]]:
        """The page's lines as the index has them; filters take theirs out of these."""
        size = self.query.page_size
        with self.site.database.read() as connection:
            yield lines(
                connection,
                self.query.span,
                size,
                backwards=self.query.sort == "reverse",
                skip=number * size,
            )

    def _nearest_first(self, span: Span, moment: datetime) -> Iterator[list[Line]]:
        """From the moment on in both directions, the nearer second first, the earlier of two."""
        split = moment.replace(microsecond=0) + SECOND
        before = min(split, span.before) if span.before else split
        since = max(split, span.since) if span.since else split
        earlier = chain.from_iterable(self._walk(replace(span, before=before), backwards=True))
        later = chain.from_iterable(self._walk(replace(span, since=since)))
        one, other = next(earlier, None), next(later, None)
        portion: list[Line] = []
        while one or other:
            if other is None or (one is not None and _gap(one, moment) <= _gap(other, moment)):
                assert one is not None
                portion.append(one)
                one = next(earlier, None)
            else:
                portion.append(other)
                other = next(later, None)
            if len(portion) == FIRST_PORTION:
                yield portion
                portion = []
        yield portion


def _gap(line: Line, moment: datetime) -> float:
    return abs((line.captured_at.replace(microsecond=0) - moment).total_seconds())
