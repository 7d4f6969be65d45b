"""Memento (RFC 7089): the TimeGate that leads to a page's capture of a moment, and its TimeMap.

/timegate/URL                        302 to the memento of Accept-Datetime (pattern 2.1)
/timemap/link/URL                    all mementos, as links; /timemap/json/URL the same as JSON
/timemap/link/20260124062801/URL     those from that second on, where one page does not hold all
/timemap/cdxj/URL                    all captures, as CDXJ lines
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection
from starlette.responses import JSONResponse, RedirectResponse, Response

from healtharchive.model.holdings import nearest_holding
from healtharchive.model.mementos import Memento, around, last_memento, memento_at, mementos_from
from healtharchive.warc.cdxj import stored_key
from healtharchive.web import cdx
from healtharchive.web.absence import absent
from healtharchive.web.cdx_query import parse
from healtharchive.web.described import ACCEPT_DATETIME, answers_to_all
from healtharchive.web.doorway import timestamp14
from healtharchive.web.moments import moment_of
from healtharchive.web.original import base_of, memento_path, original_url, written
from healtharchive.web.trouble import Missing, Unusable
from healtharchive.web.visit import SiteDep

router = APIRouter(tags=["machines"])
LINK_FORMAT = "application/link-format"
PAGE_MEMENTOS = 1_000
LAST_YEAR = 9998
TROUBLES = answers_to_all(400, 404, 429, 503)
# Described only: the path as it came, with its escapes and its query, has the page's whole URL.
PageUrl = Annotated[str, Path(description="URL of the page, with its query, as it is.")]
FRESH = {"Cache-Control": "no-cache"}
# An HTTP date (RFC 9110 §5.6.7). Python's parser takes almost anything for a date.
HTTP_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT",
    re.ASCII,
)


@router.get(
    "/timegate/{url:path}",
    status_code=302,
    response_class=RedirectResponse,
    responses=TROUBLES,
    openapi_extra=ACCEPT_DATETIME,
)
def timegate(url: PageUrl, request: Request, site: SiteDep) -> Response:
    """Leads to the memento nearest to Accept-Datetime, or to the newest one."""
    url = original_url(request, 2)
    key = stored_key(url)
    wanted = _wanted(request)
    with site.database.read() as connection:
        found = _nearest(connection, key, wanted, url)
        if found is None:
            raise absent(connection, key, url)
        near = around(connection, key, found)
    base = base_of(request)
    named = [
        (found, ""),
        (near.first, "first"),
        (near.prev, "prev"),
        (near.next, "next"),
        (near.last, "last"),
    ]
    links = [
        _link(written(url), "original"),
        _timemap_link(base, url),
        *_named_links(base, [(each, name) for each, name in named if each is not None]),
    ]
    return RedirectResponse(
        base + memento_path(found.url, found.at),
        302,
        headers={"Vary": "accept-datetime", "Link": ", ".join(links), **FRESH},
    )


@router.get("/timemap/cdxj/{url:path}", response_class=Response, responses=TROUBLES)
def timemap_cdxj(url: PageUrl, request: Request, site: SiteDep) -> Response:
    """All captures of a page as CDXJ lines."""
    url = original_url(request, 3)
    with site.database.read() as connection:
        if last_memento(connection, stored_key(url)) is None:
            raise absent(connection, stored_key(url), url)
    return cdx.answer(site, parse([("url", url), ("matchType", "exact")]))


@router.get("/timemap/{form}/{since}/http{url:path}", include_in_schema=False)
def timemap_page(form: str, since: str, request: Request, site: SiteDep) -> Response:
    """The mementos of a page from a second on."""
    moment = moment_of(since) if len(since) == 14 else None
    if moment is None:  # it may be http:/httpbin.org, with one slash lost on the way
        return _timemap(request, site, form, None, original_url(request, 3))
    return _timemap(request, site, form, moment, original_url(request, 4))


@router.get("/timemap/{form}/{url:path}", response_class=Response, responses=TROUBLES)
def timemap(form: str, url: PageUrl, request: Request, site: SiteDep) -> Response:
    """All mementos of a page, oldest first: `form` is link or json."""
    return _timemap(request, site, form, None, original_url(request, 3))


@dataclass(frozen=True, slots=True)
class _Map:
    """One page of a TimeMap; `following` is the first memento of the next page."""

    base: str
    url: str
    since: datetime | None
    mementos: Sequence[Memento]
    following: Memento | None
    first: Memento
    last: Memento

    def address(self, form: str, since: datetime | None) -> str:
        """Where a page of it is; the first one without a moment."""
        part = f"{timestamp14(since)}/" if since else ""
        return f"{self.base}/timemap/{form}/{part}{written(self.url)}"


def _timemap(
    request: Request, site: SiteDep, form: str, since: datetime | None, url: str
) -> Response:
    if form not in ("link", "json"):
        raise Missing("trouble.404.page")
    key = stored_key(url)
    with site.database.read() as connection:
        found = mementos_from(connection, key, since, PAGE_MEMENTOS + 1)
        if not found:
            raise absent(connection, key, url)
        near = around(connection, key, found[0])
    page, rest = found[:PAGE_MEMENTOS], found[PAGE_MEMENTOS:]
    following = rest[0] if rest else None
    shown = _Map(base_of(request), url, since, page, following, near.first, near.last)
    if form == "json":
        return JSONResponse(_as_json(shown), headers=FRESH)
    body = ",\n".join(_as_links(shown)) + "\n"
    return Response(body, media_type=LINK_FORMAT, headers=FRESH)


def _as_links(shown: _Map) -> Iterator[str]:
    yield _link(written(shown.url), "original")
    yield _link(f"{shown.base}/timegate/{written(shown.url)}", "timegate")
    whole = _date(shown.mementos[0].at), _date(shown.mementos[-1].at)
    yield _map_link(shown.address("link", shown.since), "self", *whole)
    if shown.since is not None:
        yield _map_link(shown.address("link", None), "timemap", _date(shown.first.at))
    if shown.following is not None:
        following = shown.following.at
        yield _map_link(shown.address("link", following), "timemap", _date(following))
    named = [(each, "") for each in shown.mementos]
    if shown.mementos[0].at == shown.first.at:
        named.insert(0, (shown.mementos[0], "first"))
    if shown.mementos[-1].at == shown.last.at:
        named.append((shown.mementos[-1], "last"))
    yield from _named_links(shown.base, named)


def _as_json(shown: _Map) -> dict[str, object]:
    """As MemGator writes it, with the next page's address where there is one."""

    def plain(memento: Memento) -> dict[str, str]:
        moment = memento.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"datetime": moment, "uri": shown.base + memento_path(memento.url, memento.at)}

    address = shown.address("json", shown.since)
    facts: dict[str, object] = {
        "original_uri": shown.url,
        "self": address,
        "timegate_uri": f"{shown.base}/timegate/{written(shown.url)}",
        "timemap_uri": {
            "link_format": shown.address("link", None),
            "json_format": shown.address("json", None),
            "cdxj_format": shown.address("cdxj", None),
        },
        "mementos": {
            "list": [plain(each) for each in shown.mementos],
            "first": plain(shown.first),
            "last": plain(shown.last),
        },
    }
    if shown.following is not None:
        facts["next"] = shown.address("json", shown.following.at)
    return facts


