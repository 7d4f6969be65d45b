"""The front site: a React app and plain pages beside it, served on loopback, every request noted.

`python -m tests.lab.front_site --port 0` serves it until a signal comes and prints its URL first.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab.answers import head
from tests.lab.front.content import FrontContent, Served, as_json, search
from tests.lab.front.truth import FrontTruth
from tests.lab.processes import ROOT

HOST = "127.0.0.1"
CDN_HOST = "127.0.0.2"
BUILD_SECONDS = 240.0
IDLE_SECONDS = 60.0
LONGEST_BODY_BYTES = 1_000_000
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
NO_SEARCH = as_json({"error": "Give JSON with the field words."})
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and its answer. `body` is exactly what followed the answer's head."""

    at: float
    method: str
    url: str
    fields: Headers
    sent: bytes
    status: int
    body: bytes

    def field(self, name: str) -> str:
        """A field of the request; empty when it was not sent."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class FrontSite:
    """A running site. `asked` grows with each answer, and is in the order of the answers."""

    content: FrontContent
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The main host's address, without a path."""
        return self.content.base

    @property
    def cdn_url(self) -> str:
        """The second host's address, without a path."""
        return self.content.cdn

    @property
    def seed_url(self) -> str:
        """Where a crawl begins."""
        return f"{self.url}/"

    @cached_property
    def truth(self) -> FrontTruth:
        """What a right archive of this site holds."""
        return FrontTruth.of(self.content)

    @property
    def answers(self) -> dict[str, bytes]:
        """By URL: the body of the last whole answer (status 200) to a GET, as it was sent."""
        whole = [each for each in self.asked if each.method == "GET" and each.status == 200]
        return {each.url: each.body for each in whole}

    def source_toml(self, code: str = "front", engine: str = "http", more: str = "") -> str:
        """A source file for this site; `more` is put at its end."""
        main, cdn = (f"^{url.replace('.', '[.]')}/" for url in (self.url, self.cdn_url))
        hosts = json.dumps([urlsplit(url).hostname for url in (self.url, self.cdn_url)])
        return (
            f'code = "{code}"\nname = "The lab\'s front site"\nbase_url = "{self.seed_url}"\n'
            f'languages = ["en", "fr"]\nengine = "{engine}"\n'
            f"allow_private_hosts = {hosts}\n\n"
            f'[[seeds]]\nurl = "{self.seed_url}"\nlanguage = "en"\n\n'
            f"[scope]\nhosts = {hosts}\n"
            f'include = ["{main}"]\nassets = ["{cdn}"]\n\n'
            "[politeness]\ndelay_seconds = 0.0\nconcurrency = 6\n"
            "timeout_seconds = 20.0\nurl_tries = 3\n" + more
        )


def built() -> Path:
    """The directory of the built site, which is built when it is not there or is an older one."""
    words = [str(ROOT / "scripts" / "front-site")]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise AssertionError((done.stdout + done.stderr).decode(errors="replace"))
    return ROOT / "build" / "front" / "site"


@contextmanager
def front_site(
    *, topics: int = 2, port: int = 0, hosts: tuple[str, str] = (HOST, CDN_HOST)
) -> Iterator[FrontSite]:
    """The site, served by threads of this process. Each topic is one more page built by scripts."""
    directory = built()
    sockets = _sockets(port, hosts)
    number = sockets[0].getsockname()[1]
    base, cdn = (f"http://{host}:{number}" for host in hosts)
    site = FrontSite(FrontContent(base, cdn, directory, topics))
    shared: Headers = (("Access-Control-Allow-Origin", "*"), ("Timing-Allow-Origin", "*"))
    served = (Host(base, site.content.main), Host(cdn, site.content.second, shared))
    with ExitStack() as stack:
        for listening, host in zip(sockets, served, strict=True):
            stack.enter_context(_running(Server(listening, host, site.asked)))
        yield site


@dataclass(frozen=True, slots=True)
class Host:
    """What one of the addresses serves."""

    url: str
    targets: dict[str, Served]
    headers: Headers = ()


