"""One visit to the site: who asks, in which language, and how the answer is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from jinja2 import Environment
from starlette.responses import HTMLResponse, JSONResponse, Response

from healtharchive.model.clock import Clock
from healtharchive.model.database import Database
from healtharchive.model.wire import to_plain
from healtharchive.search.compare.texts import Frames
from healtharchive.settings import Settings
from healtharchive.web import language as words
from healtharchive.web.comparers import Comparers
from healtharchive.web.language import Language
from healtharchive.web.outgoing import Outgoing
from healtharchive.web.preparing import Preparing
from healtharchive.web.reading import Readers
from healtharchive.web.replay_place import ReplayPlace

PLACES = {"campaign": "campaigns", "job": "jobs"}
# Addresses of archived bodies, which are shown in a frame or as a picture.
BODIES = ("/raw/", "/at/", "/thumbnail/", "/screenshot/")
# What may not stand in a page (HTML §13.2.3.5), whatever was captured or asked for.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
IN_PATHS = "/:@!$&'()*+,;=~"  # beside letters and digits (RFC 3986 §3.3)


@dataclass(frozen=True)
class Site:
    """What every page works with. One a process, made by `create_app`."""

    settings: Settings
    database: Database
    clock: Clock
    readers: Readers
    templates: Environment
    stylesheet: str  # its address, which changes with its content
    port: int = 0  # that the pages are served on
    preparing: Preparing = field(default_factory=Preparing)
    comparers: Comparers = field(default_factory=Comparers)
    frames: Frames = field(default_factory=Frames)
    outgoing: Outgoing = field(default_factory=Outgoing)
    replay: ReplayPlace | None = None  # None: nobody serves archived pages' own origin


class Visit:
    """One request, its language, and how to answer it."""

    def __init__(self, request: Request, language: Language | None = None) -> None:
        self.request = request
        self.site: Site = request.app.state.site
        first = request.url.path.split("/")[1]
        named = Language(first) if first in Language.__members__.values() else None
        self.language = language or named or _asked_for(request)
        self._path_names_language = named is not None

    @cached_property
    def wants_json(self) -> bool:
        """By address (/api/… or ?format=json), or because JSON is asked for and HTML is not."""
        if self.request.url.path.startswith("/api/"):
            return True
        asked = self.request.query_params.get("format")
        if asked is not None:
            return asked == "json"
        accept = self.request.headers.get("accept", "")
        return "application/json" in accept and "text/html" not in accept

    @property
    def is_body(self) -> bool:
        """Whether an archived body was asked for, whose trouble must show in the frame too."""
        return self.request.url.path.startswith(BODIES)

    def say(self, key: str, **values: object) -> str:
        """A text in the visit's language."""
        return words.text(self.language, key, **values)

    def answer(
        self, template: str, facts: object, *, status: int = 200, **around: object
    ) -> Response:
        """The facts as JSON, or as a page with what stands around them."""
        headers = {"Vary": "Accept, Accept-Language", "Cache-Control": "no-cache"}
        if self.wants_json:
            return JSONResponse(to_plain(facts), status_code=status, headers=headers)
        page = self.site.templates.get_template(template)
        html = UNWRITABLE.sub("\ufffd", page.render({**self._around(), "facts": facts, **around}))
        return HTMLResponse(html, status_code=status, headers=headers)

    def link(self, **changes: str) -> str:
        """This page's address with some of its query changed; an empty value drops the name."""
        query = {**self.request.query_params, **changes}
        kept = urlencode({name: value for name, value in query.items() if value})
        path = quote(self.request.scope["path"], safe=IN_PATHS)
        return f"{path}?{kept}" if kept else path

    def _around(self) -> Mapping[str, Any]:
        """What every template may use beside the page's own facts."""
        here, exactly = self._place()
        bound: dict[str, Callable[..., str]] = {
            "t": self.say,
            "n": partial(words.number, self.language),
            "counted": partial(words.counted, self.language),
            "day": partial(words.day, self.language),
            "size": partial(words.size, self.language),
            "clock": words.clock,
        }
        return {
            **bound,
            "language": self.language,
            "here": here,
            "here_exactly": exactly,
            "steady_path": self.link(refresh="off"),
            "switch_path": self._switch_path(),
            "json_path": self.link(format="json"),
            "stylesheet": self.site.stylesheet,
            "refresh_seconds": None,
            "bare": self.is_body,
        }

    def _switch_path(self) -> str:
        if not self._path_names_language:
            return ""
        return f"/{self.language.other}" + self.link().removeprefix(f"/{self.language}")

    def _place(self) -> tuple[str, bool]:
        parts = self.request.url.path.strip("/").split("/")
        name = parts[1] if len(parts) > 1 else "search"
        return PLACES.get(name, name), len(parts) <= 2


def _asked_for(request: Request) -> Language:
    """The language an archived body was asked for with, or else what the browser prefers."""
    ui = request.query_params.get("ui", "")
    if ui in Language.__members__.values():
        return Language(ui)
    return words.negotiate(request.headers.get("accept-language", ""))


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site


SiteDep = Annotated[Site, Depends(site_of)]
VisitDep = Annotated[Visit, Depends(Visit)]
