"""What a reader's If-Modified-Since leads to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.datastructures import Headers

from healtharchive.web.validators import unchanged

MODIFIED = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", True),
        ("Sun Nov  6 08:49:37 1994", True),
        ("Sun, 06 Nov 1994 08:49:36 GMT", False),
        ("yesterday", False),
        ("Thu, 01 Jan 2026 00:00:00 +99999999999999999", False),
    ],
)
def test_a_date_is_compared_and_what_is_none_is_not(since: str, expected: bool) -> None:
    assert unchanged(Headers({"If-Modified-Since": since}), 'W/"1"', MODIFIED) is expected
