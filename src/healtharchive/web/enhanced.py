"""Pages that htmx changes in place: what a link or a form asks for comes without a new page load.

They are the same pages at the same addresses without it: where scripts are off, or where
`scripts/htmx` was not run.
"""

from __future__ import annotations

from starlette.responses import Response

from healtharchive.web import static_place
from healtharchive.web.headers import SCRIPTED_POLICY
from healtharchive.web.visit import Visit

SCRIPT = "htmx/htmx.min.js"


def answer(
    visit: Visit, template: str, facts: object, *, status: int = 200, **around: object
) -> Response:
    """As `Visit.answer`; the template gets `htmx`, the script's address or "".

    `in_place` says that htmx asked: the focus, which a new page would reset, is then set by it.
    """
    response = visit.answer(
        template,
        facts,
        status=status,
        htmx=static_place.address(SCRIPT) if static_place.has(SCRIPT) else "",
        in_place=visit.request.headers.get("hx-request") == "true",
        **around,
    )
    response.headers["Vary"] += ", HX-Request"
    response.headers["Content-Security-Policy"] = SCRIPTED_POLICY
    return response
