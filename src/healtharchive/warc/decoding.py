"""Content decoding: taking gzip, deflate, br and zstd off a body, as far as it can be done."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import brotli
from isal import isal_zlib

from healtharchive.warc.members import GZIP_WBITS, INFLATE_ERROR

LIMIT_BYTES = 50_000_000
# Small steps, so that damage costs little of what came before it and a bomb little memory.
STEP_BYTES = 1 << 16
PIECE_BYTES = 1 << 18
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZLIB_WBITS = 15
RAW_WBITS = -15
DEFLATE_METHOD = 8
# Codings that nothing here takes off. Any other name is a mistake ("utf-8", "none") that browsers
# pass over: what is below it is plain.
OPAQUE = (
    "aes128gcm", "bzip2", "compress", "dcb", "dcz", "exi", "lzma", "pack200-gzip", "sdch",
    "x-bzip2", "x-compress", "xz",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a body decodes to; `problem` says why that is not all of it, "" when it is.

    `opaque`: a coding is still on it, so that nobody can read it.
    """

    data: bytes
    problem: str = ""
    opaque: bool = False


class _Broken(Exception):
    """The rest of the bytes cannot be decoded."""


def decode_content(body: bytes, encodings: str, limit_bytes: int = LIMIT_BYTES) -> Decoded:
    """A body without its content codings (RFC 9110 §8.4), at most `limit_bytes` of it.

    `encodings` is the value of Content-Encoding. Never raises: of damaged or truncated bytes
    comes what could be decoded, of an unknown coding the bytes as they are.
    """
    decoded = Decoded(body)
    for coding in reversed(encodings.lower().split(",")):
        decoded = _without(coding.strip(), decoded, limit_bytes)
    if len(decoded.data) > limit_bytes:
        problem = f"longer than {limit_bytes} bytes"
        return Decoded(decoded.data[:limit_bytes], problem, decoded.opaque)
    return decoded


def _without(coding: str, before: Decoded, limit_bytes: int) -> Decoded:
    """One coding taken off; the first problem met is the one told."""
    if coding in ("", "identity") or not before.data or before.opaque:
        return before
    decode = DECODERS.get(coding)
    if decode is None:
        problem = before.problem or f"unknown content coding {coding[:40]!r}"
        return Decoded(before.data, problem, coding in OPAQUE)
    after = _collect(decode(before.data), limit_bytes)
    if after.problem and not after.data and not _looks_encoded(before.data, coding):
        # Servers that name a coding and send plain bytes: browsers of the time showed them.
        after = Decoded(before.data, f"not {coding}, though it says so")
    return Decoded(after.data, before.problem or after.problem)


def _collect(pieces: Iterator[bytes], limit_bytes: int) -> Decoded:
    kept: list[bytes] = []
    room = limit_bytes
    try:
        for piece in pieces:
            kept.append(piece[:room])
            if len(piece) > room:
                return Decoded(b"".join(kept), f"longer than {limit_bytes} bytes")
            room -= len(piece)
    except _Broken as broken:
        return Decoded(b"".join(kept), str(broken))
    return Decoded(b"".join(kept))


def _looks_encoded(data: bytes, coding: str) -> bool:
    if coding == "zstd":
        return data.startswith(ZSTD_MAGIC)
    return "gzip" in coding and data.startswith(GZIP_MAGIC)


def _gunzip(data: bytes) -> Iterator[bytes]:
    """All members one after another; padding with zeros is let pass, as gzip(1) does."""
    while data:
        rest = yield from _inflate(data, GZIP_WBITS)
        data = rest.lstrip(b"\0")
        if data and not data.startswith(GZIP_MAGIC):
            raise _Broken(f"{len(data)} bytes that are not gzip follow")


def _deflate(data: bytes) -> Iterator[bytes]:
    """With the zlib wrapper, as RFC 9110 §8.4.1.2 has it, or bare, as some servers send it."""
    wrapped = data[0] & 0x0F == DEFLATE_METHOD and int.from_bytes(data[:2], "big") % 31 == 0
    yield from _inflate(data, ZLIB_WBITS if wrapped else RAW_WBITS)


def _inflate(data: bytes, wbits: int) -> Generator[bytes, None, bytes]:
    """One stream piece by piece; returns the bytes after its end."""
    inflater = isal_zlib.decompressobj(wbits)
    position = 0
    given = b""
    while not inflater.eof:
        if not given:
            given = data[position : position + STEP_BYTES]
            position += len(given)
        try:
            piece: bytes = inflater.decompress(given, PIECE_BYTES)
        except INFLATE_ERROR as error:
            raise _Broken(f"damaged ({error})") from None
        if not piece and not given and not inflater.eof:
            raise _Broken("cut off")
        if not piece and given and len(inflater.unconsumed_tail) == len(given):
            raise _Broken("damaged (no progress)")
        given = inflater.unconsumed_tail
        if piece:
            yield piece
    return inflater.unused_data + data[position:]


def _unbrotli(data: bytes) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    for position in range(0, len(data), STEP_BYTES):
        given = data[position : position + STEP_BYTES]
        while not decompressor.is_finished():
            try:
                piece: bytes = decompressor.process(given, output_buffer_limit=PIECE_BYTES)
            except brotli.error as error:
                raise _Broken(f"damaged ({error})") from None
            given = b""
            if not piece:
                break
            yield piece
    if not decompressor.is_finished():
        raise _Broken("cut off")


def _unzstd(data: bytes) -> Iterator[bytes]:
    """All frames one after another; one with a window above 128 MB is refused (RFC 8878 §3.1.1)."""
    from fastwarc.stream_io import ZstdReader  # late: we do not ask for it, and few send it so

    reader = ZstdReader(io.BytesIO(data))
    try:
        while piece := reader.read(PIECE_BYTES):
            yield piece
    except OSError as error:  # its word for bytes that are no whole frame
        raise _Broken("cut off" if "incomplete" in str(error) else f"damaged ({error})") from None


DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
