"""One HTTP exchange as it went over the wire, byte for byte."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from healtharchive.warc.payload import Dechunker

SPILL_BYTES = 1_000_000
CHUNK_BYTES = 1 << 18


class SpooledBody:
    """The bytes of a body as received: in memory, and in a temporary file once they are many.

    OSError when the file cannot be written (the disk is full).
    """

    def __init__(self, directory: Path) -> None:
        self.size_bytes = 0
        self._directory = directory
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        """Add bytes at the end."""
        self.size_bytes += len(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._pieces.append(piece)
        if self.size_bytes > SPILL_BYTES:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - until close()
            self._file.write(b"".join(self._pieces))
            self._pieces = []

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the beginning, piece by piece."""
        if self._file is None:
            yield from self._pieces
            return
        self._file.seek(0)
        while piece := self._file.read(CHUNK_BYTES):
            yield piece

    def read(self) -> bytes:
        """All bytes at once."""
        if self._file is None and len(self._pieces) == 1:
            return self._pieces[0]
        return b"".join(self.chunks())

    def close(self) -> None:
        """Let go of them."""
        self._pieces = []
        if self._file is not None:
            self._file.close()
            self._file = None


class Digests:
    """The digests of a response while it comes in: of its block, and of its entity.

    The entity's is kept apart only where the framing makes a difference.
    """

    def __init__(self, head: bytes, *, chunked: bool) -> None:
        self._block = hashlib.sha256(head)
        self._entity = hashlib.sha256()
        self.entity_bytes = 0
        self.chunked = chunked

    def add(self, raw: bytes, entity: tuple[bytes, ...]) -> None:
        """Take bytes as received, and the entity in them."""
        self._block.update(raw)
        for piece in entity:
            self._entity.update(piece)
            self.entity_bytes += len(piece)

    @property
    def block(self) -> str:
        """SHA-256 of head and body as received, in hex."""
        return self._block.hexdigest()

    @property
    def entity(self) -> str:
        """SHA-256 of the body without chunks, in hex."""
        return self._entity.hexdigest()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. `truncated`: empty, length, time, disconnect (WARC 1.1 §5.13)."""

    url: str
    request: bytes
    response_head: bytes
    body: SpooledBody
    status: int
    headers: tuple[tuple[str, str], ...]
    chunked: bool
    entity_digest: str
    entity_bytes: int
    block_digest: str
    ip: str
    tls: str
    cipher: str
    started_at: datetime
    elapsed_seconds: float
    truncated: str

    def entity(self) -> bytes:
        """The body without its chunks, content codings kept."""
        return b"".join(self._pieces()) if self.chunked else self.body.read()

    def beginning(self, most_bytes: int) -> bytes:
        """At most so many of the entity's first bytes; no more of it is held in memory."""
        kept = bytearray()
        for piece in self._pieces():
            kept += piece[: most_bytes - len(kept)]
            if len(kept) >= most_bytes:
                break
        return bytes(kept)

    def _pieces(self) -> Iterator[bytes]:
        if not self.chunked:
            return self.body.chunks()
        dechunker = Dechunker()
        return map(dechunker.feed, self.body.chunks())
