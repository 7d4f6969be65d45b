"""What a browser sends to its proxy: one request after the other, from one connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

READ_BYTES = 1 << 16
HEAD_BYTES = 1 << 18
MOST_CONTENT_BYTES = 20_000_000
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:@/?#\[\]]+)(?::([0-9]{1,5}))?")

Fields = tuple[tuple[str, str], ...]


class Unacceptable(Exception):
    """A request that is answered with this status, after which the connection ends."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One whole request as the browser sent it. `lasting`: another may follow it."""

    method: str
    target: str
    fields: Fields
    body: bytes
    lasting: bool

    def values(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for each, value in self.fields if each.lower() == name]


class Incoming:
    """Finds where requests end (RFC 9112) in what comes from one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, say: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._reader = reader
        self._say = say
        self._left_over = b""
        self._ended = False

    async def next(self) -> Arrived | None:
        """The next request; None when the browser has hung up before it was whole.

        Unacceptable when it is none, or too large.
        """
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        if self._left_over:
            parser.receive_data(self._left_over)
        try:
            request = await self._event(parser)
            if not isinstance(request, h11.Request):
                return None
            body = await self._content(parser, request)
        except h11.RemoteProtocolError as error:
            raise Unacceptable(error.error_status_hint, f"this is no request: {error}") from error
        if body is None:
            return None
        self._left_over = bytes(parser.trailing_data[0])
        fields = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.headers.raw_items()
        )
        return Arrived(
            method=request.method.decode("ascii"),
            target=request.target.decode("latin-1"),
            fields=fields,
            body=body,
            lasting=parser.their_state is not h11.MUST_CLOSE and not self._ended,
        )

    async def _content(self, parser: h11.Connection, request: h11.Request) -> bytes | None:
        lengths = [value for name, value in request.headers if name == b"content-length"]
        if lengths and int(lengths[0]) > MOST_CONTENT_BYTES:
            raise Unacceptable(413, f"more than {MOST_CONTENT_BYTES} bytes of content")
        pieces, size = [], 0
        while not isinstance(event := await self._event(parser), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            pieces.append(bytes(event.data))
            size += len(event.data)
            if size > MOST_CONTENT_BYTES:
                raise Unacceptable(413, f"more than {MOST_CONTENT_BYTES} bytes of content")
        return b"".join(pieces)

    async def _event(self, parser: h11.Connection) -> object:
        told = False
        while (event := parser.next_event()) is h11.NEED_DATA:
            if parser.they_are_waiting_for_100_continue and not told:
                told = True
                await self._say(GO_ON)
            data = await self._reader.read(READ_BYTES)
            self._ended = not data
            if self._ended and parser.their_state is not h11.IDLE:
                return None  # in the middle of a request
            parser.receive_data(data)
        return event


def split_authority(text: str, default_port: int) -> tuple[str, int]:
    """Host (an IPv6 address in brackets) and port. Unacceptable when it is neither."""
    found = AUTHORITY.fullmatch(text)
    port = int(found[2] or default_port) if found else 0
    if found is None or not 0 < port < 65536:
        raise Unacceptable(400, f"{text[:80]!r} is no host and port")
    return found[1].lower(), port


def absolute_url(target: str) -> str:
    """The URL of a request in absolute form. Unacceptable for every other form."""
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise Unacceptable(400, f"{target[:80]!r} is no URL") from error
    if parts.scheme.lower() != "http" or not parts.netloc:
        raise Unacceptable(400, "this is a proxy: it takes absolute http URLs and CONNECT only")
    host, port = split_authority(parts.netloc, 80)
    rest = target.partition("://")[2][len(parts.netloc) :].partition("#")[0]
    return url_at("http", host, port, rest if rest.startswith("/") else f"/{rest}")


def url_at(scheme: str, host: str, port: int, path: str) -> str:
    """The URL of a path at a host, without a port that goes without saying."""
    usual = 443 if scheme == "https" else 80
    return f"{scheme}://{host}{path}" if port == usual else f"{scheme}://{host}:{port}{path}"
