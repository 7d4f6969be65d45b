"""What every route of the operations listener asks first: who is it, and is it meant.

Pages take a session; the API takes a bearer token (RFC 6750) and never a cookie, so that no other
site can have a browser send one. A form is taken from our own pages only: its browser says so, and
it carries the word of its session.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from healtharchive.model.tokens import Scope
from healtharchive.web import trouble
from healtharchive.web.operations_admission import COOKIE, Admission, LoginFirst, Refused, Visitor
from healtharchive.web.visit import Visit

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

MOST_FIELDS = 20
FORM_TOKEN = "form_token"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="HealthArchive"'}


def admission_of(request: Request) -> Admission:
    """The doorkeeper of the application that a request came to."""
    admission: Admission = request.app.state.admission
    return admission


@dataclass(frozen=True, slots=True)
class Sent:
    """A form of ours that was sent, and by whom."""

    visitor: Visitor
    fields: Mapping[str, str]

    def require(self, scope: Scope) -> None:
        """Refused when the sender's token is not good for this."""
        _require(self.visitor, scope)


def require_open(request: Request) -> None:
    """Refused when there is no token that could let anybody in."""
    admission_of(request).require_open()


def page_visitor(request: Request) -> Visitor:
    """Who looks at a page; LoginFirst for a stranger."""
    visitor = admission_of(request).by_session(request.cookies.get(COOKIE, ""))
    if visitor is None:
        raise LoginFirst("This page is for who has logged in.")
    _require(visitor, Scope.READ)
    return visitor


class ApiRoute(APIRoute):
    """An address of the API that knows who asks before it reads anything that they sent."""

    def get_route_handler(self) -> Handler:
        """As FastAPI's own, which would read a body first and complain of it to a stranger."""
        handle = super().get_route_handler()

        async def ask_first(request: Request) -> Response:
            await run_in_threadpool(_let_in, request)
            return await handle(request)

        return ask_first


def _let_in(request: Request) -> None:
    require_open(request)
    request.state.visitor = _by_bearer(request)


def api_visitor(request: Request) -> Visitor:
    """Who asks the API, as its route has found out."""
    visitor: Visitor = request.state.visitor
    return visitor


def _by_bearer(request: Request) -> Visitor:
    """Who comes with this token; Refused for who says nothing, or what is no token."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Refused(401, "trouble.401.bearer")
    return admission_of(request).by_secret(secret.strip(), request)


def api_with(scope: Scope) -> Callable[[Visitor], Visitor]:
    """Who asks the API with a token that is good for this."""

    def allowed(visitor: ApiVisitor) -> Visitor:
        _require(visitor, scope)
        return visitor

    return allowed


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded); none when it is another thing."""
    content = await request.body()
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return dict(pairs)


def sent_form(request: Request, fields: Annotated[dict[str, str], Depends(form_fields)]) -> Sent:
    """A form of a session's own page; Refused for any other."""
    require_own_page(request)
    admission = admission_of(request)
    visitor = admission.by_session(request.cookies.get(COOKIE, ""))
    if visitor is None:
        raise LoginFirst("This form is for who has logged in.")
    given = fields.get(FORM_TOKEN, "").encode()
    if not hmac.compare_digest(given, admission.form_token(visitor).encode()):
        raise Refused(403, "trouble.403.operations")
    return Sent(visitor, fields)


def require_own_page(request: Request) -> None:
    """Refused when a browser does not say that this listener's own page sent the form."""
    where = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "")
    here = request.headers.get("host")
    ours = origin.partition("://")[2] == here if where is None else where == "same-origin"
    if not ours:
        raise Refused(403, "trouble.403.operations")


def refused(request: Request, error: Exception) -> Response:
    """The answer to who is not let in."""
    assert isinstance(error, Refused)
    answer = trouble.answer(request, error.status, error.key, **error.values)
    if error.status == 401:
        answer.headers.update(CHALLENGE)
    if error.status == 429:
        answer.headers["Retry-After"] = str(error.values["seconds"])
    return answer


def to_login(request: Request, _: Exception) -> Response:
    """Leads a person to the form; tells a program that there is one."""
    visit = Visit(request)
    if visit.wants_json:
        return refused(request, Refused(401, "trouble.401.token"))
    back = visit.link() if request.method == "GET" else ""
    where = f"?{urlencode({'to': back})}" if back else ""
    return RedirectResponse(f"/{visit.language}/operations/login{where}", 303)


def _require(visitor: Visitor, scope: Scope) -> None:
    if not visitor.may(scope):
        raise Refused(403, "trouble.403.scope", name=visitor.name, scope=scope)


PageVisitor = Annotated[Visitor, Depends(page_visitor)]
ApiVisitor = Annotated[Visitor, Depends(api_visitor)]
SentDep = Annotated[Sent, Depends(sent_form)]
