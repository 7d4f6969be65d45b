"""Dates as sites write them in their headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def moment_of(text: str) -> datetime | None:
    """The moment an HTTP date names, in any of its forms (RFC 9110 §5.6.7); None for no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):  # Overflow: a year or zone beyond all bounds
        return None
    # The form of C's asctime() names no zone: an HTTP date is UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
