"""The search form: its fields as they came, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as with_default
from datetime import date

FIELDS = ("q", "source", "campaign", "lang", "type", "from", "to", "which", "sort", "page")
WHICHES = ("latest", "all")
SORTS = ("relevance", "newest", "oldest")
LANGUAGES = ("en", "fr")
TYPES = ("html", "pdf", "text")
DEFAULTS = {"which": "latest", "sort": "relevance", "page": "1"}
LONGEST_Q = 500  # characters
LAST_PAGE = 500
LAST_YEAR = 2200
CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wrong:
    """One field that cannot be used; `key` and `values` name the sentence that says so."""

    field: str
    key: str
    values: Mapping[str, object] = with_default(default_factory=dict)


def read(query: Mapping[str, str]) -> dict[str, str]:
    """Every field of the form, trimmed; a field that was left out or empty has its default."""
    return {
        name: CONTROLS.sub(" ", query.get(name, "")).strip() or DEFAULTS.get(name, "")
        for name in FIELDS
    }


def is_asked(form: Form) -> bool:
    """Whether anything is searched or filtered at all, beyond the empty form."""
    return any(form[name] for name in ("q", "source", "campaign", "lang", "type", "from", "to"))


def problems(form: Form, sources: tuple[str, ...], campaigns: tuple[str, ...]) -> list[Wrong]:
    """All that is wrong with a form, field by field; empty when it can be searched."""
    allowed = {
        "source": sources,
        "campaign": campaigns,
        "lang": LANGUAGES,
        "type": TYPES,
        "which": WHICHES,
        "sort": SORTS,
    }
    wrongs = [
        Wrong(name, "wrong.choice", {"value": form[name], "choices": ", ".join(choices)})
        for name, choices in allowed.items()
        if form[name] and form[name] not in choices
    ]
    if len(form["q"]) > LONGEST_Q:
        wrongs.append(Wrong("q", "wrong.long", {"most": LONGEST_Q}))
    if page_number(form) is None:
        limits = {"value": form["page"], "least": 1, "most": LAST_PAGE}
        wrongs.append(Wrong("page", "wrong.number", limits))
    return wrongs + _wrong_dates(form)


def page_number(form: Form) -> int | None:
    """The page of results that is asked for; None when it is no number in range."""
    text = form["page"]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LAST_PAGE))):
        return None
    return int(text) if 1 <= int(text) <= LAST_PAGE else None


def day(form: Form, name: str) -> date | None:
    """The day in a date field; None when it is empty or no date."""
    try:
        found = date.fromisoformat(form[name])
    except ValueError:
        return None
    return found if found.year <= LAST_YEAR else None


def _wrong_dates(form: Form) -> list[Wrong]:
    wrongs = [
        Wrong(name, "wrong.date", {"value": form[name]})
        for name in ("from", "to")
        if form[name] and day(form, name) is None
    ]
    first, last = day(form, "from"), day(form, "to")
    if first and last and first > last:
        wrongs.append(Wrong("from", "wrong.dates"))
    return wrongs
