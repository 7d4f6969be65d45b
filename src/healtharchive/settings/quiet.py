"""The hours in which nobody is woken for what can wait. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from healtharchive.model.errors import SetupError

HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day to another, by the clocks of a zone; over midnight if it is so."""

    begins: time
    ends: time
    zone: ZoneInfo

    def holds(self, now: datetime) -> bool:
        """Whether it is quiet now. The clock on the wall decides, whatever it was set to."""
        at = now.astimezone(self.zone).time()
        if self.begins < self.ends:
            return self.begins <= at < self.ends
        return at >= self.begins or at < self.ends


def quiet_hours(hours: str, zone: str) -> QuietHours | None:
    """The quiet hours that the settings name; None when there are none. SetupError for nonsense."""
    if not hours.strip():
        return None
    found = HOURS.fullmatch(hours.strip())
    if found is None:
        raise SetupError(
            f"HEALTHARCHIVE_QUIET_HOURS is '{hours}', which are no hours.",
            "Set it to such as 22:00-07:00, or to nothing.",
        )
    begins = time(int(found[1]), int(found[2]))
    ends = time(int(found[3]), int(found[4]))
    if begins == ends:
        raise SetupError(
            f"HEALTHARCHIVE_QUIET_HOURS is '{hours}', which begins when it ends.",
            "Set HEALTHARCHIVE_NOTIFY_FROM=critical if nothing else is ever to be sent.",
        )
    try:
        return QuietHours(begins, ends, ZoneInfo(zone))
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise SetupError(
            f"HEALTHARCHIVE_QUIET_ZONE is '{zone}', which is no time zone of this machine.",
            "Set it to such as Europe/Berlin or UTC.",
        ) from error