class Server(ThreadingHTTPServer):
    """One address, a thread a connection; connections end with it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, host: Host, asked: list[Asked]) -> None:
        super().__init__(listening.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.host = host
        self.asked = asked
        self.open: set[socket.socket] = set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is said of a client that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end_connections(self) -> None:
        """End the connections that clients keep open."""
        for each in list(self.open):
            with suppress(OSError):  # gone already
                each.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        served = self.server.host.targets.get(self.path)
        if served is None:
            body = f"<!doctype html><title>404</title><p>Nothing at {self.path}</p>".encode()
            return self._send(404, (("Content-Type", "text/html; charset=utf-8"),), body)
        return self._serve(served)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LONGEST_BODY_BYTES:
            self.close_connection = True
            return self._send(413, (), b"")
        sent = self.rfile.read(length)
        if self.path == "/api/measure":
            return self._send(204, (), b"", sent)
        if self.path != "/api/search":
            return self._send(405, (("Allow", "GET, HEAD"),), b"", sent)
        try:
            served, status = search(str(json.loads(sent)["words"])), 200
        except (ValueError, KeyError, TypeError):
            served, status = NO_SEARCH, 400
        fields = (("Content-Type", served.mime), ("Cache-Control", "no-store"))
        return self._send(status, fields, served.body, sent)

    def _serve(self, served: Served) -> None:
        encoded = bool(served.encoded) and "gzip" in self.headers.get("Accept-Encoding", "")
        body = served.encoded if encoded else served.body
        fields: Headers = (("ETag", served.tag(encoded)), ("Cache-Control", served.caching))
        fields += (
            (("Vary", "Accept-Encoding"),) if served.encoded else (("Accept-Ranges", "bytes"),)
        )
        if self.headers.get("If-None-Match") == served.tag(encoded):
            return self._send(304, fields, b"")
        fields += (("Content-Type", served.mime), *served.headers)
        if encoded:
            fields += (("Content-Encoding", "gzip"),)
        asks_part = None if served.encoded else RANGE.fullmatch(self.headers.get("Range", ""))
        if asks_part is None or self.command == "HEAD":
            return self._send(200, fields, body)
        part = _part(asks_part[1], asks_part[2], len(body))
        if part is None:
            return self._send(416, (("Content-Range", f"bytes */{len(body)}"),), b"")
        span = f"bytes {part.start}-{part.stop - 1}/{len(body)}"
        return self._send(206, (*fields, ("Content-Range", span)), body[part])

    def _send(self, status: int, fields: Headers, body: bytes, sent: bytes = b"") -> None:
        fields = (*fields, *self.server.host.headers)
        if status not in (204, 304):
            fields += (("Content-Length", str(len(body))),)
        if self.command == "HEAD":
            body = b""
        url = self.server.host.url + self.path
        asked_with = tuple(self.headers.items())
        self.server.asked.append(
            Asked(time.time(), self.command, url, asked_with, sent, status, body)
        )
        self.wfile.write(head(status, fields) + body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the tests look at `asked`."""


def _part(first: str, last: str, length: int) -> slice | None:
    """The bytes that a range names (RFC 9110 §14.1.2), or None when there are none."""
    if not first:
        return slice(max(0, length - int(last)), length) if last and int(last) else None
    end = min(int(last) + 1, length) if last else length
    return slice(int(first), end) if int(first) < end else None


def _sockets(port: int, hosts: tuple[str, str]) -> list[socket.socket]:
    """The same port on both hosts."""
    main, cdn = hosts
    for _ in range(50):
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server((main, port), backlog=128))
            try:
                second = socket.create_server((cdn, first.getsockname()[1]), backlog=128)
            except OSError:
                continue
            stack.pop_all()
            return [first, second]
    raise OSError(f"The front site could not bind a port on {main} and {cdn}")


@contextmanager
def _running(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        server.end_connections()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--topics", type=int, default=2, help="how many pages of topics")
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    with front_site(topics=arguments.topics, port=arguments.port) as site:
        print(site.url, flush=True)
        signal.sigwait((signal.SIGTERM, signal.SIGINT))


if __name__ == "__main__":
    main()
