"""The recording proxy between a client and a raw site."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.proxy import Canned, ProxyRequest, RecordingProxy
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.transport import Transport
from healtharchive.model.clock import SystemClock
from tests.lab.raw_site import HOST, OK, RawSite, certified, ok, serving

CHUNKED = OK + b"Transfer-Encoding: chunked\r\nX-Odd:  two  spaces\r\n\r\n"
CHUNKS = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
BIG = bytes(range(256)) * 12_000  # more than a body in memory
ANSWERS = {
    "/plain": ok(b"hello"),
    "/chunked": CHUNKED + CHUNKS,
    "/gzip": ok(gzip.compress(b"hello" * 99, mtime=0), "text/css", "Content-Encoding: gzip"),
    "/bare": b"HTTP/1.1 200 Fine\nx-LOWER: y\nContent-Length: 2\n\nno",
    "/empty": b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
    "/unchanged": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 99\r\n\r\n",
    "/missing": b"HTTP/1.1 404 Gone\r\nContent-Length: 4\r\n\r\ngone",
    "/big": ok(BIG, "application/octet-stream"),
}


@dataclass
class Passing:
    """The simplest answerer: every request is asked of the site."""

    transport: Transport

    async def answer(self, request: ProxyRequest) -> Exchange | Canned:
        """See `Answerer`."""
        return await self.transport.forward(
            request.method, request.url, request.fields, request.body
        )


@dataclass
class Lab:
    """A site, and a proxy in front of it."""

    site: RawSite
    proxy: RecordingProxy
    authority: Authority
    transport: Transport
    port: int

    @property
    def site_port(self) -> int:
        """The site's port."""
        return int(self.site.url.rpartition(":")[2])

    @property
    def connect(self) -> bytes:
        """A request for a tunnel to the site."""
        return f"CONNECT {HOST}:{self.site_port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def client(self) -> httpx.AsyncClient:
        """A client that trusts the proxy's authority."""
        trusting = ssl.create_default_context(cadata=self.authority.certificate_pem.decode())
        return httpx.AsyncClient(
            proxy=f"http://{HOST}:{self.port}", verify=trusting, timeout=20.0, trust_env=False
        )

    async def wire(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw connection to the proxy, in a tunnel if the site is secure."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        if self.site.url.startswith("https"):
            writer.write(self.connect)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            trusting = ssl.create_default_context(cadata=self.authority.certificate_pem.decode())
            await writer.start_tls(trusting, server_hostname=HOST)
        return reader, writer

    def request(self, path: str, *fields: str, method: str = "GET") -> bytes:
        """A request without content, in the form that the connection takes."""
        secure = self.site.url.startswith("https")
        target = path if secure else self.site.url + path
        lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}:{self.site_port}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def laboratory(
    site: RawSite, directory: Path, *, secure: bool = False, allow: bool = True
) -> AsyncIterator[Lab]:
    """A site and a proxy; `allow`: whether its transport may go to loopback."""
    ours, theirs = certified()
    transport = Transport(
        clock=SystemClock(),
        user_agent="Test/1",
        timeout_seconds=5.0,
        page_bytes=1 << 30,
        allow_private_hosts=frozenset({HOST} if allow else ()),
        temporary_directory=directory,
        tls=ours,
    )
    authority = Authority.create()
    proxy = RecordingProxy(authority, Passing(transport))
    async with serving(site, theirs if secure else None):
        port = await proxy.start()
        try:
            yield Lab(site, proxy, authority, transport, port)
        finally:
            await proxy.close()
            await transport.close()


def run(
    directory: Path,
    scenario: Callable[[Lab], Awaitable[None]],
    site: RawSite | None = None,
    *,
    secure: bool = False,
    allow: bool = True,
) -> None:
    """Run a scenario, bounded in time."""

    async def main() -> None:
        async with (
            asyncio.timeout(40),
            laboratory(site or RawSite(ANSWERS), directory, secure=secure, allow=allow) as lab,
        ):
            await scenario(lab)

    asyncio.run(main())
