"""The proxy a browser is sent through: every request goes to an answerer, every answer is relayed.

It decides nothing and records nothing: see `gathering`. It never serves on its own account, so a
page that finds its port reaches nothing by it that it could not reach anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.incoming import (
    Arrived,
    Fields,
    Incoming,
    Unacceptable,
    absolute_url,
    split_authority,
    url_at,
)
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.transport import FetchFailed
from healtharchive.warc.http1 import body_of, keeps_alive, take_head

HOST = "127.0.0.1"
BACKLOG = 128
HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
LINGER_SECONDS = 1.0
REFUSAL_FIELD = "X-Archive-Refusal"
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """What the browser wants: an absolute URL, and the fields as it wrote them."""

    method: str
    url: str
    fields: Fields
    body: bytes

    def value(self, name: str) -> str:
        """The first value of a field, by its lower-case name; empty when it is not there."""
        return next((value for each, value in self.fields if each.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer of our own, which is in no archive."""

    status: int
    text: str = ""
    fields: Fields = ()


class Answerer(Protocol):
    """Whoever has the answers. One request's wait is no other's."""

    async def answer(self, request: ProxyRequest) -> Exchange | Canned:
        """The answer. FetchFailed when there is none; the exchange's body is the asker's to close.

        When the asker is cancelled, whatever is being recorded is recorded nevertheless.
        """


class RecordingProxy:
    """One listening port on loopback. `answerer` may be exchanged between two pages."""

    def __init__(self, authority: Authority, answerer: Answerer) -> None:
        self.answerer = answerer
        self._authority = authority
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Begin to listen; the port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, backlog=BACKLOG)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End every connection, whatever it is in the middle of."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(set(self._serving), timeout=CLOSE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()  # the browser has gone away, or this proxy is closing
        finally:
            self._serving.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _Conversation(reader, writer)
        try:
            while (arrived := await talk.incoming.next()) is not None:
                if arrived.method == "CONNECT" and talk.origin is None:
                    await self._open_tunnel(talk, arrived)
                elif not await self._answer(talk, arrived):
                    return
        except Unacceptable as error:
            await talk.say_canned(Canned(error.status, str(error)), "GET", lasting=False)
            await talk.linger()

    async def _open_tunnel(self, talk: _Conversation, arrived: Arrived) -> None:
        host, port = split_authority(arrived.target, 443)
        try:
            context = self._authority.context_for(host.strip("[]"))
        except ValueError as error:
            raise Unacceptable(400, f"{host[:80]!r} is no host") from error
        await talk.say(CONNECTED)
        await talk.secure(context, (host, port))

    async def _answer(self, talk: _Conversation, arrived: Arrived) -> bool:
        """Answer one request; whether another may follow."""
        request = ProxyRequest(
            arrived.method, talk.url_of(arrived.target), arrived.fields, arrived.body
        )
        try:
            if any("websocket" in value.lower() for value in arrived.values("upgrade")):
                answer: Exchange | Canned = Canned(501, "WebSockets are not archived")
            else:
                answer = await self.answerer.answer(request)
        except FetchFailed as failure:
            answer = Canned(502, str(failure), ((REFUSAL_FIELD, failure.kind),))
        if isinstance(answer, Canned):
            return await talk.say_canned(answer, arrived.method, lasting=arrived.lasting)
        try:
            return await talk.relay(answer, arrived.method) and arrived.lasting
        finally:
            answer.body.close()


class _Conversation:
    """One connection of the browser's. `origin` is its tunnel's host and port, if it is one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.origin: tuple[str, int] | None = None
        self._reader = reader
        self._writer = writer
        self.incoming = Incoming(reader, self.say)

    async def secure(self, context: ssl.SSLContext, origin: tuple[str, int]) -> None:
        """Be this host, in TLS, from now on."""
        await self._writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE_SECONDS)
        self.origin = origin
        self.incoming = Incoming(self._reader, self.say)

    def url_of(self, target: str) -> str:
        """The absolute URL of a request target here. Unacceptable if it has none."""
        if self.origin is None:
            return absolute_url(target)
        if not target.startswith("/"):
            raise Unacceptable(400, "within a tunnel a request names a path")
        return url_at("https", *self.origin, target.partition("#")[0])

    async def say(self, data: bytes) -> None:
        """Send bytes, at the browser's pace."""
        self._writer.write(data)
        await self._writer.drain()

    async def relay(self, exchange: Exchange, method: str) -> bool:
        """Send an answer byte for byte as it came; whether the connection may go on after it."""
        await self.say(exchange.response_head)
        for piece in exchange.body.chunks():
            await self.say(piece)
        head = take_head(exchange.response_head)
        if head is None or exchange.truncated or body_of(head, method).needs_close:
            return False
        return keeps_alive(head)

    async def say_canned(self, answer: Canned, method: str, *, lasting: bool) -> bool:
        """Send an answer of our own; `lasting`."""
        text = f"{answer.text}\n".encode() if answer.text else b""
        fields = [*answer.fields, ("Cache-Control", "no-store")]
        if answer.status != HTTPStatus.NO_CONTENT:
            fields.append(("Content-Type", "text/plain; charset=utf-8"))
            fields.append(("Content-Length", str(len(text))))
        if not lasting:
            fields.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        await self.say(head if method == "HEAD" else head + text)
        return lasting

    async def linger(self) -> None:
        """Read what still comes, for a moment: a browser that is sending sees its answer then."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(1 << 16):
                    pass
