"""A web hook's other end: keeps what it is told, and refuses or hangs when a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What was asked of it. `status` is its answer; while `hangs` is set, it gives none."""

    port: int = 0
    status: int = 200
    hangs: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)  # `GET /path`, answered or not
    told: list[dict[str, Any]] = field(default_factory=list)  # JSON that was taken
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def hook(self) -> str:
        """Its address for apprise, with a secret in it."""
        return f"json://127.0.0.1:{self.port}/s3cr3t-path"

    @property
    def url(self) -> str:
        """Its address for a heartbeat, with a secret in it."""
        return f"http://127.0.0.1:{self.port}/s3cr3t-path"

    def subjects(self) -> list[str]:
        """The subject of each message that it took."""
        return [each["title"] for each in self.told]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.asked.append(f"{handler.command} {handler.path}")
        if self.hangs.is_set():
            self._over.wait(120.0)
            return
        if body and self.status == 200:
            self.told.append(json.loads(body))
        handler.send_response(self.status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for as long as the block."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            receiver.answer(self)

        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver._over.set()
        server.shutdown()
        server.server_close()
        thread.join(10.0)
