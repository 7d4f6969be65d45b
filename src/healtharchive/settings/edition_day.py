"""The day of the year on which an edition begins, as the setting `edition_on` has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from healtharchive.model.errors import BadInput

WRITTEN = re.compile(r"(\d{2})-(\d{2})")
LEAP_YEAR = 2000


@dataclass(frozen=True, slots=True)
class EditionDay:
    """A day of every year. 29 February is the 28th in years that have none."""

    month: int
    day: int

    def in_year(self, year: int) -> date:
        """That day of a year."""
        try:
            return date(year, self.month, self.day)
        except ValueError:
            return date(year, self.month, self.day - 1)


def edition_day(text: str) -> EditionDay | None:
    """The day that a text such as 01-15 names; None for an empty one. BadInput for any other."""
    if not text:
        return None
    found = WRITTEN.fullmatch(text)
    try:
        if found is not None:
            named = date(LEAP_YEAR, int(found[1]), int(found[2]))
            return EditionDay(named.month, named.day)
    except ValueError:
        pass
    raise BadInput(
        f"HEALTHARCHIVE_EDITION_ON is '{text}', which is no day of the year.",
        "Give month and day, such as 01-15, or take it out: then a person creates each edition.",
    )
