"""What a CDX request asks for: the parameters of pywb's and Wayback's CDX servers, checked."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healtharchive.model.cdx import Place, Span
from healtharchive.model.tables import BIGGEST_ID
from healtharchive.warc.cdxj import stored_key, url_key
from healtharchive.web.cdx_lines import NAMES, OTHER_NAMES, Collapse, Filter, filter_of
from healtharchive.web.doorway import WIDEST_URL
from healtharchive.web.moments import end_of, moment_of
from healtharchive.web.trouble import Unusable

MATCHES = ("exact", "prefix", "host", "domain")
OUTPUTS = ("cdxj", "json", "text")
SORTS = ("default", "reverse", "closest")
MOST_LINES = 100_000
MOST_LAST_LINES = 10_000  # they are kept until all are found
PAGE_LINES = 1_000
MOST_PAGE_LINES = 10_000
LAST_PAGE = 1_000_000
MOST_FILTERS = 10
LAST_CHARACTER = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True, kw_only=True)
class CdxQuery:
    """A request that can be answered. `limit` counts lines; `last` wants them from the end."""

    span: Span
    output: str
    fields: tuple[str, ...]
    filters: tuple[Filter, ...]
    collapse: Collapse | None
    limit: int
    last: bool
    sort: str
    closest: datetime | None
    page: int | None
    page_size: int
    show_pages: bool
    show_resume_key: bool
    resume: Place | None


class Asked:
    """The parameters as they came, each taken out by its name; Unusable when one is wrong."""

    def __init__(self, items: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name, []).append(value)
        for name, values in self._values.items():
            if not all(value.isprintable() for value in values):
                raise Unusable("trouble.400.characters", name=_shown(name))

    def all(self, name: str, most: int) -> list[str]:
        """Every value of a parameter that may come more than once."""
        values = [value for value in self._values.get(name, []) if value]
        if len(values) > most:
            raise Unusable("trouble.400.often", name=name, most=most)
        return values

    def text(self, *names: str) -> str:
        """The one value of a parameter, whichever of its names it has; empty when there is none."""
        found = [value for name in names for value in self.all(name, 1)]
        return found[0] if found else ""

    def choice(self, name: str, choices: tuple[str, ...], otherwise: str) -> str:
        """One of the choices."""
        value = self.text(name) or otherwise
        if value not in choices:
            raise Unusable(
                "trouble.400.choice", name=name, value=_shown(value), choices=", ".join(choices)
            )
        return value

    def flag(self, name: str) -> bool:
        """Yes or no, as true and false or 1 and 0."""
        return self.choice(name, ("true", "false", "1", "0"), "false") in ("true", "1")

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number within limits; None when it was left out."""
        text = self.text(name)
        if not text:
            return None
        digits = text.removeprefix("-")
        usable = digits.isascii() and digits.isdigit() and len(digits) <= len(str(BIGGEST_ID))
        if not usable or not least <= int(text) <= most:
            raise Unusable(
                "trouble.400.number", name=name, value=_shown(text), least=least, most=most
            )
        return int(text)

    def moment(self, *names: str, end: bool = False) -> datetime | None:
        """The moment of 4 to 14 digits, or the one after all that they name."""
        text = self.text(*names)
        if not text:
            return None
        found = end_of(text) if end else moment_of(text)
        if found is None:
            raise Unusable("trouble.400.moment", name=names[0], value=_shown(text))
        return found


def parse(items: Sequence[tuple[str, str]]) -> CdxQuery:
    """The request that the parameters make; Unusable names the one that is wrong."""
    asked = Asked(items)
    closest = asked.moment("closest")
    sort = asked.choice("sort", SORTS, "closest" if closest else "default")
    if sort == "default" and asked.flag("reverse"):  # pywb's other way to say it
        sort = "reverse"
    limit = asked.number("limit", -MOST_LAST_LINES, MOST_LINES)
    if limit == 0:
        raise Unusable("trouble.400.number", name="limit", value="0", least=1, most=MOST_LINES)
    query = CdxQuery(
        span=_span(asked),
        output=asked.choice("output", OUTPUTS, "cdxj"),
        fields=_fields(asked.text("fl", "fields")),
        filters=tuple(filter_of(each) for each in asked.all("filter", MOST_FILTERS)),
        collapse=_collapse(asked),
        limit=abs(limit or MOST_LINES),
        last=limit is not None and limit < 0,
        sort=sort,
        closest=closest if sort == "closest" else None,
        page=asked.number("page", 0, LAST_PAGE),
        page_size=asked.number("pageSize", 1, MOST_PAGE_LINES) or PAGE_LINES,
        show_pages=asked.flag("showNumPages"),
        show_resume_key=asked.flag("showResumeKey"),
        resume=_place(asked.text("resumeKey")),
    )
    asked.flag("fastLatest")  # the last lines are always found from the end
    _check_together(query)
    return query


