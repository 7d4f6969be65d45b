"""A small site on loopback whose answers are given as raw bytes; it keeps what it was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme

HOST = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\n"


def ok(body: bytes, mime: str = "text/plain", *more: str) -> bytes:
    """A whole answer with a Content-Length."""
    lines = [f"Content-Type: {mime}", *more, f"Content-Length: {len(body)}"]
    return OK + "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in."""

    head: bytes
    body: bytes
    connection: int

    @property
    def method(self) -> str:
        """Its method."""
        return self.head.split(b" ", 1)[0].decode()

    @property
    def path(self) -> str:
        """Its target."""
        return self.head.split(b" ", 2)[1].decode()

    def lines(self) -> list[str]:
        """Its field lines in order."""
        return self.head.decode("latin-1").split("\r\n")[1:-2]


@dataclass
class RawSite:
    """Answers `METHOD path`, else `path`, with the bytes given for it; others with 404.

    To those in `held` only once their event is set. After those in `last` the connection ends.
    """

    answers: dict[str, bytes]
    last: frozenset[str] = frozenset()
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def times(self) -> Counter[str]:
        """How often each method and path was asked for."""
        return Counter(f"{each.method} {each.path}" for each in self.asked)

    def of(self, path: str) -> Asked:
        """The one request for this path."""
        (found,) = [each for each in self.asked if each.path == path]
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self.connections += 1
        number = self.connections
        self._open.add(writer)
        try:
            while (asked := await self._request(reader, number)) is not None:
                self.asked.append(asked)
                if asked.path in self.held:
                    await self.held[asked.path].wait()
                writer.write(self._answer(asked))
                await writer.drain()
                if asked.path in self.last:
                    return
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def end(self) -> None:
        """Let go of every connection."""
        for event in self.held.values():
            event.set()
        for writer in self._open:
            writer.transport.abort()
        while self._open:
            await asyncio.sleep(0.01)

    def _answer(self, asked: Asked) -> bytes:
        missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        key = f"{asked.method} {asked.path}"
        answer = self.answers.get(key) or self.answers.get(asked.path, missing)
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if asked.method == "HEAD" else answer

    async def _request(self, reader: asyncio.StreamReader, number: int) -> Asked | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            return Asked(head, await reader.readexactly(length), number)
        except asyncio.IncompleteReadError:
            return None


@asynccontextmanager
async def serving(site: RawSite, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawSite]:
    """The site, listening on a port of its own."""
    server = await asyncio.start_server(site.serve, HOST, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    site.url = f"{'https' if tls else 'http'}://{HOST}:{port}"
    try:
        yield site
    finally:
        server.close()
        await site.end()


def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A TLS context for a client, and one of a server that this client trusts."""
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    root = trustme.CA()
    root.configure_trust(ours)
    root.issue_cert(HOST).configure_cert(theirs)
    return ours, theirs


async def until(question: Callable[[], object]) -> None:
    """Wait for a true answer, within the time-out that is around it."""
    while not question():
        await asyncio.sleep(0.01)
