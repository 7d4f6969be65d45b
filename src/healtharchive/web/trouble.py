"""What goes wrong, said in one sentence in the reader's language: 404, 451, 500, 503 and more."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from healtharchive.model.errors import BadInput, DatabaseUnavailable, NotFound, SchemaMissing
from healtharchive.model.withheld import Suppressed
from healtharchive.web.comparers import LiveUnavailable
from healtharchive.web.finding import IndexUnavailable
from healtharchive.web.headers import ARCHIVED_HEADERS, PAGE_HEADERS
from healtharchive.web.preparing import BeingPrepared, BeingRepaired
from healtharchive.web.reading import StorageUnavailable
from healtharchive.web.turns import Busy
from healtharchive.web.visit import Visit

RETRY_AFTER_SECONDS = 60
NOTHING = "trouble.404.page"
SOON_SECONDS = 5  # until something is prepared, or its turn comes
log = logging.getLogger(__name__)


class Missing(NotFound):
    """Something asked for that is not there; `key` and `values` name its sentence."""

    def __init__(self, key: str, /, *, live_url: str = "", **values: object) -> None:
        super().__init__(f"{key} {values}")
        self.key = key
        self.values = values
        self.live_url = live_url


class Unusable(BadInput):
    """A parameter or header that cannot be used; `key` and `values` name its sentence."""

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(f"{key} {values}")
        self.key = key
        self.values = values


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failed request, as the page or the JSON answer shows it."""

    status: int
    sentence: str
    live_url: str = field(default="")


def install(app: FastAPI) -> None:
    """Give the app a clear answer to everything that can go wrong."""
    app.add_exception_handler(Missing, _missing)
    app.add_exception_handler(Suppressed, _not_shown)
    app.add_exception_handler(Unusable, _not_usable)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _unusable)
    for kind in (DatabaseUnavailable, SchemaMissing, DBAPIError, PoolTimeout):
        app.add_exception_handler(kind, _no_database)
    app.add_exception_handler(DataError, _no_such_value)
    app.add_exception_handler(StorageUnavailable, _no_storage)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(BeingRepaired, _in_repair)
    app.add_exception_handler(BeingPrepared, _in_preparation)
    app.add_exception_handler(IndexUnavailable, _no_index)
    app.add_exception_handler(LiveUnavailable, _no_live)
    app.add_exception_handler(Exception, _bug)


def answer(request: Request, status: int, key: str, **values: object) -> Response:
    """The page of one trouble, whose sentence is the text `key`."""
    visit = Visit(request)
    return _page(visit, Trouble(status, visit.say(key, **values)))


def _page(visit: Visit, trouble: Trouble) -> Response:
    response = visit.answer("trouble.html", trouble, status=trouble.status, trouble=trouble)
    if visit.is_body:
        response.headers.update(ARCHIVED_HEADERS)
    if trouble.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, Missing)
    visit = Visit(request)
    return _page(visit, Trouble(404, visit.say(error.key, **error.values), error.live_url))


def _not_shown(request: Request, _: Exception) -> Response:
    """451 (RFC 7725): why is the operator's business, that it is so is the reader's."""
    response = answer(request, 451, "trouble.451.capture")
    site = Visit(request).site
    here = site.settings.public_url or str(request.base_url)
    response.headers["Link"] = f'<{here.rstrip("/")}/>; rel="blocked-by"'
    return response


def _not_usable(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unusable)
    return answer(request, 400, error.key, **error.values)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in (404, 405) else 404
    response = answer(request, status, f"trouble.{status}.page")
    response.headers.update(error.headers or {})
    return response


def _unusable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    for place in (each["loc"] for each in error.errors()):
        if place[0] == "query":
            return answer(request, 400, "trouble.400.value", name=place[-1])
    # Only addresses are typed; a form's fields are checked by `form` and answered on its own page.
    return answer(request, 404, "trouble.404.page")


def _no_database(request: Request, error: Exception) -> Response:
    return _unavailable(request, error, "database")


def _no_such_value(request: Request, error: Exception) -> Response:
    """The database is well: what was asked for, or sent, is nothing that it could hold."""
    status, key = (400, "trouble.400.text") if request.method == "POST" else (404, NOTHING)
    what = request.url.path, status, str(error).partition("\n")[0]
    log.warning("%r answered %s: %s", *what)
    return answer(request, status, key)


def _no_storage(request: Request, error: Exception) -> Response:
    return _unavailable(request, error, "storage")


def _in_repair(request: Request, error: Exception) -> Response:
    return _unavailable(request, error, "repair")


def _in_preparation(request: Request, error: Exception) -> Response:
    response = answer(request, 503, "trouble.503.prepare")
    response.headers["Retry-After"] = str(SOON_SECONDS)
    return response


def _busy(request: Request, error: Exception) -> Response:
    response = _unavailable(request, error, "busy")
    response.headers["Retry-After"] = str(SOON_SECONDS)
    return response


def _no_index(request: Request, error: Exception) -> Response:
    return _unavailable(request, error, "index")


def _no_live(request: Request, error: Exception) -> Response:
    assert isinstance(error, LiveUnavailable)
    return _unavailable(request, error, error.key)


def _unavailable(request: Request, error: Exception, what: str) -> Response:
    # The cause is the operator's: it names files and addresses.
    log.warning("%s answered 503: %s", request.url.path, str(error).partition("\n")[0])
    return answer(request, 503, f"trouble.503.{what}")


def _bug(request: Request, error: Exception) -> Response:
    # Starlette answers this one outside all layers, and raises it again for the server's log.
    response = answer(request, 500, "trouble.500.page")
    response.headers.update(PAGE_HEADERS)
    return response
