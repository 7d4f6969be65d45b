"""What readers report to the operator: the form, its thanks, and the operator's list.

/en/report?capture=12       the form about a capture; POST to /en/report sends it
/en/report/received/3       thanks, with the number of the report
/en/admin/reports           the list, for who knows `admin_token`; there is none without it
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from healtharchive.model.clock import Clock
from healtharchive.model.journal import this_process
from healtharchive.model.reader_reports import (
    ReaderReport,
    ReportKind,
    Written,
    add_report,
    list_reports,
)
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.settings import Settings
from healtharchive.web import trouble
from healtharchive.web.archived import found_holding
from healtharchive.web.cdx_query import Asked
from healtharchive.web.limits import Allowance, client_of, line_of, networks
from healtharchive.web.original import is_usable
from healtharchive.web.trouble import Missing
from healtharchive.web.visit import Site, SiteDep, Visit, VisitDep

router = APIRouter(include_in_schema=False)
MOST_BYTES = 60_000  # of a form, in which one letter may take nine
MOST_FIELDS = 20
MOST_TEXT = 4_000
MOST_CONTACT = 200
MOST_URL = 2_000
MOST_A_DAY = 1_000  # from all addresses together
DAY_SECONDS = 86_400
TRAP = "website"  # people do not see this field; programs fill it in
# A form under `no-referrer` would be sent with `Origin: null` (Fetch, "append a request Origin").
FORM_HEADERS = {"Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex, nofollow"}
CHALLENGE = {"WWW-Authenticate": 'Basic realm="HealthArchive", charset="UTF-8"'}
NOT_STORED = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


@dataclass(frozen=True, slots=True)
class ReportForm:
    """The form as it is filled in; `wrong` are the sentences about its fields."""

    capture_id: int | None
    url: str
    kind: str = ""
    text: str = ""
    contact: str = ""
    wrong: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The number of a report."""

    id: int


@dataclass(frozen=True, slots=True)
class ReportList:
    """Reports, newest first."""

    reports: tuple[ReaderReport, ...]


