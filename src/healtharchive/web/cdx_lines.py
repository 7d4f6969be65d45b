"""Lines of a CDX answer: their fields, which of them are wanted, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

from healtharchive.model.cdx import Line
from healtharchive.model.holdings import REVISIT
from healtharchive.warc.cdxj import REVISIT_MIME
from healtharchive.web.doorway import timestamp14
from healtharchive.web.trouble import Unusable

NAMES = ("urlkey", "timestamp", "url", "mime", "status", "digest", "length", "offset", "filename")
# As Wayback's CDX server calls them.
OTHER_NAMES = {"original": "url", "mimetype": "mime", "statuscode": "status"}
LONGEST_FILTER = 500  # characters
REGEX_MEMORY_BYTES = 1 << 20
ABSENT = "-"

Fields = dict[str, str]  # only those that a line has


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a line: a text that a field equals or holds, or how it begins (RE2)."""

    field: str  # empty: the whole line
    inverted: bool
    equals: str | None = None
    holds: str | None = None
    begins: Any = None

    def accepts(self, fields: Fields) -> bool:
        """Whether a line may stay."""
        value = fields.get(self.field, "") if self.field else in_cdxj(fields, ())
        if self.equals is not None:
            met = value == self.equals
        elif self.holds is not None:
            met = self.holds in value
        else:
            met = self.begins.match(value) is not None
        return met != self.inverted


@dataclass(frozen=True, slots=True)
class Collapse:
    """Of neighbours that are equal in these fields (or in their first characters) one stays."""

    parts: tuple[tuple[str, int | None], ...]

    def token(self, fields: Fields) -> tuple[str, ...]:
        """What neighbours are compared by."""
        return tuple(fields.get(name, "")[:length] for name, length in self.parts)


def filter_of(text: str) -> Filter:
    """`[!][=|~]field:text`, as pywb reads it; Unusable when it is none."""
    if len(text) > LONGEST_FILTER:
        raise Unusable("trouble.400.filter", value=f"{text[:59]}…")
    inverted = text.startswith("!")
    rest = text.removeprefix("!")
    how = rest[:1] if rest[:1] in ("=", "~") else ""
    field, mark, wanted = rest.removeprefix(how).partition(":")
    if not mark:
        field, wanted = "", field
    field = OTHER_NAMES.get(field, field)
    if field and field not in NAMES:
        raise Unusable("trouble.400.filter", value=text)
    if how == "=":
        return Filter(field, inverted, equals=wanted)
    if how == "~":
        return Filter(field, inverted, begins=_expression(wanted, text))
    return Filter(field, inverted, holds=wanted)


def _expression(pattern: str, text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = REGEX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        raise Unusable("trouble.400.filter", value=text) from None


def fields_of(line: Line) -> Fields:
    """A line's fields by their names, in the order of a CDXJ line."""
    revisit = line.record_type == REVISIT  # its type is what tells replay to look further
    known = {
        "urlkey": line.url_key,
        "timestamp": timestamp14(line.captured_at),
        "url": line.url,
        "mime": REVISIT_MIME if revisit else line.mime,
        "status": None if line.status_code is None else str(line.status_code),
        "digest": line.payload_digest,
        "length": str(line.length),
        "offset": str(line.offset),
        "filename": line.filename,
    }
    return {name: value for name, value in known.items() if value is not None}


def in_cdxj(fields: Fields, wanted: Sequence[str]) -> str:
    """`urlkey timestamp {json}`, with all other fields or those that are wanted."""
    chosen = [name for name in wanted or NAMES if name not in ("urlkey", "timestamp")]
    return f"{fields['urlkey']} {fields['timestamp']} {json.dumps(_chosen(fields, chosen))}"


def in_json(fields: Fields, wanted: Sequence[str]) -> str:
    """One JSON object."""
    return json.dumps(_chosen(fields, wanted or NAMES))


def in_text(fields: Fields, wanted: Sequence[str]) -> str:
    """The values with blanks between them; `-` for one that the line does not have."""
    return " ".join(
        fields.get(OTHER_NAMES.get(name, name), ABSENT) or ABSENT for name in wanted or NAMES
    )


def _chosen(fields: Fields, names: Sequence[str]) -> Fields:
    """The fields under the names they were asked for."""
    found = {name: fields.get(OTHER_NAMES.get(name, name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}
