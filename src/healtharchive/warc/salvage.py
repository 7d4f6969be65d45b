"""Salvage: the confirmed records of an unsealed segment, re-read, in a file of their own.

The old file may have had a failed fsync, and a stopped writer may still hold it open, so it is
never written to again: what was confirmed is copied to a new file, record by record, and every
record's block digest is checked on the way.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from healtharchive.warc.digest import sha256_file
from healtharchive.warc.members import GZIP_WBITS, INFLATE_ERROR
from healtharchive.warc.record import RECORD_END
from healtharchive.warc.segment import OPEN_SUFFIX, fsync_directory, name_finally

TAKEN_SUFFIX = ".taken"
COPY_SUFFIX = ".salvage"
HEADER_LIMIT_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Span:
    """A run of whole records that were confirmed together: bytes from the file's start."""

    id: int
    offset: int
    length: int
    records: int


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The new file: where each good span now lies, and which spans could not be read."""

    sha256: str
    size_bytes: int
    records: int
    moved: tuple[Span, ...]
    lost: tuple[Span, ...]


def take(directory: Path, name: str) -> Path | None:
    """Take an unsealed segment away from whoever may still write it; where it now is.

    A stale writer's later rename of its `.open` file then fails. None when there is no such file.
    Repeating it after a crash finds the file under its taken name.
    """
    taken = directory / (name + TAKEN_SUFFIX)
    try:
        os.rename(directory / (name + OPEN_SUFFIX), taken)
        fsync_directory(directory)
    except FileNotFoundError:
        return taken if taken.exists() else None
    return taken


def salvage(source: Path, final: Path, spans: Sequence[Span]) -> Salvaged:
    """Copy the readable `spans` of `source` to `final`, durable under its name when this returns.

    A span whose records cannot be read or do not match their digests is listed as lost and
    left out. Raises OSError when the new file cannot be written, FileExistsError when another one
    has its name: only what an interrupted salvage of the same bytes left there is taken as it is.
    """
    copy = final.with_name(final.name + COPY_SUFFIX)
    digest = hashlib.sha256()
    moved: list[Span] = []
    lost: list[Span] = []
    position = 0
    with source.open("rb") as old, copy.open("wb") as new:
        for span in sorted(spans, key=lambda each: each.offset):
            if not span_is_whole(old, span):
                lost.append(span)
                continue
            for chunk in _range(old, span.offset, span.length):
                digest.update(chunk)
                new.write(chunk)
            moved.append(Span(span.id, position, span.length, span.records))
            position += span.length
        new.flush()
        os.fsync(new.fileno())
    if final.exists() and sha256_file(final) == (digest.hexdigest(), position):
        copy.unlink()
    else:
        name_finally(copy, final)
    fsync_directory(final.parent)
    records = sum(span.records for span in moved)
    return Salvaged(digest.hexdigest(), position, records, tuple(moved), tuple(lost))


def span_is_whole(stream: BinaryIO, span: Span) -> bool:
    """Whether the span holds exactly its records, each whole and equal to its block digest."""
    checker = _RecordChecker()
    try:
        for chunk in _range(stream, span.offset, span.length):
            checker.feed(chunk)
    except (INFLATE_ERROR, ValueError, EOFError):
        return False
    except OSError as error:
        # A bad sector costs the records on it. Of a lost mount nothing can be said: that is raised.
        if error.errno != errno.EIO:
            raise
        return False
    return checker.finished and checker.records == span.records


def _range(stream: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    stream.seek(offset)
    left = length
    while left:
        chunk = stream.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise EOFError("the file ends inside a confirmed record")
        left -= len(chunk)
        yield chunk


class _RecordChecker:
    """Checks gzip members one after another, each one WARC record, in constant memory."""

    def __init__(self) -> None:
        self.records = 0
        self._begin()

    def _begin(self) -> None:
        self._unpacker = isal_zlib.decompressobj(GZIP_WBITS)
        self._header = b""
        self._block_left: int | None = None
        self._digest = hashlib.sha256()
        self._expected = b""
        self._tail = b""
        self._started = False

    @property
    def finished(self) -> bool:
        return not self._started

    def feed(self, data: bytes) -> None:
        while data:
            self._started = True
            self._plain(self._unpacker.decompress(data))
            if not self._unpacker.eof:
                return
            data = self._unpacker.unused_data
            self._end_record()

    def _plain(self, data: bytes) -> None:
        if self._block_left is None:
            self._header += data
            end = self._header.find(RECORD_END)
            if end < 0:
                if len(self._header) > HEADER_LIMIT_BYTES:
                    raise ValueError("a record header without an end")
                return
            data = self._header[end + len(RECORD_END) :]
            self._read_header(self._header[:end])
        assert self._block_left is not None
        block = data[: self._block_left]
        self._digest.update(block)
        self._block_left -= len(block)
        self._tail += data[len(block) :]
        if len(self._tail) > len(RECORD_END):
            raise ValueError("bytes after the end of a record")

    def _read_header(self, head: bytes) -> None:
        if not head.startswith(b"WARC/1."):
            raise ValueError("not a WARC record")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        self._block_left = int(fields.get(b"content-length", b""))
        self._expected = fields.get(b"warc-block-digest", b"")
        self._header = b""

    def _end_record(self) -> None:
        matches = self._expected == b"sha256:" + self._digest.hexdigest().encode()
        if self._block_left != 0 or self._tail != RECORD_END or not matches:
            raise ValueError("a record that is not whole")
        self.records += 1
        self._begin()
