"""Range, If-Range and If-None-Match as RFC 9110 reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.web.ranges import ByteRange, Unsatisfiable, names, wanted

TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=90-", 90, 100),
        ("bytes=90-5000", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-500", 0, 100),
        ("Bytes = 1-2", 1, 3),
    ],
)
def test_one_range(header: str, start: int, stop: int) -> None:
    assert wanted(header, None, TAG, 100) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=9-5",
        "bytes=0-1,5-6",
        "items=0-1",
        "bytes=1-2-3",
        "bytes=²-3",
        "bytes=--1",
        f"bytes=0-{'9' * 50}",
    ],
)
def test_what_is_no_single_range_gets_the_whole(header: str | None) -> None:
    assert wanted(header, None, TAG, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(header, None, TAG, 100)


def test_a_range_of_other_bytes_gets_the_whole_of_these() -> None:
    assert wanted("bytes=0-1", TAG, TAG, 100) == ByteRange(0, 2)
    for other in ('"other"', f"W/{TAG}", "Sat, 24 Jan 2026 06:28:01 GMT"):
        assert wanted("bytes=0-1", other, TAG, 100) is None


def test_which_tags_name_these_bytes() -> None:
    assert all(names(header, TAG) for header in (TAG, f"W/{TAG}", f'"x", {TAG}', "*"))
    assert not any(names(header, TAG) for header in (None, "", '"x"', "abc"))


@given(st.text(max_size=30), st.integers(0, 50))
def test_no_header_is_too_odd(text: str, size: int) -> None:
    try:
        found = wanted(f"bytes={text}", None, TAG, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.start < found.stop <= size
