"""The order for the WACZ of one page, apart from what makes it: a reading child starts with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healtharchive.search.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOrder:
    """Which capture, and what is known of it. Its record is `record`, in a file of `file_bytes`.

    What accompanies it lies between `span_start` and `span_stop`, before or after the record.
    `original` holds its body when it is a revisit. `made_at` is now; `state_dir` has the key to
    sign with.
    """

    capture_id: int
    record: Stored
    file_bytes: int
    span_start: int
    span_stop: int
    original: Stored | None
    url: str
    title: str
    captured_at: datetime
    made_at: datetime
    segment: str
    segment_sha256: str
    state_dir: str
