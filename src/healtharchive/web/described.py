"""What the description of the API says beside what the routes themselves tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from healtharchive.web.trouble import Trouble

Described = dict[str, Any]
UNTRUE = "HTTPValidationError"


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The troubles that an address for programs may answer with."""
    return {status: {"model": Trouble} for status in statuses}


def answers_to_all(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Those of an address that browsers open, too: a page for them, JSON for who asks for it."""
    page: Described = {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {status: {**answer, **page} for status, answer in answers(*statuses).items()}


def install(app: FastAPI) -> None:
    """Have the app describe what it does: `trouble` answers 404 where FastAPI would 422."""
    describe = app.openapi

    def openapi() -> Described:
        if app.openapi_schema is None:
            _correct(describe())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _correct(description: Described) -> None:
    for operations in description["paths"].values():
        for operation in operations.values():
            said = operation["responses"]
            if UNTRUE in str(said.get("422")):
                del said["422"]
    for name in (UNTRUE, "ValidationError"):
        description["components"]["schemas"].pop(name, None)


def query(fields: Mapping[str, str], required: str = "") -> Described:
    """Parameters of the query by name, each a text, with what they mean."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name == required,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in fields.items()
        ]
    }


CDX = query(
    {
        "url": "What to look up: a URL, `*.host` for a domain, or `URL*` for a prefix.",
        "matchType": "exact, prefix, host or domain, instead of an asterisk.",
        "from": "Not before this moment: 4 to 14 digits, UTC.",
        "to": "Not after this moment, or the end of the year, month, day … that it names.",
        "limit": "At most so many lines, up to 100000; -N gives the last N, up to 10000.",
        "sort": "default, reverse, or closest (with `closest`, for one URL).",
        "closest": "The moment that the nearest captures are wanted of, nearest first.",
        "filter": "[!][=|~]field:text, up to ten times: the field holds the text, equals it (=), "
        "or begins with the RE2 expression (~); ! turns it round.",
        "collapse": "field or field:N: of neighbours equal in it (or its first N characters), one.",
        "collapseTime": "N: of neighbours with the same first N digits and status, one.",
        "fl": "The fields wanted, with commas; `fields` is the same.",
        "output": "cdxj, json (one object a line) or text.",
        "page": "Page of the index, from 0; filters take their lines out of a page.",
        "pageSize": "Lines a page, up to 10000; 1000 if not given.",
        "showNumPages": "true: only how many pages there are.",
        "showResumeKey": "true: where the limit ends the answer, a key follows it.",
        "resumeKey": "Goes on after the line that the key stands for.",
    },
    required="url",
)
CAPTURES = query(
    {
        "after": "Number of the last capture seen: those with greater ones follow.",
        "limit": "Captures a page, up to 1000; 100 if not given.",
        "url": "Only captures of this page.",
        "source": "Code of a source, such as hc.",
        "campaign": "Name of a campaign, such as annual-2026.",
        "from": "Captured not before this moment: 4 to 14 digits, UTC.",
        "to": "Captured not after this moment, or the end of what it names.",
    }
)
ACCEPT_DATETIME: Described = {
    "parameters": [
        {
            "name": "Accept-Datetime",
            "in": "header",
            "required": False,
            "description": "The moment wanted, as an HTTP date; the newest memento without it.",
            "schema": {"type": "string"},
        }
    ]
}
