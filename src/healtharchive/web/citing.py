"""How a capture is cited: APA 7, MLA 9, Vancouver (NLM), BibTeX and RIS.

Pure: a capture's facts in, text out. When the page itself was published is not known to the
archive and is not guessed; what is cited is the page as it was archived at a moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from healtharchive.web.language import MONTHS, Language

ARCHIVE = "HealthArchive"
NLM_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
MLA_MONTHS = "Jan. Feb. Mar. Apr. May June July Aug. Sept. Oct. Nov. Dec."
FR_MONTHS = "janv. févr. mars avril mai juin juill. août sept. oct. nov. déc."
# BibTeX reads these as commands; they stand for themselves behind a backslash.
BIBTEX_SPECIAL = re.compile(r"[&%$#_]")
BIBTEX_WORDS = MappingProxyType(
    {"\\": "\\textbackslash ", "{": "\\{", "}": "\\}", "~": "\\textasciitilde ", "^": "\\^{}"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """What is cited. `permanent_url` names the page and its moment, never a row of a database."""

    author: str
    title: str
    url: str
    permanent_url: str
    captured_at: datetime
    read_on: date
    language: Language


def citations(cited: Cited) -> Mapping[str, str]:
    """The citation in each style: apa, mla, vancouver, bibtex, ris."""
    return {style: write(cited) for style, write in STYLES.items()}


def _apa(cited: Cited) -> str:
    """Publication Manual of the APA, 7th edition, 10.16, with the archived version's address."""
    if cited.language is Language.FR:
        return (
            f"{_ended(cited.author)} (s. d.). {_ended(cited.title)} Archivé le "
            f"{_french_day(cited.captured_at)} par {ARCHIVE}. {cited.permanent_url} "
            f"(page d’origine\u00a0: {cited.url})"
        )
    return (
        f"{_ended(cited.author)} (n.d.). {_ended(cited.title)} Archived "
        f"{_american_day(cited.captured_at)}, by {ARCHIVE}. {cited.permanent_url} "
        f"(original page: {cited.url})"
    )


def _mla(cited: Cited) -> str:
    """MLA Handbook, 9th edition: the page, its container, the archive as a second container."""
    host = urlsplit(cited.url).hostname or cited.url
    opening, closing = ("«\u00a0", "\u00a0»") if cited.language is Language.FR else ("“", "”")
    archived = "archivé le" if cited.language is Language.FR else "archived"
    months = FR_MONTHS if cited.language is Language.FR else MLA_MONTHS
    moment = cited.captured_at.astimezone(UTC)
    day = f"{moment.day} {_month(months, moment)} {moment.year}"
    return (
        f"{_ended(cited.author)} {opening}{_ended(cited.title)}{closing} {host}, {cited.url}. "
        f"{ARCHIVE}, {archived} {day}, {cited.permanent_url}."
    )


def _vancouver(cited: Cited) -> str:
    """Citing Medicine, chapter 26 (NLM): what is not known is said to be so in brackets."""
    if cited.language is Language.FR:
        medium, unknown, archived, read, at = (
            "En ligne",
            "date inconnue",
            "archivé",
            "cité",
            "Disponible",
        )
    else:
        medium, unknown, archived, read, at = (
            "Internet",
            "date unknown",
            "archived",
            "cited",
            "Available",
        )
    source = "from" if cited.language is Language.EN else "à l’adresse"
    return (
        f"{_ended(cited.author)} {_unended(cited.title)} [{medium}]. {_unended(cited.author)}; "
        f"[{unknown}] [{archived} {_nlm_day(cited.captured_at)}; "
        f"{read} {_nlm_day(cited.read_on)}]. {at} {source}: {cited.permanent_url}"
    )


def _bibtex(cited: Cited) -> str:
    """One @misc entry; its key is made of the host and the moment."""
    host = re.sub(r"[^a-z0-9]+", "-", (urlsplit(cited.url).hostname or "page").lower())
    moment = cited.captured_at.astimezone(UTC)
    fields = {
        "author": f"{{{_bibtex_text(cited.author)}}}",
        "title": f"{{{_bibtex_text(cited.title)}}}",
        "howpublished": f"\\url{{{_bibtex_url(cited.permanent_url)}}}",
        "note": f"Archived {moment:%Y-%m-%d} by {ARCHIVE}; original page "
        f"\\url{{{_bibtex_url(cited.url)}}}",
        "year": f"{moment:%Y}",
        "month": f"{moment:%m}",
        "url": _bibtex_url(cited.permanent_url),
        "urldate": f"{cited.read_on:%Y-%m-%d}",
        "language": "french" if cited.language is Language.FR else "english",
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{host}-{moment:%Y%m%d%H%M%S},\n{lines}}}\n"


def _ris(cited: Cited) -> str:
    """One electronic source; a field is a line, so line ends within one become spaces."""
    moment = cited.captured_at.astimezone(UTC)
    fields = (
        ("TY", "ELEC"),
        ("AU", f"{cited.author},"),  # the comma says that it is one name (RIS: family, given)
        ("TI", cited.title),
        ("PB", ARCHIVE),
        ("DA", f"{moment:%Y/%m/%d}"),
        ("Y2", f"{cited.read_on:%Y/%m/%d}"),
        ("UR", cited.permanent_url),
        ("L2", cited.url),
        ("LA", cited.language.value),
        ("ER", ""),
    )
    return "".join(f"{name}  - {_one_line(value)}".rstrip() + "\r\n" for name, value in fields)


STYLES: Mapping[str, Callable[[Cited], str]] = MappingProxyType(
    {"apa": _apa, "mla": _mla, "vancouver": _vancouver, "bibtex": _bibtex, "ris": _ris}
)


def _ended(text: str) -> str:
    """With a full stop, unless a mark ends it already."""
    text = _one_line(text)
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def _unended(text: str) -> str:
    return _one_line(text).rstrip(".")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _american_day(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    return f"{_month(MONTHS['en'], moment)} {moment.day}, {moment.year}"


def _french_day(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    first = "er" if moment.day == 1 else ""
    return f"{moment.day}{first} {_month(MONTHS['fr'], moment)} {moment.year}"


def _nlm_day(day: date) -> str:
    if isinstance(day, datetime):
        day = day.astimezone(UTC).date()
    return f"{day.year} {_month(NLM_MONTHS, day)} {day.day}"


def _month(names: str, day: date) -> str:
    return names.split()[day.month - 1]


def _bibtex_text(text: str) -> str:
    words = "".join(BIBTEX_WORDS.get(each, each) for each in _one_line(text))
    return BIBTEX_SPECIAL.sub(lambda found: "\\" + found.group(), words)


def _bibtex_url(url: str) -> str:
    """An address between braces: braces and backslashes would end it, so they are encoded."""
    for mark, encoded in (("\\", "%5C"), ("{", "%7B"), ("}", "%7D"), (" ", "%20")):
        url = url.replace(mark, encoded)
    return url
