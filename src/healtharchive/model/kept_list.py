"""The list of what is not shown, as it is kept beside the WARC files and on every target.

An archive that is made anew from those files hides what this one hid. The list has no more than
`healtharchive suppressions --json` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import Connection, func, select

from healtharchive.model import wire
from healtharchive.model.errors import BadInput
from healtharchive.model.suppression import Suppression
from healtharchive.model.tables import suppressions

KEPT_NAME = "suppressions.json"


def list_text(active: Iterable[Suppression]) -> bytes:
    """The list as JSON, a suppression a line."""
    lines = b",\n".join(wire.to_line(each).strip() for each in active)
    return b"[\n" + lines + b"\n]\n"


def parse_list(text: bytes, where: str) -> list[Suppression]:
    """The suppressions of a list. BadInput, which names `where`, when it is none."""
    try:
        return wire.from_line(list[Suppression], text)
    except ValidationError:
        raise BadInput(
            f"{where} is no list of suppressions.", "Make one: `healtharchive suppressions --json`."
        ) from None


def last_change(connection: Connection, now: datetime) -> datetime | None:
    """When something was last suppressed or shown again before now; None when nothing ever was."""
    found = [
        connection.execute(select(func.max(column)).where(column <= now)).scalar_one()
        for column in (suppressions.c.at, suppressions.c.lifted_at)
    ]
    return max((each for each in found if each is not None), default=None)