def memento_headers(request: Request, url: str, moment: datetime) -> dict[str, str]:
    """What every archived body says of itself: its moment, its original, and the way to others."""
    base = base_of(request)
    at = moment.replace(microsecond=0)
    links = (
        _link(written(url), "original"),
        _link(f"{base}/timegate/{written(url)}", "timegate"),
        _timemap_link(base, url),
        _memento_link(base + memento_path(url, at), "memento", at),
    )
    return {"Memento-Datetime": _date(at), "Link": ", ".join(links)}


def exact_id(connection: Connection, url_key: str, timestamp: str, url: str) -> int | None:
    """The capture that a whole timestamp names, whatever its status; None when none is of it."""
    moment = moment_of(timestamp) if len(timestamp) == 14 else None
    found = memento_at(connection, url_key, moment, url) if moment else None
    return found.id if found else None


def _wanted(request: Request) -> datetime | None:
    given = request.headers.get("accept-datetime")
    if given is None:
        return None
    try:
        if HTTP_DATE.fullmatch(given.strip()):
            found = parsedate_to_datetime(given.strip())
            return found.replace(year=min(found.year, LAST_YEAR))
    except ValueError:
        pass
    raise Unusable("trouble.400.datetime", value=given[:60])


def _nearest(connection: Connection, key: str, wanted: datetime | None, url: str) -> Memento | None:
    """The memento of a moment: of just that second, or the nearest that is no error if any."""
    if wanted is None:
        wanted = datetime.max.replace(tzinfo=UTC)
    elif exact := memento_at(connection, key, wanted, url):
        return exact
    holding = nearest_holding(connection, key, wanted, url)
    if holding is None:
        return None
    return Memento(holding.id, holding.url, holding.captured_at.replace(microsecond=0))


def _named_links(base: str, named: Sequence[tuple[Memento, str]]) -> Iterator[str]:
    """A link for each memento once, with all that it is: `first prev memento`."""
    names: dict[datetime, list[str]] = {}
    known: dict[datetime, Memento] = {}
    for memento, name in named:
        known.setdefault(memento.at, memento)
        names.setdefault(memento.at, []).append(name)
    for at, memento in sorted(known.items()):
        relation = " ".join([*filter(None, names[at]), "memento"])
        yield _memento_link(base + memento_path(memento.url, at), relation, at)


def _memento_link(address: str, relation: str, at: datetime) -> str:
    return f'{_link(address, relation)}; datetime="{_date(at)}"'


def _timemap_link(base: str, url: str) -> str:
    return _map_link(f"{base}/timemap/link/{written(url)}", "timemap")


def _map_link(address: str, relation: str, since: str = "", until: str = "") -> str:
    period = "".join(
        f'; {name}="{value}"' for name, value in (("from", since), ("until", until)) if value
    )
    return f'{_link(address, relation)}; type="{LINK_FORMAT}"{period}'


def _link(address: str, relation: str) -> str:
    return f'<{address}>; rel="{relation}"'


def _date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
