"""A site that refuses whoever does not ask as a browser does, and says who asked for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from healtharchive.model.source import (
    BrowserOptions,
    Politeness,
    ScopeRules,
    Seed,
    SourceDefinition,
)

HOST = "127.0.0.1"
PASS = "seen=1"  # the cookie of who has passed the test
ROBOTS = b"User-agent: *\nDisallow: /private/\n"
GIF = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90400000000002c00000000010001000002024401003b"
)
TEST = (
    f"<title>One moment</title><script>if (!document.cookie) {{ document.cookie = '{PASS}';"
    " location.reload(); }</script>"
).encode()
Manner = Literal["answers 403", "hangs up", "tests"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `browser`: it has a field that only browsers send."""

    path: str
    browser: bool


@dataclass(slots=True)
class RefusingSite:
    """A site with so many pages below /guarded/, which `/` leads to.

    `open_door`: `/` itself is for everybody. `nobody`: what is guarded is refused to browsers too.
    """

    manner: Manner
    pages: int
    open_door: bool = False
    nobody: bool = False
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{HOST}:{self.port}"

    def paths(self) -> list[str]:
        """The guarded pages."""
        return [f"/guarded/{number}" for number in range(self.pages)]

    def times(self, path: str, *, browser: bool) -> int:
        """How often a path was asked for, by browsers or by others."""
        return self.asked.count(Asked(path, browser))

    def source(self, **options: Any) -> SourceDefinition:
        """It as a source, page by page as each needs it."""
        polite = Politeness(
            delay_seconds=0.0, max_delay_seconds=0.1, concurrency=2, timeout_seconds=10.0
        )
        return SourceDefinition(
            code="refusing",
            name="Refusing",
            seeds=(Seed(f"{self.url}/"),),
            scope=ScopeRules(hosts=(HOST,)),
            politeness=polite,
            allow_private_hosts=(HOST,),
            engine="auto",
            browser=BrowserOptions(**options),
        )

    def source_toml(self) -> str:
        """The same as a file."""
        return (
            'code = "refusing"\nname = "Refusing"\nengine = "auto"\n'
            f'base_url = "{self.url}/"\nallow_private_hosts = ["{HOST}"]\n'
            f'[[seeds]]\nurl = "{self.url}/"\nlanguage = "en"\n[scope]\nhosts = ["{HOST}"]\n'
            "[politeness]\ndelay_seconds = 0.0\nmax_delay_seconds = 0.1\n"
        )

    def is_refused(self, asked: Asked, cookie: str) -> bool:
        """Whether this request gets nothing."""
        if asked.path == "/robots.txt" or (self.open_door and asked.path == "/"):
            return False
        if self.manner == "tests" and not asked.path.endswith((".gif", ".ico")):
            return PASS not in cookie
        return self.nobody or not asked.browser

    def content(self, path: str) -> tuple[str, bytes]:
        """What a path holds: its media type and its bytes."""
        if path == "/robots.txt":
            return "text/plain", ROBOTS
        if path.endswith((".gif", ".ico")):
            return "image/gif", GIF + path.encode()
        links = "".join(f"<a href={each}>x</a> " for each in self.paths()) if path == "/" else ""
        more = '<a href="/private/1">p</a><img src="/shown.gif" srcset="/large.gif 4000w">'
        return "text/html", f"<title>{path}</title><p>words of {path} {links}{more}".encode()


def _handler(site: RefusingSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = Asked(self.path, "Sec-Fetch-Mode" in self.headers)
            site.asked.append(asked)
            if not site.is_refused(asked, self.headers.get("Cookie", "")):
                self.answer(200, *site.content(self.path))
            elif site.manner == "hangs up":
                self.close_connection = True
            else:
                self.answer(403, "text/html", TEST if site.manner == "tests" else b"no")

        def answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the test looks at `asked`."""

    return Handler


@contextmanager
def refusing(site: RefusingSite) -> Iterator[RefusingSite]:
    """The site, running."""
    with ThreadingHTTPServer((HOST, 0), _handler(site)) as server:
        server.daemon_threads = True
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join(10)