class Intake:
    """How many reports are taken: `reports_per_day` from one line, and MOST_A_DAY in all.

    This machine stands for everybody behind a proxy that was not declared, as in `limits`.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        a_day = settings.reports_per_day
        self._clock = clock
        self._proxies = networks(settings.trusted_proxies)
        self._each = Allowance(a_day / DAY_SECONDS, a_day)
        self._all = Allowance(MOST_A_DAY / DAY_SECONDS, MOST_A_DAY)

    def takes(self, request: Request) -> bool:
        """Whether one more is taken. Call it where requests come one after the other."""
        now = self._clock.monotonic()
        client = client_of(request.scope, self._proxies)
        if client is not None and not client.is_loopback and self._each.take(line_of(client), now):
            return False
        return not self._all.take("", now)


@router.get("/{language}/report")
def show(visit: VisitDep, site: SiteDep) -> Response:
    """The form, about the capture that the query names."""
    capture_id = Asked(visit.request.query_params.multi_items()).number("capture", 1, BIGGEST_ID)
    return _answer(visit, ReportForm(capture_id, _url_of(site, capture_id)))


@router.post("/{language}/report")
async def send(visit: VisitDep, site: SiteDep) -> Response:
    """Keep what a reader wrote, and lead to the thanks."""
    request = visit.request
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            return trouble.answer(request, 413, "trouble.413.form", most=MOST_BYTES)
    if not _is_from_here(request, site):
        return trouble.answer(request, 403, "trouble.403.form")
    fields = _fields(bytes(content))
    form, wrong = _filled(visit, fields)
    if not wrong and not request.app.state.intake.takes(request):
        answer = trouble.answer(request, 429, "trouble.429.report")
        answer.headers["Retry-After"] = str(DAY_SECONDS)
        return answer
    return await run_in_threadpool(_take, visit, site, form, wrong)


@router.get("/{language}/report/received/{number}")
def thank(number: int, visit: VisitDep) -> Response:
    """Thanks, and the number to name later."""
    if not 1 <= number <= BIGGEST_ID:
        raise Missing("trouble.404.page")
    return visit.answer("report_received.html", Received(number), number=number)


@router.get("/{language}/admin/reports")
def show_all(visit: VisitDep, site: SiteDep) -> Response:
    """The open reports, or with `all=1` every one, for the operator."""
    token = site.settings.admin_token
    if not token:
        raise Missing("trouble.404.page")
    if not _knows(visit.request.headers.get("authorization", ""), token):
        refused = trouble.answer(visit.request, 401, "trouble.401.admin")
        refused.headers.update({**CHALLENGE, **NOT_STORED})
        return refused
    settled = visit.request.query_params.get("all") == "1"
    with site.database.read() as connection:
        found = ReportList(tuple(list_reports(connection, settled=settled)))
    response = visit.answer(
        "admin_reports.html",
        found,
        settled=settled,
        all_link=visit.link(all="1"),
    )
    response.headers.update(NOT_STORED)
    return response


def _take(visit: Visit, site: Site, form: ReportForm, wrong: dict[str, str]) -> Response:
    url = _url_of(site, form.capture_id) or form.url
    if wrong:
        filled = ReportForm(form.capture_id, url, form.kind, form.text, form.contact, wrong)
        return _answer(visit, filled, status=422)
    written = Written(
        kind=ReportKind(form.kind),
        text=form.text,
        contact=form.contact,
        capture_id=form.capture_id,
        url=url,
    )
    with site.database.begin() as connection:
        number = add_report(site.database, connection, written, this_process())
    return RedirectResponse(f"/{visit.language}/report/received/{number}", 303)


def _answer(visit: Visit, form: ReportForm, status: int = 200) -> Response:
    about = f"?capture={form.capture_id}" if form.capture_id else ""
    response = visit.answer(
        "report.html",
        form,
        status=status,
        form=form,
        wrong=form.wrong or {},
        kinds=[(kind, visit.say(f"report.kind.{kind}")) for kind in ReportKind],
        most_text=MOST_TEXT,
        most_contact=MOST_CONTACT,
        most_url=MOST_URL,
        trap=TRAP,
        switch_path=f"/{visit.language.other}/report" + about,
        json_path="",
    )
    response.headers.update(FORM_HEADERS)
    return response


def _url_of(site: Site, capture_id: int | None) -> str:
    """The URL of a capture; Missing and Suppressed as everywhere."""
    if capture_id is None:
        return ""
    with site.database.read() as connection:
        return found_holding(connection, capture_id).url


def _fields(content: bytes) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded); none when it is another thing."""
    try:
        return dict(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _filled(visit: Visit, fields: Mapping[str, str]) -> tuple[ReportForm, dict[str, str]]:
    """The form that the fields make, and what is wrong with it."""
    capture = fields.get("capture", "")
    known = capture.isascii() and capture.isdigit() and 0 < int(capture[:20]) <= BIGGEST_ID
    form = ReportForm(
        int(capture[:20]) if known else None,
        _clean(fields.get("url", "")),
        fields.get("kind", ""),
        _clean(fields.get("text", "")),
        _clean(fields.get("contact", "")),
    )
    wrong: dict[str, str] = {}
    if form.kind not in list(ReportKind):
        wrong["kind"] = visit.say("report.wrong.kind")
    if not 0 < len(form.text) <= MOST_TEXT:
        wrong["text"] = visit.say("report.wrong.text", most=MOST_TEXT)
    if len(form.contact) > MOST_CONTACT or "\n" in form.contact:
        wrong["contact"] = visit.say("report.wrong.contact", most=MOST_CONTACT)
    if form.url and (len(form.url) > MOST_URL or not is_usable(form.url)):
        wrong["url"] = visit.say("report.wrong.url", most=MOST_URL)
    if fields.get(TRAP):
        wrong[TRAP] = visit.say("report.empty")
    return form, wrong


def _clean(text: str) -> str:
    """The text with its lines, but without what cannot be printed or stored."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs()
    return "".join(c for c in lines if c.isprintable() or c == "\n").strip()


def _is_from_here(request: Request, site: Site) -> bool:
    """Whether a form of our own pages was sent; a program that is no browser may send it, too."""
    where = request.headers.get("sec-fetch-site")
    if where is not None:
        return where == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return True
    own = {request.headers.get("host"), urlsplit(site.settings.public_url).netloc}
    return origin.partition("://")[2] in own


def _knows(authorization: str, token: str) -> bool:
    """Whether HTTP Basic credentials (RFC 7617) have the token as their password."""
    scheme, _, given = authorization.partition(" ")
    try:
        _, _, password = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, token.encode())
