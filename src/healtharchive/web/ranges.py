"""Which bytes of an answer are asked for (RFC 9110 §14): pure, over the header fields alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

ONE_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` to before `stop`."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """The range begins behind the end: 416."""


def wanted(
    header: str | None, if_range: str | None, etag: str, size_bytes: int
) -> ByteRange | None:
    """The one range that is asked for; None for all of it. Unsatisfiable when there is none such.

    A header that cannot be read is ignored, and so are several ranges at once, as §14.2 allows;
    so is one that is for other bytes (`if_range`; a date is never sure enough for us).
    """
    unit, _, text = (header or "").partition("=")
    if unit.strip().lower() != "bytes" or (if_range is not None and if_range.strip() != etag):
        return None
    match = ONE_RANGE.fullmatch(text.strip())
    if match is None or match.group(0) == "-":
        return None
    first, last = match.groups()
    if not first:
        if not int(last) or not size_bytes:
            raise Unsatisfiable
        return ByteRange(max(0, size_bytes - int(last)), size_bytes)
    start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if last and int(last) < int(first):
        return None  # not a range at all (§14.1.2)
    if start >= size_bytes:
        raise Unsatisfiable
    return ByteRange(start, stop)


def names(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match field names this entity tag, weakly compared (§13.1.2)."""
    if header is None:
        return False
    tags = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in tags or etag in tags
