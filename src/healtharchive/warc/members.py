"""The parts of a WARC file: gzip members (or plain records), and where the next one begins.

Own code around isal rather than FastWARC's iterator: FastWARC takes a torn last member for a
whole record of zero bytes, gives no length, and cannot go on after damage. It inflates no faster.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from isal import isal_zlib

GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_WBITS = 31
# isal's stub gives the class the type of an instance.
INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]
RECORD_MAGIC = b"WARC/"
PLAIN_RECORD = re.compile(rb"\nWARC/[0-9]\.")
PLAIN_BYTES = len(b"\nWARC/1.")
WINDOW_BYTES = 1 << 18
# What is given to the inflater at once: what it leaves over is copied, so not the whole window.
STEP_BYTES = 1 << 14
PIECE_BYTES = 1 << 18
SCAN_BYTES = 1 << 20
# How much of a candidate is inflated to see whether a record begins there, and what it costs.
CANDIDATE_BYTES = 1 << 12
PATIENCE_BYTES = 1 << 30
PATIENCE_FACTOR = 32

WarcSource = str | os.PathLike[str] | BinaryIO


class Damaged(Exception):
    """These bytes are not a whole record. `torn`: the file ends before the record does."""

    def __init__(self, reason: str, *, torn: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.torn = torn


class WarcBytes:
    """The bytes of a path or of a seekable binary stream, by position, through one window.

    Raises OSError when they cannot be read: that is the disk's fault, not the record's.
    """

    def __init__(self, source: WarcSource, window_bytes: int = WINDOW_BYTES) -> None:
        self.source = source
        self._window_bytes = window_bytes
        path = path_of(source)
        self._owned = path is not None
        self._stream = path.open("rb") if path else cast(BinaryIO, source)
        self.size = self._stream.seek(0, os.SEEK_END)
        self._base = 0
        self._window = memoryview(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned:
            self._stream.close()

    def some(self, offset: int) -> memoryview:
        """At least one byte from `offset` on, or none at the end of the file."""
        begin = offset - self._base
        if not 0 <= begin < len(self._window):
            self._window = memoryview(self.exactly(offset, self._window_bytes))
            self._base = offset
            begin = 0
        return self._window[begin:]

    def exactly(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, fewer only at the end of the file."""
        self._stream.seek(offset)
        pieces: list[bytes] = []
        while count > 0 and (piece := self._stream.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


class GzipMember:
    """One gzip member, inflated piece by piece in constant memory."""

    def __init__(self, source: WarcBytes, offset: int) -> None:
        self.offset = offset
        self.inflated_bytes = 0
        self._source = source
        self._position = offset
        self._pending = b""
        self._inflater = isal_zlib.decompressobj(GZIP_WBITS)

    @property
    def length(self) -> int:
        """Compressed bytes inflated so far; of an ended member, its whole length."""
        unread = len(self._pending) + len(self._inflater.unused_data)
        return self._position - self.offset - unread

    def read(self) -> bytes:
        """The next inflated bytes, at most PIECE_BYTES; none once the member has ended.

        The end includes the member's checksum. Raises Damaged.
        """
        while not self._inflater.eof:
            given = self._pending or self._next_step()
            try:
                piece: bytes = self._inflater.decompress(given, PIECE_BYTES)
            except INFLATE_ERROR as error:
                raise Damaged(f"the gzip member is damaged ({error})") from None
            self._pending = self._inflater.unconsumed_tail
            self.inflated_bytes += len(piece)
            if piece:
                return piece
            if not given and not self._inflater.eof:
                raise Damaged("the file ends inside a gzip member", torn=True)
            if given and len(self._pending) == len(given):
                raise Damaged("the gzip member is damaged (the inflater makes no progress)")
        return b""

    def _next_step(self) -> bytes:
        step = bytes(self._source.some(self._position)[:STEP_BYTES])
        self._position += len(step)
        return step


class PlainRegion:
    """The uncompressed bytes from `offset` to the end of the file, read like a member."""

    def __init__(self, source: WarcBytes, offset: int) -> None:
        self.inflated_bytes = 0
        self._source = source
        self._position = offset

    def read(self) -> bytes:
        """The next bytes; none at the end of the file."""
        piece = bytes(self._source.some(self._position)[:STEP_BYTES])
        self._position += len(piece)
        self.inflated_bytes += len(piece)
        return piece


class Patience:
    """How much work damage may cost in all, in bytes, so that a crafted file cannot hold us."""

    def __init__(self, file_bytes: int) -> None:
        self.left = PATIENCE_BYTES + PATIENCE_FACTOR * file_bytes

    def spend(self, count: int) -> bool:
        """Take `count` bytes of work off; False when there was not that much left."""
        self.left -= count
        return self.left > 0


def is_compressed(source: WarcBytes) -> bool:
    """Whether the file is made of gzip members; a damaged beginning is looked past."""
    head = source.exactly(0, SCAN_BYTES)
    if head.startswith((GZIP_MAGIC, RECORD_MAGIC)):
        return head.startswith(GZIP_MAGIC)
    return not PLAIN_RECORD.search(head) or GZIP_MAGIC in head[: head.find(RECORD_MAGIC)]


def next_member(source: WarcBytes, start: int, stop: int, patience: Patience) -> int | None:
    """Where the first gzip member with a record inside begins, from `start` to before `stop`."""
    for base, chunk in _stretches(source, start, stop, len(GZIP_MAGIC) - 1, patience):
        found = chunk.find(GZIP_MAGIC)
        while found >= 0:
            if not patience.spend(CANDIDATE_BYTES):
                return None
            if _holds_record(source, base + found):
                return base + found
            found = chunk.find(GZIP_MAGIC, found + 1)
    return None


def _holds_record(source: WarcBytes, offset: int) -> bool:
    inflater = isal_zlib.decompressobj(GZIP_WBITS)
    try:
        head = inflater.decompress(source.exactly(offset, CANDIDATE_BYTES), len(RECORD_MAGIC))
    except INFLATE_ERROR:
        return False
    return bool(head == RECORD_MAGIC)


def next_plain(source: WarcBytes, start: int, stop: int, patience: Patience) -> int | None:
    """Where the first line that opens a plain record begins, from `start` to before `stop`."""
    for base, chunk in _stretches(source, max(start - 1, 0), stop - 1, PLAIN_BYTES - 1, patience):
        if found := PLAIN_RECORD.search(chunk):
            return base + found.start() + 1
    return None


def _stretches(
    source: WarcBytes, start: int, stop: int, overlap: int, patience: Patience
) -> Iterator[tuple[int, bytes]]:
    """The file in growing pieces, each with its position and `overlap` bytes of the next one.

    They begin small, because what is looked for is mostly near.
    """
    size = STEP_BYTES
    while start < stop and patience.spend(size):
        size = min(size, stop - start)
        yield start, source.exactly(start, size + overlap)
        start += size
        size = min(2 * size, SCAN_BYTES)


def path_of(source: WarcSource) -> Path | None:
    """The path behind a source, None for a stream."""
    return Path(source) if isinstance(source, str | os.PathLike) else None
