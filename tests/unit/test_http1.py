"""HTTP/1.1 framing: where a response ends, whatever way its bytes come in."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.warc.http1 import (
    ChunkedBody,
    Malformed,
    body_of,
    keeps_alive,
    take_head,
)

AFTER = b"HTTP/1.1 200 OK\r\n"  # the next response on the same connection


@dataclass(frozen=True)
class Message:
    """A response as it goes over the wire, and what is in it."""

    wire: bytes
    entity: bytes


def sized(entity: bytes) -> Message:
    return Message(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(entity) + entity, entity)


def chunked(pieces: list[bytes], extension: bytes, trailer: bytes) -> Message:
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces if p)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Message(head + framed + b"0\r\n" + trailer + b"\r\n", b"".join(pieces))


MESSAGES = st.one_of(
    st.binary(max_size=200).map(sized),
    st.builds(
        chunked,
        st.lists(st.binary(max_size=40), max_size=5),
        st.sampled_from([b"", b";name=value"]),
        st.sampled_from([b"", b"X-Checksum: 1\r\n"]),
    ),
)


def receive(pieces: list[bytes]) -> tuple[int, bytes, bytes, bool]:
    """Read a response from pieces: its status, its entity, the bytes after it, whether it ended."""
    buffer, entity, head, body, rest = bytearray(), b"", None, None, b""
    for piece in pieces:
        if head is None:
            buffer += piece
            head = take_head(buffer)
            if head is None:
                continue
            body = body_of(head)
            piece = bytes(buffer[head.size_bytes :])
        assert body is not None
        fed = body.feed(piece)
        entity += b"".join(fed.entity)
        rest += piece[fed.consumed :]
    assert head is not None
    assert body is not None
    return head.status or 0, entity, rest, body.ended


def split(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@given(MESSAGES, st.lists(st.integers(0, 10_000), max_size=12))
def test_however_the_bytes_are_cut_the_message_is_the_same(
    message: Message, places: list[int]
) -> None:
    found = receive(split(message.wire + AFTER, places))
    assert found == (200, message.entity, AFTER, True)


@given(MESSAGES)
def test_h11_agrees_on_entity_and_end(message: Message) -> None:
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("Host", "a.example")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(message.wire + AFTER)
    entity = b""
    while not isinstance(event := judge.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            entity += bytes(event.data)
    assert (entity, judge.trailing_data[0]) == receive([message.wire + AFTER])[1:3]


@given(st.binary(max_size=300))
def test_bytes_that_are_no_response_are_malformed_and_nothing_else(data: bytes) -> None:
    try:
        head = take_head(data)
    except Malformed:
        return
    if head is not None:
        body_of(head).feed(data[head.size_bytes :])


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_chunked_body_never_takes_more_than_it_is_given(data: bytes, cut: int) -> None:
    body = ChunkedBody()
    for piece in (data[:cut], data[cut:]):
        fed = body.feed(piece)
        assert 0 <= fed.consumed <= len(piece)
        assert sum(map(len, fed.entity)) <= len(piece)


@pytest.mark.parametrize(
    ("fields", "needs_close", "ended"),
    [
        (b"Content-Length: 5\r\n", False, False),
        (b"Content-Length: 0\r\n", False, True),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", False, False),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", True, False),
        (b"Content-Length: five\r\n", True, False),
        (b"Transfer-Encoding: gzip, chunked\r\n", False, False),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", False, False),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", True, False),
        (b"Transfer-Encoding: chunked, gzip\r\nContent-Length: 5\r\n", True, False),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", False, False),
        (b"Transfer-Encoding: chunked, identity\r\n", False, False),
        (b"", True, False),
    ],
)
def test_how_a_body_is_framed(fields: bytes, needs_close: bool, ended: bool) -> None:
    head = take_head(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    assert head is not None
    body = body_of(head)
    assert (body.needs_close, body.ended) == (needs_close, ended)


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_never_have_a_body(status: int) -> None:
    head = take_head(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    assert head is not None
    assert body_of(head).ended


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_whether_the_connection_can_be_used_again(head: bytes, expected: bool) -> None:
    taken = take_head(head)
    assert taken is not None
    assert keeps_alive(taken) is expected


def test_a_bare_line_feed_ends_a_line_too() -> None:
    head = take_head(b"HTTP/1.1 404 Not Found\nContent-Length: 0\n\nrest")
    assert head is not None
    assert head.status == 404
