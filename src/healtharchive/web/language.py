"""English and French: which one a reader wants, and how each writes numbers and dates."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from healtharchive.web.texts import TEXTS

# Canadian usage: a no-break space groups French thousands and stands before units.
NO_BREAK = "\u00a0"
SIZE_STEP = 1000
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}


class Language(StrEnum):
    """A language of the interface, as it stands in addresses."""

    EN = "en"
    FR = "fr"

    @property
    def other(self) -> Language:
        """The language the switch in the header leads to."""
        return Language.FR if self is Language.EN else Language.EN


def negotiate(accept_language: str) -> Language:
    """The language an Accept-Language header asks for most (RFC 9110 §12.5.4); English if none."""
    wishes: list[tuple[float, Language]] = []
    for part in accept_language.split(",")[:20]:
        tag, _, weight = part.partition(";")
        code = tag.strip().lower()[:2]
        if code in Language.__members__.values():
            wishes.append((_weight(weight), Language(code)))
    wishes = [wish for wish in wishes if wish[0] > 0]
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else Language.EN


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def text(language: Language, key: str, /, **values: object) -> str:
    """The text of `key`, with its `{names}` filled in. KeyError when the table lacks it."""
    english, french = TEXTS[key]
    chosen = french if language is Language.FR else english
    return chosen.format(**values) if values else chosen


def counted(language: Language, key: str, count: int) -> str:
    """`key.one` or `key.many` with the number in it; French counts zero as one thing."""
    is_one = count == 1 or (count == 0 and language is Language.FR)
    return text(language, f"{key}.{'one' if is_one else 'many'}", n=number(language, count))


def number(language: Language, value: int) -> str:
    """A whole number with its thousands grouped."""
    grouped = f"{value:,}"
    return grouped.replace(",", NO_BREAK) if language is Language.FR else grouped


def day(language: Language, moment: datetime) -> str:
    """The UTC day of a moment: 24 January 2026, 24 janvier 2026, 1er mars 2026."""
    moment = moment.astimezone(UTC)
    month = MONTHS[language].split()[moment.month - 1]
    first = language is Language.FR and moment.day == 1
    return f"{moment.day}{'er' if first else ''}{NO_BREAK}{month} {moment.year}"


def clock(moment: datetime) -> str:
    """The UTC time of day, to the second, as both languages write it in tables: 06:28:01 UTC."""
    return f"{moment.astimezone(UTC):%H:%M:%S}{NO_BREAK}UTC"


def size(language: Language, size_bytes: int) -> str:
    """A number of bytes in the unit people would use: 51.2 MB, 51,2 Mo."""
    units = (
        ("o", "ko", "Mo", "Go", "To") if language is Language.FR else ("B", "kB", "MB", "GB", "TB")
    )
    amount = float(size_bytes)
    step = 0
    while amount >= SIZE_STEP and step < len(units) - 1:
        amount /= SIZE_STEP
        step += 1
    digits = f"{amount:.0f}" if step == 0 or amount >= 100 else f"{amount:.1f}"
    if language is Language.FR:
        digits = digits.replace(".", ",")
    return f"{digits}{NO_BREAK}{units[step]}"
