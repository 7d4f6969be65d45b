"""A raw-socket HTTP/1.1 server for one Content: right where it should be, wrong where it must be.

One event loop and no library between it and the socket: what goes out is exactly an Answer's bytes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

from tests.lab.answers import Answer, Page, blocks
from tests.lab.content import Content

LONGEST_HEAD_BYTES = 64_000


class Served:
    """What the connections share: the content, how often each target was asked for, the log."""

    def __init__(self, content: Content, log: int, delay_seconds: float) -> None:
        self.content = content
        self.delay_seconds = delay_seconds
        self._log = log
        self._asked: Counter[str] = Counter()
        self._pages = dict(content.by_target)

    def answer(self, method: str, target: str, head: bytes) -> Answer:
        """The answer to this request, which is logged before a byte of it is sent."""
        page = self._pages.get(target) or self.content.resolve(target)
        answer = self._choose(page, target, head)
        host = _field(head, b"\r\nhost:")
        line = f"{time.time():.6f} {method} {target} {answer.status} {host}\n"
        os.write(self._log, line.encode("utf-8", "backslashreplace"))
        return answer

    def _choose(self, page: Page, target: str, head: bytes) -> Answer:
        if len(page.answers) == 1:
            return page.answers[0]
        if page.cookie and page.cookie in _field(head, b"\r\ncookie:"):
            return page.answers[-1]
        asked = self._asked[target]
        self._asked[target] += 1
        return page.answers[min(asked, len(page.answers) - 1)]


def _field(head: bytes, name: bytes) -> str:
    at = head.lower().find(name)
    if at < 0:
        return ""
    end = head.find(b"\r\n", at + 2)
    return head[at + len(name) : end].strip().decode("latin-1")


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered in turn."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._buffer = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._drained.set()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._work()

    def _work(self) -> None:
        while not self._busy and self._transport is not None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD_BYTES:
                    self._transport.close()
                return
            head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
            self._respond(head)

    def _respond(self, head: bytes) -> None:
        assert self._transport is not None
        words = head[: head.find(b"\r\n")].split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return
        method, target = words[0].decode(), words[1].decode("latin-1")
        answer = self._served.answer(method, target, head)
        last = words[2] == b"HTTP/1.0" or b"connection: close" in head.lower()
        if method == "HEAD":
            self._transport.write(answer.head)
            self._finish(last)
        elif self._served.delay_seconds or answer.pause_seconds or answer.generated_bytes:
            self._busy = True
            self._task = asyncio.create_task(self._send_slowly(answer, last))
        else:
            self._transport.write(answer.head + answer.body)
            self._finish(last or answer.close)

    def _finish(self, last: bool) -> None:
        if last and self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _send_slowly(self, answer: Answer, last: bool) -> None:
        await asyncio.sleep(self._served.delay_seconds)
        self._write(answer.head)
        await asyncio.sleep(answer.pause_seconds)
        self._write(answer.body)
        for block in blocks(answer.generated_bytes):
            await self._drained.wait()
            self._write(block)
        self._busy = False
        self._finish(last or answer.close)
        self._work()

    def _write(self, data: bytes | memoryview) -> None:
        if self._transport is not None and data:
            self._transport.write(data)
