"""Answers of the lab's site: the bytes on the wire, and the entity that a right reader gets."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

BLOCK_BYTES = 1 << 20
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `entity_sha256` is None where readers may differ about it.

    `head` and `body` go out as they are; `pause_seconds` lies between them; `close` ends the
    connection afterwards; `generated_bytes` of a fixed pattern take the body's place.
    """

    status: int
    head: bytes
    body: bytes
    entity_sha256: str | None
    close: bool = False
    pause_seconds: float = 0.0
    generated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL answers: the n-th answer to the n-th request, the last one from then on.

    With `cookie`, the first answer goes to those who do not send it and the last to those who do.
    `links` are the targets (path and query, canonical) in scope that the page leads to.
    Any of `accepted` is right for an archive to hold; the rest are passing troubles.
    `required` is False where a good crawler may or may not come; `most` is how often at most.
    """

    answers: tuple[Answer, ...]
    links: tuple[str, ...] = ()
    cookie: str = ""
    required: bool = True
    most: int | None = 1
    accepted: tuple[Answer, ...] = field(default=())

    @property
    def right(self) -> tuple[Answer, ...]:
        """The answers an archive may hold in the end."""
        return self.accepted or self.answers[-1:]


def sha256(data: bytes) -> str:
    """The hex digest, as the truth and the WARC's digest fields spell it."""
    return hashlib.sha256(data).hexdigest()


def head(status: int, headers: Headers) -> bytes:
    """A status line and headers up to the blank line."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: lab"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def plain(
    body: bytes,
    *,
    status: int = 200,
    mime: str = "text/html; charset=utf-8",
    headers: Headers = (),
    pause_seconds: float = 0.0,
) -> Answer:
    """An honest answer with a Content-Length."""
    fields = (("Content-Type", mime), *headers, ("Content-Length", str(len(body))))
    return Answer(status, head(status, fields), body, sha256(body), pause_seconds=pause_seconds)


def redirect(status: int, location: str, headers: Headers = ()) -> Answer:
    """An answer that sends the reader elsewhere."""
    body = f"<p>{status}: go to <a href='{location}'>{location}</a></p>".encode()
    return plain(body, status=status, headers=(("Location", location), *headers))


def gzipped(body: bytes, mime: str = "text/html; charset=utf-8") -> Answer:
    """Content-Encoding: gzip; the entity is the encoded body."""
    encoded = gzip.compress(body, 6, mtime=0)
    return plain(encoded, mime=mime, headers=(("Content-Encoding", "gzip"),))


def chunked(
    body: bytes, *, headers: Headers = (), size: int = 700, cut_at: int | None = None
) -> Answer:
    """Transfer-Encoding: chunked with an extension and a trailer; cut off in the midst on wish."""
    fields = (("Content-Type", "text/html; charset=utf-8"), ("Transfer-Encoding", "chunked"))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x;lab=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    framed += b"0\r\nX-Lab-Trailer: yes\r\n\r\n"
    if cut_at is None:
        return Answer(200, head(200, (*fields, *headers)), framed, sha256(body))
    return Answer(200, head(200, (*fields, *headers)), framed[:cut_at], None, close=True)


def lying(body: bytes, declared_bytes: int) -> Answer:
    """A Content-Length that is not the body's; the connection ends after the body."""
    fields = (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(declared_bytes)))
    return Answer(200, head(200, fields), body, sha256(body[:declared_bytes]), close=True)


def generated(size_bytes: int) -> Answer:
    """A big file that is made while it is sent."""
    fields = (("Content-Type", "application/octet-stream"), ("Content-Length", str(size_bytes)))
    digest = _digest_of_pattern(size_bytes)
    return Answer(200, head(200, fields), b"", digest, generated_bytes=size_bytes)


@lru_cache(maxsize=1)
def pattern() -> bytes:
    """One block of bytes that no compressor can shrink, the same in every process."""
    return random.Random(1).randbytes(BLOCK_BYTES)


def blocks(size_bytes: int) -> Iterator[memoryview]:
    """The pattern, over and over, to this length."""
    view = memoryview(pattern())
    while size_bytes > 0:
        yield view[:size_bytes]
        size_bytes -= BLOCK_BYTES


@lru_cache(maxsize=4)
def _digest_of_pattern(size_bytes: int) -> str:
    digest = hashlib.sha256()
    for block in blocks(size_bytes):
        digest.update(block)
    return digest.hexdigest()
