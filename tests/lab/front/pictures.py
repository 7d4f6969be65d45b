"""Pictures and a film made by hand: small, each its own, the same in every process."""

from __future__ import annotations

import random
import struct
import zlib

# A whole VP8 key frame (RFC 6386) of one pixel.
KEY_FRAME = bytes.fromhex("30 01 00 9d 01 2a 01 00 01 00 0e c0 fe 25 a4 00 03 70 00 00 00 00")
FRAME_MILLISECONDS = 40
FILM_FRAMES = 50


def png(name: str, width: int, height: int) -> bytes:
    """A picture of one colour, which its name decides, and a name that no other picture has."""
    colour = zlib.crc32(name.encode()).to_bytes(4, "big")[:3]
    rows = (b"\0" + colour * width) * height
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(kind, data)
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"tEXt", b"Title\0" + name.encode("latin-1")),
            (b"IDAT", zlib.compress(rows, 6)),
            (b"IEND", b""),
        )
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def film(filling_bytes: int) -> bytes:
    """A WebM of two seconds; the filling makes it long, so that players ask for parts of it."""
    track = _element("D7", b"\1") + _element("73C5", b"\1") + _element("83", b"\1")
    track += _element("86", b"V_VP8") + _element(
        "E0", _element("B0", b"\1") + _element("BA", b"\1")
    )
    duration = struct.pack(">d", float(FILM_FRAMES * FRAME_MILLISECONDS))
    segment = _element("1549A966", _element("2AD7B1", b"\x0f\x42\x40") + _element("4489", duration))
    segment += _element("1654AE6B", _element("AE", track))
    segment += _cluster(0, FILM_FRAMES // 2)
    segment += _element("EC", random.Random(1).randbytes(filling_bytes))
    segment += _cluster(FILM_FRAMES // 2, FILM_FRAMES)
    head = _element("4282", b"webm") + _element("4287", b"\2") + _element("4285", b"\2")
    return _element("1A45DFA3", head) + _element("18538067", segment)


def _cluster(first: int, end: int) -> bytes:
    starts = first * FRAME_MILLISECONDS
    blocks = _element("E7", starts.to_bytes(4, "big"))
    for number in range(first, end):
        at = number * FRAME_MILLISECONDS - starts
        blocks += _element("A3", b"\x81" + struct.pack(">hB", at, 0x80) + KEY_FRAME)
    return _element("1F43B675", blocks)


def _element(identifier: str, data: bytes) -> bytes:
    """An EBML element (RFC 8794), its size in eight bytes."""
    return bytes.fromhex(identifier) + (len(data) | 1 << 56).to_bytes(8, "big") + data
