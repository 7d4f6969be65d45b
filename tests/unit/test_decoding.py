"""Content decoding: whole, damaged, cut off and hostile bodies."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable

import brotli
import pytest
from fastwarc.stream_io import ZstdWriter
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.warc.decoding import Decoded, decode_content

Encode = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def quick_brotli(data: bytes) -> bytes:
    return brotli.compress(data, quality=4)


def zstandard(data: bytes) -> bytes:
    packed = io.BytesIO()
    writer = ZstdWriter(packed)
    writer.write(data)
    writer.close()
    return packed.getvalue()


CODINGS: list[tuple[str, Encode]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", quick_brotli),
    ("zstd", zstandard),
]
every_coding = pytest.mark.parametrize(("name", "encode"), CODINGS)
# Does not shrink to nothing, so that a part of it is really a part.
PAGE = b"".join(b"<p>paragraph %d %d</p>\n" % (n, n * n * 7919 % 1009) for n in range(30_000))


@every_coding
@given(data=st.binary(max_size=400))
def test_every_coding_comes_off(name: str, encode: Encode, data: bytes) -> None:
    assert decode_content(encode(data), name) == Decoded(data)


@every_coding
def test_a_body_of_many_pieces_comes_out_whole(name: str, encode: Encode) -> None:
    assert decode_content(encode(PAGE), f" {name.upper()} ") == Decoded(PAGE)


@every_coding
def test_of_a_cut_off_body_comes_what_there_is(name: str, encode: Encode) -> None:
    packed = encode(PAGE)
    decoded = decode_content(packed[: len(packed) * 9 // 10], name)
    assert decoded.problem == "cut off"
    assert len(decoded.data) > len(PAGE) // 2
    assert PAGE.startswith(decoded.data)


@every_coding
def test_damage_keeps_what_came_before_it(name: str, encode: Encode) -> None:
    packed = bytearray(encode(PAGE))
    place = len(packed) * 9 // 10
    packed[place : place + 64] = b"\xff" * 64
    decoded = decode_content(bytes(packed), name)
    assert decoded.data[:1000] == PAGE[:1000]


@every_coding
def test_a_bomb_stops_at_the_limit(name: str, encode: Encode) -> None:
    decoded = decode_content(encode(bytes(20_000_000)), name, 100_000)
    assert decoded == Decoded(bytes(100_000), "longer than 100000 bytes")


@every_coding
def test_plain_bytes_that_claim_a_coding_stay_as_they_are(name: str, encode: Encode) -> None:
    assert decode_content(b"<html>hello</html>", name) == Decoded(
        b"<html>hello</html>", f"not {name}, though it says so"
    )


def test_exactly_the_limit_is_no_problem() -> None:
    assert decode_content(gzip.compress(b"12345"), "gzip", 5) == Decoded(b"12345")
    assert decode_content(b"12345", "", 5) == Decoded(b"12345")
    assert decode_content(b"123456", "identity", 5) == Decoded(b"12345", "longer than 5 bytes")


def test_several_codings_come_off_from_the_last() -> None:
    packed = brotli.compress(gzip.compress(zlib.compress(PAGE)))
    assert decode_content(packed, "deflate, gzip,identity , br") == Decoded(PAGE)


def test_a_bomb_inside_a_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(bytes(20_000_000)))
    assert len(decode_content(bomb, "gzip, gzip", 50_000).data) == 50_000


def test_gzip_members_follow_each_other_and_padding_is_let_pass() -> None:
    members = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(512)
    assert decode_content(members, "gzip") == Decoded(b"one two")
    tail = decode_content(gzip.compress(b"one") + b"junk", "gzip")
    assert tail == Decoded(b"one", "4 bytes that are not gzip follow")


def test_an_unknown_coding_leaves_the_bytes_as_they_are() -> None:
    assert decode_content(b"abc", "utf-8") == Decoded(b"abc", "unknown content coding 'utf-8'")
    assert decode_content(gzip.compress(b"abc"), "utf-8, gzip").data == b"abc"


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "gzip,br", ",", "\0"]))
def test_no_bytes_raise(body: bytes, codings: str) -> None:
    assert len(decode_content(body, codings, 1000).data) <= 1000


def test_what_no_coding_of_ours_takes_off_is_told_from_a_slip_of_the_server() -> None:
    sent = bytes(range(256))
    assert decode_content(sent, "compress").opaque
    assert decode_content(sent, "gzip, dcb") == Decoded(sent, "unknown content coding 'dcb'", True)
    assert not decode_content(b"plain", "none").opaque
