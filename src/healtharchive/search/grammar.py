"""What a person types into the search box: words and filters, as a record and back as text.

`measles site:canada.ca/en -source:cihr after:2025 title:"school closures"`. Names are known in
English and French. The same filter twice finds what fits either; a minus leaves out what fits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

LONGEST_TEXT = 500  # characters; what is beyond is not read
LAST_YEAR = 2200
NAMES = {
    "site": "site",
    "source": "source",
    "campaign": "campaign",
    "campagne": "campaign",
    "lang": "lang",
    "language": "lang",
    "langue": "lang",
    "type": "type",
    "before": "before",
    "avant": "before",
    "after": "after",
    "après": "after",
    "apres": "after",
    "title": "title",
    "titre": "title",
    "inurl": "inurl",
    "dansurl": "inurl",
}
TYPES = {
    "html": "html",
    "web": "html",
    "pdf": "pdf",
    "text": "text",
    "txt": "text",
    "texte": "text",
}
OPPOSITES = {"before": "after", "after": "before"}
QUOTES = str.maketrans("“”„«»", '"""""')
SPACES = re.compile(r"\s+")
TOKEN = re.compile(r'-?[^\W\d_]+:"[^"]*"|-?"[^"]*"|[^\s"]+')
FILTER = re.compile(r'(?P<minus>-?)(?P<name>[^\W\d_]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^"]+))')
WEB_ADDRESS = re.compile(r"-?\w+://")
SITE = re.compile(r"(?P<host>[\w-]+(?:\.[\w-]+)*(?::\d{1,5})?)(?P<path>/\S*)?")
LANGUAGE = re.compile(r"[a-z]{2,3}")
DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)

Trouble = Literal["unknown", "date", "type", "language", "site"]


@dataclass(frozen=True, slots=True)
class Filter:
    """One restriction. `before` means earlier than that day, `after` that day or later."""

    name: str
    value: str
    excluded: bool = False

    def __str__(self) -> str:
        value = f'"{self.value}"' if " " in self.value else self.value
        return f"{'-' if self.excluded else ''}{self.name}:{value}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A part that looks like a filter and is none; it stays among the words."""

    trouble: Trouble
    written: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that was read: what is left as words, the filters, and what could not be used."""

    words: str
    filters: tuple[Filter, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        return " ".join(filter(None, (self.words, *map(str, self.filters))))

    def named(self, name: str) -> tuple[Filter, ...]:
        """The filters of that name."""
        return tuple(each for each in self.filters if each.name == name)

    def without(self, *dropped: Filter) -> Asked:
        """The same without these filters."""
        return replace(self, filters=tuple(each for each in self.filters if each not in dropped))


def parse(text: str) -> Asked:
    """Any text has a reading; `parse(str(asked))` is `asked` again."""
    words: list[str] = []
    filters: list[Filter] = []
    problems: list[Problem] = []
    for token in _tokens(text):
        found = _read(token)
        if isinstance(found, Filter):
            if found not in filters:
                filters.append(found)
            continue
        words.append(token)
        if isinstance(found, Problem) and found not in problems:
            problems.append(found)
    return Asked(" ".join(words), tuple(filters), tuple(problems))


def moment(value: str) -> date | None:
    """The first day of 2026-01-24, 2026-01 or 2026; None for what is no such date."""
    found = DAY.fullmatch(value)
    if found is None or int(found[1]) > LAST_YEAR:
        return None
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return None


def site_parts(value: str) -> tuple[str, str]:
    """The host of a `site:` value and its path, which is empty or begins with a slash."""
    host, slash, path = value.partition("/")
    return host, slash + path


def _tokens(text: str) -> list[str]:
    plain = SPACES.sub(" ", text[:LONGEST_TEXT].replace("\0", " ").translate(QUOTES))
    if plain.count('"') % 2:
        plain = plain.replace('"', " ")
    return [_tidy(each) for each in TOKEN.findall(plain) if each.strip('-" ')]


def _tidy(token: str) -> str:
    """A token with no blanks next to its quotation marks: « mot » is "mot"."""
    before, quote, inside = token.partition('"')
    return f'{before}"{inside[:-1].strip()}"' if quote else token


def _read(token: str) -> Filter | Problem | None:
    """None for plain words."""
    found = FILTER.fullmatch(token)
    if found is None or WEB_ADDRESS.match(token):
        return None
    value = (found["bare"] or found["quoted"] or "").strip()
    name = NAMES.get(found["name"].lower())
    if name is None:
        return Problem("unknown", token) if value else None
    if not any(each.isalnum() for each in value):
        return None  # "type:" at the end of a phrase
    usable = _usable(name, value)
    if isinstance(usable, Problem):
        return replace(usable, written=token)
    if found["minus"] and name in OPPOSITES:
        return Filter(OPPOSITES[name], usable)
    return Filter(name, usable, excluded=bool(found["minus"]))


def _usable(name: str, value: str) -> str | Problem:
    """A value in the one form that the index and `Filter` know, or what is wrong with it."""
    if name in OPPOSITES:
        day = moment(value)
        return day.isoformat() if day else Problem("date", value)
    if name == "type":
        return TYPES.get(value.lower(), Problem("type", value))
    if name == "lang":
        tag = value.lower()
        return tag if LANGUAGE.fullmatch(tag) else Problem("language", value)
    if name == "site":
        found = SITE.fullmatch(re.sub(r"^\w+://", "", value.lower()))
        if found is None:
            return Problem("site", value)
        return found["host"] + (found["path"] or "").partition("?")[0].rstrip("/")
    return value if name in ("title", "inurl") else value.lower()
