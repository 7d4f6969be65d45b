"""One connection to a host: sends a request, receives its answer, keeps every byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from healtharchive.crawl.exchange import Digests, SpooledBody
from healtharchive.warc.http1 import (
    Body,
    ChunkedBody,
    Malformed,
    body_of,
    keeps_alive,
    take_head,
)
from healtharchive.warc.payload import HttpHead

SWITCHING = 101  # what follows is another protocol, which nobody asked for


class NoAnswer(Exception):
    """No usable answer came: `kind` is timeout, disconnect or protocol."""

    def __init__(self, kind: str, detail: str, *, untouched: bool = False) -> None:
        self.kind = kind
        self.detail = detail
        self.untouched = untouched  # not one byte of an answer had come
        super().__init__(f"{kind}: {detail}")


@dataclass(slots=True)
class Reception:
    """An answer as far as it has come in."""

    directory: Path
    head: HttpHead | None = None
    head_bytes: bytes = b""
    body: SpooledBody | None = None
    digests: Digests | None = None
    truncated: str = ""


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    `idle_seconds` without a byte, or `total_seconds` in all, end an exchange.
    """

    def __init__(self, directory: Path, page_bytes: int, idle_seconds: float) -> None:
        self.ip = ""
        self.tls = ""
        self.cipher = ""
        self.reusable = False
        self.closed = False
        self.used = 0
        self.idle_since = 0.0
        self._directory = directory
        self._page_bytes = page_bytes
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reception] | None = None
        self._reception = Reception(directory)
        self._method = "GET"
        self._framing: Body | None = None
        self._buffer = bytearray()
        self._heard_at = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.ip = str(peer[0]) if peer else ""
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.tls = tls.version() or ""
            self.cipher = (tls.cipher() or ("",))[0]

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._waiter is None:
            self.abort()  # bytes that nobody asked for
            return
        try:
            if self._framing is None:
                self._take_head(data)
            else:
                self._take_body(data)
        except Malformed as error:
            self._fail(NoAnswer("protocol", str(error)))
        except OSError as error:  # the disk, not the network
            self._fail(error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiter is None:
            return
        if self._framing is not None and self._framing.needs_close and exc is None:
            self._finish("")
        elif self._reception.head is not None:
            self._finish("disconnect")
        else:
            detail = str(exc) if exc else "the connection was closed"
            self._fail(NoAnswer("disconnect", detail, untouched=not self._buffer))

    # -- an exchange ---------------------------------------------------------------------------

    async def exchange(
        self, request: bytes, total_seconds: float, *, method: str = "GET"
    ) -> Reception:
        """Send a request of this method and wait for its answer.

        NoAnswer when none came; an answer that was cut off is one, with `truncated`. OSError is
        the disk's, where a long body is kept.
        """
        assert self._transport is not None
        self.used += 1
        self.reusable = False
        self._reception = Reception(self._directory)
        self._method = method
        self._framing = None
        self._buffer.clear()
        self._waiter = self._loop.create_future()
        self._heard_at = self._loop.time()
        self._deadline = self._heard_at + total_seconds
        self._timer = self._loop.call_later(self._idle_seconds, self._look_at_the_clock)
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self._waiter = None
            self.abort()
            raise
        finally:
            self._timer.cancel()

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _look_at_the_clock(self) -> None:
        now = self._loop.time()
        due = min(self._heard_at + self._idle_seconds, self._deadline)
        if now < due:
            self._timer = self._loop.call_later(due - now, self._look_at_the_clock)
        elif self._reception.head is not None:
            self._finish("time")
        else:
            self._fail(NoAnswer("timeout", "no answer in time"))

    # -- receiving -----------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        self._buffer += data
        while (head := take_head(self._buffer)) is not None:
            rest = bytes(self._buffer[head.size_bytes :])
            if 100 <= (head.status or 0) < 200 and head.status != SWITCHING:
                self._buffer = bytearray(rest)  # an interim answer; the real one follows
                if not rest:
                    return
                continue
            head_bytes = bytes(self._buffer[: head.size_bytes])
            self._begin_body(head, head_bytes, rest)
            return

    def _begin_body(self, head: HttpHead, head_bytes: bytes, rest: bytes) -> None:
        framing = self._framing = body_of(head, self._method)
        reception = self._reception
        reception.head = head
        reception.head_bytes = head_bytes
        reception.body = SpooledBody(self._directory)
        reception.digests = Digests(head_bytes, chunked=isinstance(framing, ChunkedBody))
        if framing.ended:
            self._finish("", left_over=bool(rest))
        elif rest:
            self._take_body(rest)

    def _take_body(self, data: bytes) -> None:
        framing, reception = self._framing, self._reception
        assert framing is not None
        assert reception.body is not None
        assert reception.digests is not None
        room = self._page_bytes - reception.body.size_bytes
        within = data if len(data) <= room else data[:room]
        fed = framing.feed(within)
        raw = within if fed.consumed == len(within) else within[: fed.consumed]
        reception.body.write(raw)
        reception.digests.add(raw, fed.entity)
        if framing.ended:
            self._finish("", left_over=fed.consumed < len(data))
        elif framing.broken:
            self._finish("disconnect")
        elif within is not data:
            self._finish("length")

    def _finish(self, truncated: str, *, left_over: bool = False) -> None:
        reception, framing = self._reception, self._framing
        assert reception.head is not None
        assert framing is not None
        reception.truncated = truncated
        self.reusable = (
            not truncated
            and not left_over
            and not framing.needs_close
            and not self.closed
            and reception.head.status != SWITCHING
            and keeps_alive(reception.head)
        )
        waiter, self._waiter = self._waiter, None
        if not self.reusable:
            self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(reception)

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if self._reception.body is not None:
            self._reception.body.close()
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
