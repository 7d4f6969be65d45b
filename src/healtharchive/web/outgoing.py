"""Archived bodies on their way to readers: all of a body is taken in before any of it is sent.

A reader may be slow or say nothing at all, and the child that reads for the next one must not wait
for that. Large bodies lie in temporary files without a name, which end with this process.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from healtharchive.web.turns import Busy

MEMORY_BYTES = 1 << 18  # a larger body lies on the disk
PIECE_BYTES = 1 << 18
MOST_BYTES = 4 << 30  # of all bodies on the disk
MOST_A_CLIENT = 16  # bodies on the disk; a browser asks for six at a time
SEND_SECONDS = 60.0  # for one piece: slower than any modem
log = logging.getLogger(__name__)


class Outgoing:
    """The large bodies that are being sent, and how much they may take. One a process."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_a_client: int = MOST_A_CLIENT) -> None:
        self._most_bytes = most_bytes
        self._most_a_client = most_a_client
        self._lock = threading.RLock()  # a forgotten body may be given up anywhere, also below it
        self._taken_bytes = 0
        self._bodies: Counter[str] = Counter()

    def spool(self, body: Generator[bytes, None, None], client: str) -> Spooled:
        """All of a body, which is closed. Busy when there is no room; what it raises passes.

        An empty `client` is nobody in particular, and may have any number.
        """
        spooled = Spooled(self, client)
        try:
            with closing(body):
                for piece in body:
                    spooled.write(piece)
        except BaseException:
            spooled.close()
            raise
        return spooled

    def take(self, share: Share, size_bytes: int) -> None:
        """Let a body have so many bytes of the disk. Busy when that is too much."""
        more = size_bytes - share.size_bytes
        with self._lock:
            if self._taken_bytes + more > self._most_bytes:
                raise Busy("As much as may be is on its way to readers already.")
            if not share.size_bytes:
                if share.client and self._bodies[share.client] >= self._most_a_client:
                    raise Busy(f"Enough large bodies are on their way to {share.client} already.")
                self._bodies[share.client] += 1
            self._taken_bytes += more
            share.size_bytes = size_bytes

    def give_back(self, share: Share) -> None:
        """The body is gone."""
        if not share.size_bytes:
            return
        with self._lock:
            self._taken_bytes -= share.size_bytes
            self._bodies[share.client] -= 1
            if not self._bodies[share.client]:
                del self._bodies[share.client]


@dataclass(slots=True)
class Share:
    """What one body takes of the disk."""

    client: str
    size_bytes: int = 0


class Spooled:
    """A body, written once and then read. Close it; one that is forgotten is closed, too."""

    def __init__(self, outgoing: Outgoing, client: str) -> None:
        self.size_bytes = 0
        self._outgoing = outgoing
        self._share = Share(client)
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 (until `close`)
        self._end = weakref.finalize(self, _end, self._file, outgoing, self._share)

    def write(self, piece: bytes) -> None:
        """Add bytes at the end. Busy when they find no room."""
        self.size_bytes += len(piece)
        if self.size_bytes > MEMORY_BYTES:
            self._outgoing.take(self._share, self.size_bytes)
        try:
            self._file.write(piece)
        except OSError as error:
            raise Busy(f"The temporary directory takes no more: {error.strerror}.") from error

    def read(self, offset: int) -> bytes:
        """A piece from byte `offset` on; empty at the end."""
        self._file.seek(offset)
        return self._file.read(PIECE_BYTES)

    def close(self) -> None:
        """Let go of it."""
        self._end()


def _end(file: IO[bytes], outgoing: Outgoing, share: Share) -> None:
    file.close()
    outgoing.give_back(share)


class Sent(Response):
    """The answer that sends a spooled body, to whoever takes each piece within SEND_SECONDS."""

    def __init__(
        self, spooled: Spooled, headers: Mapping[str, str], send_seconds: float = SEND_SECONDS
    ) -> None:
        super().__init__(headers={**headers, "Content-Length": str(spooled.size_bytes)})
        self._spooled = spooled
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and close it whatever happens. ClientDisconnect when the reader is gone."""
        request = Request(scope, receive)
        try:
            start = {"type": "http.response.start", "status": self.status_code}
            await send({**start, "headers": self.raw_headers})
            offset = 0
            while piece := await run_in_threadpool(self._spooled.read, offset):
                offset += len(piece)
                async with asyncio.timeout(self._send_seconds):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if await request.is_disconnected():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            # Without an end of the answer, the server closes the connection.
            log.warning("%s: the reader took nothing for a while", request.url.path)
        except OSError:
            raise ClientDisconnect from None
        finally:
            self._spooled.close()
