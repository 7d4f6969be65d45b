"""The operations pages and the admin API: an application and a listener of their own.

The public listener has none of these addresses, whatever is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastapi import Depends, FastAPI
from fastapi import Request as WebRequest
from fastapi.exceptions import RequestValidationError
from jinja2 import ChoiceLoader, Environment, PackageLoader
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healtharchive.model.errors import BadInput, NotFound
from healtharchive.web import (
    admin_api,
    operations_campaign,
    operations_jobs,
    operations_journal,
    operations_login,
    operations_overview,
    operations_reports,
    operations_storage,
    operations_stream,
    static_place,
    trouble,
)
from healtharchive.web.headers import HeadAsGet, SafeHeaders
from healtharchive.web.limits import Allowance, Limited
from healtharchive.web.operations_admission import Admission, LoginFirst, Private, Refused
from healtharchive.web.operations_board import Board
from healtharchive.web.operations_desk import Desk, never
from healtharchive.web.operations_entry import refused, require_open, to_login
from healtharchive.web.operations_log import Logs
from healtharchive.web.trouble import Trouble
from healtharchive.web.visit import Site, Visit

# A form under `no-referrer` would be sent with `Origin: null`.
KEPT_CLOSE = {
    b"cache-control": b"no-store",
    b"referrer-policy": b"same-origin",
    b"x-robots-tag": b"noindex, nofollow",
}


def create_operations_app(site: Site, is_stopping: Callable[[], bool] = never) -> FastAPI:
    """The operations listener's application over this site; its streams end when it is stopping."""
    settings = site.settings
    app = FastAPI(
        title="HealthArchive operations",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(require_open)],
    )
    app.state.site = replace(site, templates=_templates(site.templates))
    app.state.admission = admission = Admission(settings, site.database, site.clock)
    app.state.desk = Desk(
        site.database,
        Board(settings, site.database, site.clock),
        Logs(settings, site.clock),
        is_stopping,
    )
    app.mount("/static", StaticFiles(directory=static_place.STATIC), name="static")
    for page in (
        operations_login,
        operations_stream,
        operations_overview,
        operations_jobs,
        operations_campaign,
        operations_storage,
        operations_journal,
        operations_reports,
    ):
        app.include_router(page.router)
    admin_api.install(app)
    trouble.install(app)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(LoginFirst, to_login)
    app.add_exception_handler(NotFound, _not_there)
    app.add_exception_handler(BadInput, _not_so)
    app.add_exception_handler(RequestValidationError, _unusable)
    app.add_exception_handler(400, _unreadable)
    app.add_middleware(
        Limited,
        allowance=Allowance(settings.requests_per_second, settings.requests_burst),
        proxies=admission.proxies,
        clock=site.clock,
    )
    app.add_middleware(Private, proxies=admission.proxies)
    app.add_middleware(KeptClose)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    return app


class KeptClose:
    """Has no answer but the style sheet and the like stored by anybody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return

        async def send_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message["headers"] if each[0].lower() not in KEPT_CLOSE]
                message["headers"] = [*others, *KEPT_CLOSE.items()]
            await send(message)

        await self._app(scope, receive, send_close)


def _templates(public: Environment) -> Environment:
    """The site's templates, with the frame of these pages around them."""
    ours = PackageLoader("healtharchive.web", "templates/operations")
    assert public.loader is not None
    return public.overlay(loader=ChoiceLoader([ours, public.loader]))


def _not_there(request: WebRequest, error: Exception) -> Response:
    return _said(request, 404, error)


def _not_so(request: WebRequest, error: Exception) -> Response:
    return _said(request, 409, error)


def _unusable(request: WebRequest, error: Exception) -> Response:
    """What FastAPI found wrong: with an order's body in words, with an address as everywhere."""
    assert isinstance(error, RequestValidationError)
    for each in error.errors():
        if each["loc"][0] == "body":
            where = ".".join(str(part) for part in each["loc"])
            return _said(request, 422, f"{where}: {each['msg']}.")
        if each["loc"][0] == "query":
            return trouble.answer(request, 400, "trouble.400.value", name=each["loc"][-1])
    return trouble.answer(request, 404, "trouble.404.page")


def _unreadable(request: WebRequest, _: Exception) -> Response:
    """A body that FastAPI could make nothing of: no text, or one that nobody could parse."""
    return _said(request, 422, "body: it is no JSON in UTF-8.")


def _said(request: WebRequest, status: int, sentence: object) -> Response:
    """The sentence and the cure that the command line would print."""
    visit = Visit(request)
    found = Trouble(status, str(sentence))
    return visit.answer("trouble.html", found, status=status, trouble=found)