def _check_together(query: CdxQuery) -> None:
    closest = query.sort == "closest"
    resuming = query.resume is not None or query.show_resume_key
    if closest and query.closest is None:
        raise Unusable("trouble.400.missing", name="closest")
    for name, is_there, other, other_is_there in (
        ("sort=closest", closest, "matchType, *", query.span.end is not None),
        ("sort=closest", closest, "resumeKey", resuming),
        ("sort=closest", closest, "page", query.page is not None),
        ("sort=closest", closest, "collapse", query.collapse is not None),
        ("page", query.page is not None, "resumeKey", resuming),
        ("limit=-N", query.last, "resumeKey", resuming),
        ("limit=-N", query.last, "sort, page", query.sort != "default" or query.page is not None),
        ("limit=-N", query.last, "collapse", query.collapse is not None),
    ):
        if is_there and other_is_there:
            raise Unusable("trouble.400.together", name=name, other=other)


def _span(asked: Asked) -> Span:
    url = asked.text("url")
    if not url:
        raise Unusable("trouble.400.missing", name="url")
    match = asked.choice("matchType", MATCHES, "exact")
    if not asked.text("matchType"):
        url, match = _wildcards(url)
    if not url or len(url) > WIDEST_URL:
        raise Unusable("trouble.400.url")
    first, end = span_of(url, match)
    return Span(
        first=first,
        end=end,
        since=asked.moment("from", "from_ts"),
        before=asked.moment("to", end=True),
    )


def _wildcards(url: str) -> tuple[str, str]:
    if url.startswith("*."):
        return url.removeprefix("*."), "domain"
    if url.endswith("*"):
        return url.removesuffix("*"), "prefix"
    return url, "exact"


def span_of(url: str, match: str) -> tuple[str, str | None]:
    """The first key of what matches, and the one before which it ends, as pywb computes them."""
    if match == "exact":
        return stored_key(url), None
    key = url_key(url)
    if match == "prefix":
        for end in ("/", "?"):  # the key has lost what the person wrote at the end
            if url.endswith(end) and not key.endswith(end):
                key += end
        return key, after_all(key)
    host = key.split(")/")[0]
    if match == "host":
        return f"{host})/", f"{host}*"
    return (f"{host})/" if "," in host else f"{host},"), f"{host}-"


def after_all(prefix: str) -> str:
    """The first text behind all that begin with a prefix, in the order of code points."""
    kept = prefix.rstrip(chr(LAST_CHARACTER))
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(SURROGATES.stop if following in SURROGATES else following)


def _fields(text: str) -> tuple[str, ...]:
    names = tuple(text.split(",")) if text else ()
    for name in names:
        if name not in NAMES and name not in OTHER_NAMES:
            raise Unusable(
                "trouble.400.choice", name="fl", value=_shown(name), choices=", ".join(NAMES)
            )
    return names


def _collapse(asked: Asked) -> Collapse | None:
    if length := asked.number("collapseTime", 1, 14):  # pywb's: one a time and status
        return Collapse((("timestamp", length), ("status", None)))
    text = asked.text("collapse")
    if not text:
        return None
    name, mark, digits = text.partition(":")
    name = OTHER_NAMES.get(name, name)
    short = digits.isascii() and digits.isdigit() and len(digits) <= 4 and int(digits) > 0
    if name not in NAMES or (mark and not short):
        raise Unusable("trouble.400.collapse", value=_shown(text), choices=", ".join(NAMES))
    return Collapse(((name, int(digits) if mark else None),))


def resume_key(place: Place) -> str:
    """A place as a word that a reader gives back to go on from there."""
    plain = [place.url_key, place.captured_at.astimezone(UTC).isoformat(), place.id]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _place(text: str) -> Place | None:
    if not text:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        found: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        key, moment, number = found
        at = datetime.fromisoformat(moment).astimezone(UTC)
        if not (isinstance(key, str) and key.isprintable() and type(number) is int):
            raise ValueError("not a place")
        if not 0 <= number <= BIGGEST_ID:
            raise ValueError("not a capture")
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise Unusable("trouble.400.resume", value=_shown(text)) from None
    return Place(key, at, number)


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
