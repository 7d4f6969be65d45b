"""Coming in and going out: /en/operations/login takes a token, a session cookie is given for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from healtharchive.model.tokens import Scope
from healtharchive.web.language import Language
from healtharchive.web.operations_admission import COOKIE, SESSION_SECONDS, Refused, Way, way_of
from healtharchive.web.operations_entry import (
    SentDep,
    admission_of,
    form_fields,
    require_own_page,
)
from healtharchive.web.visit import Visit, VisitDep

router = APIRouter(include_in_schema=False)
LONGEST_SECRET = 500


@dataclass(frozen=True, slots=True)
class Login:
    """The form: where it leads, and what was wrong with what it sent."""

    to: str
    wrong: str = ""


@router.get("/{language}/")
@router.get("/{language}")
@router.get("/operations")  # before what would take the word for a language
@router.get("/")
def lead(visit: VisitDep) -> Response:
    """To the overview, in the language that is asked for."""
    return RedirectResponse(f"/{visit.language}/operations", 307)


@router.get("/{language}/operations/login")
def show(visit: VisitDep) -> Response:
    """The form."""
    return _form(visit, Login(_back(visit, visit.request.query_params.get("to", ""))))


@router.post("/{language}/operations/login")
def enter(
    visit: VisitDep, request: Request, fields: Annotated[dict[str, str], Depends(form_fields)]
) -> Response:
    """A session for a token; the form once more, with the reason, for what is none."""
    require_own_page(request)
    admission = admission_of(request)
    to = _back(visit, fields.get("to", ""))
    secret = fields.get("token", "").strip()[:LONGEST_SECRET]
    try:
        visitor = admission.by_secret(secret, request)
        if not visitor.may(Scope.READ):
            raise Refused(403, "trouble.403.scope", name=visitor.name, scope=Scope.READ)
    except Refused as error:
        wrong = visit.say(error.key, **error.values)
        return _form(visit, Login(to, wrong), error.status, error.values.get("seconds"))
    response = RedirectResponse(to, 303)
    response.set_cookie(
        COOKIE,
        admission.begin(visitor),
        max_age=SESSION_SECONDS,
        path="/",
        secure=way_of(request.scope, admission.proxies) is Way.SECURE,
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/{language}/operations/logout")
def leave(visit: VisitDep, sent: SentDep) -> Response:
    """The end of the session, here and in the browser."""
    admission_of(visit.request).end(sent.visitor)
    response = RedirectResponse(f"/{visit.language}/operations/login", 303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _form(visit: Visit, login: Login, status: int = 200, wait: object = None) -> Response:
    response = visit.answer("login.html", login, status=status, login=login)
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    return response


def _back(visit: Visit, to: str) -> str:
    """Where somebody wanted to go: a page of ours, or the overview."""
    ours = tuple(f"/{each}/operations" for each in Language)
    plain = to.isprintable() and "\\" not in to and len(to) < 2000
    if plain and to.startswith(ours):
        return to
    return f"/{visit.language}/operations"
