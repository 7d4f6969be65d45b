"""Bodies with a content coding that is not taken off: no garbage is read as their text."""

from __future__ import annotations

import io

import pytest
from fastwarc.stream_io import ZstdWriter

from healtharchive.search.harvest import page_of
from healtharchive.warc.payload import parse_head

PAGE = b"<html lang=en><title>Measles</title><p>Two doses protect for life."


def zstandard(data: bytes) -> bytes:
    packed = io.BytesIO()
    writer = ZstdWriter(packed)
    writer.write(data)
    writer.close()
    return packed.getvalue()


def head(coding: str) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    )


def test_a_zstd_page_that_nobody_asked_for_is_read() -> None:
    page = page_of(parse_head(head("zstd")), "html", zstandard(PAGE), "https://a.example/")
    assert (page.title, page.problem) == ("Measles", "")
    assert "Two doses" in page.text


@pytest.mark.parametrize("coding", ["compress", "dcb"])
def test_what_cannot_be_decoded_has_no_text_but_a_problem(coding: str) -> None:
    page = page_of(parse_head(head(coding)), "html", PAGE[::-1], "https://a.example/")
    assert (page.title, page.text) == ("", "")
    assert f"unknown content coding '{coding}'" in page.problem


def test_a_coding_that_is_none_hides_no_text() -> None:
    page = page_of(parse_head(head("utf-8")), "html", PAGE, "https://a.example/")
    assert "Two doses" in page.text
