"""Fetching over HTTP/1.1 with nothing lost on the way: exact request and response bytes.

Why not a client library: docs/decisions/0001-our-own-http-transport.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healtharchive.crawl.addresses import Lookup, Resolved, Resolver, look_up, refusal
from healtharchive.crawl.connection import Connection, NoAnswer, Reception
from healtharchive.crawl.exchange import Exchange, SpooledBody
from healtharchive.crawl.forwarding import forwarded_head
from healtharchive.crawl.urls import host_of, origin_of
from healtharchive.model.clock import Clock

__all__ = ["Exchange", "FetchFailed", "Resolved", "SpooledBody", "Transport"]

PORTS = {"http": 80, "https": 443}
MOST_IDLE = 16  # connections kept open to a host
IDLE_SECONDS = 15.0
TOTAL_FACTOR = 40  # a body that keeps coming may take this many time-outs
ADDRESSES_TRIED = 3
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
# Sent again on a new connection when a kept one turns out closed (RFC 9110 §9.2.2).
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


class FetchFailed(Exception):
    """No exchange came about. `permanent`: another try would fail in the same way."""

    def __init__(self, kind: str, detail: str, *, permanent: bool = False) -> None:
        self.kind = kind
        self.detail = detail
        self.permanent = permanent
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True, slots=True)
class _Target:
    """The parts of a canonical URL that a request needs."""

    origin: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str

    @classmethod
    def of(cls, url: str) -> _Target:
        origin = origin_of(url)
        scheme, _, authority = origin.partition("://")
        host = host_of(url)
        port_text = authority.rpartition("]")[2].rpartition(":")[2]
        port = int(port_text) if port_text.isdigit() and ":" in authority else PORTS[scheme]
        return cls(origin, scheme, host, port, authority, url[len(origin) :] or "/")


class Transport:
    """A pool of connections to the hosts of one crawl.

    `allow_private_hosts` names hosts, as in their URLs, whose addresses may be private; every
    other address is checked after the name was resolved and again on the connected socket.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        user_agent: str,
        timeout_seconds: float,
        page_bytes: int,
        allow_private_hosts: frozenset[str],
        temporary_directory: Path,
        resolver: Lookup = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._page_bytes = page_bytes
        self._allowed = allow_private_hosts
        self._directory = temporary_directory
        self._resolver = Resolver(clock, resolver)
        self._tls = tls
        self._idle: dict[str, list[Connection]] = {}
        agent = " ".join(user_agent.split())
        self._fields = (
            f"User-Agent: {agent}\r\nAccept: {ACCEPT}\r\nAccept-Encoding: gzip, br\r\n"
            "Connection: keep-alive\r\n"
        )

    async def fetch(self, url: str, headers: Sequence[tuple[str, str]] = ()) -> Exchange:
        """GET a canonical URL. FetchFailed when no answer came; OSError is the disk's."""
        target = _Target.of(url)
        return await self._ask(url, target, "GET", self._request(target, headers))

    async def forward(
        self, method: str, url: str, fields: Sequence[tuple[str, str]], body: bytes = b""
    ) -> Exchange:
        """Send somebody else's request: as `fetch`, with these header fields in this order.

        But for what belongs to a connection, and for content codings the archive cannot take off.
        """
        target = _Target.of(url)
        head = forwarded_head(method, target.path, target.authority, fields, len(body))
        return await self._ask(url, target, method, head + body)

    async def _ask(self, url: str, target: _Target, method: str, request: bytes) -> Exchange:
        started_at, began = self._clock.now(), self._clock.monotonic()
        connection = self._take_idle(target.origin) if method in IDEMPOTENT else None
        reception: Reception | None = None
        if connection is not None:
            reception = await self._use_kept(connection, method, request)
        if reception is None:
            connection = await self._connect(target)
            reception = await self._exchange(connection, method, request)
        assert connection is not None
        if connection.reusable:
            self._keep(target.origin, connection)
        elapsed = self._clock.monotonic() - began
        return _exchange_of(url, request, reception, connection, started_at, elapsed)

    def resolved(self, host: str) -> Resolved | None:
        """What a host that was asked resolved to; None when it was not."""
        return self._resolver.known(host)

    async def close(self) -> None:
        """Close every connection."""
        for waiting in self._idle.values():
            for connection in waiting:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    # -- one request ---------------------------------------------------------------------------

    def _request(self, target: _Target, headers: Sequence[tuple[str, str]]) -> bytes:
        more = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in headers)
        head = f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n{self._fields}{more}\r\n"
        return head.encode("utf-8")

    async def _use_kept(
        self, connection: Connection, method: str, request: bytes
    ) -> Reception | None:
        """Use a kept connection; None when the server had closed it before a byte came back."""
        seconds = self._timeout_seconds * TOTAL_FACTOR
        try:
            return await connection.exchange(request, seconds, method=method)
        except NoAnswer as error:
            if error.kind == "disconnect" and error.untouched:
                return None
            raise FetchFailed(error.kind, error.detail) from error

    async def _exchange(self, connection: Connection, method: str, request: bytes) -> Reception:
        seconds = self._timeout_seconds * TOTAL_FACTOR
        try:
            return await connection.exchange(request, seconds, method=method)
        except NoAnswer as error:
            raise FetchFailed(error.kind, error.detail) from error

    # -- connections ---------------------------------------------------------------------------

    def _take_idle(self, origin: str) -> Connection | None:
        waiting = self._idle.get(origin)
        oldest = self._clock.monotonic() - IDLE_SECONDS
        while waiting:
            connection = waiting.pop()
            if not connection.closed and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: str, connection: Connection) -> None:
        waiting = self._idle.setdefault(origin, [])
        if len(waiting) >= MOST_IDLE:
            connection.abort()
            return
        connection.idle_since = self._clock.monotonic()
        waiting.append(connection)

    async def _connect(self, target: _Target) -> Connection:
        addresses = await self._addresses(target)
        failure = FetchFailed("connect", "no address")
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return await self._connect_to(target, address)
            except FetchFailed as error:
                failure = error
        raise failure

    async def _addresses(self, target: _Target) -> list[str]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                resolved = await self._resolver.resolve(target.host, target.port)
        except TimeoutError as error:
            raise FetchFailed("dns", f"{target.host} was not resolved in time") from error
        except OSError as error:
            raise FetchFailed("dns", f"{target.host}: {error.strerror or error}") from error
        except ValueError as error:  # an empty or over-long label, which no encoder takes
            what = f"{target.host[:80]!r} is no host name"
            raise FetchFailed("dns", what, permanent=True) from error
        if target.host in self._allowed:
            return list(resolved.addresses)
        allowed = [each for each in resolved.addresses if not refusal(each)]
        if not allowed:
            raise self._refused(target.host, resolved.addresses[0] if resolved.addresses else "")
        return allowed

    async def _connect_to(self, target: _Target, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        secure = target.scheme == "https"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._directory, self._page_bytes, self._timeout_seconds),
                    address,
                    target.port,
                    ssl=self._tls_context() if secure else None,
                    server_hostname=target.host if secure else None,
                )
        except TimeoutError as error:
            raise FetchFailed("timeout", f"no connection to {address} in time") from error
        except ssl.SSLCertVerificationError as error:
            raise FetchFailed("tls", f"its certificate: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise FetchFailed("tls", error.reason or str(error)) from error
        except OSError as error:
            raise FetchFailed("connect", f"{address}: {error.strerror or error}") from error
        except ValueError as error:  # a name that TLS cannot ask for
            what = f"{target.host[:80]!r} is no host name"
            raise FetchFailed("tls", what, permanent=True) from error
        if target.host not in self._allowed and refusal(connection.ip):
            connection.abort()
            raise self._refused(target.host, connection.ip)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    @staticmethod
    def _refused(host: str, address: str) -> FetchFailed:
        why = refusal(address) or "no address"
        detail = f"{host} is at {address}, {why}; a source may allow it by name"
        return FetchFailed("refused_address", detail, permanent=True)


def _exchange_of(
    url: str,
    request: bytes,
    reception: Reception,
    connection: Connection,
    started_at: datetime,
    elapsed_seconds: float,
) -> Exchange:
    head, body, digests = reception.head, reception.body, reception.digests
    assert head is not None
    assert body is not None
    assert digests is not None
    return Exchange(
        url=url,
        request=request,
        response_head=reception.head_bytes,
        body=body,
        status=head.status or 0,
        headers=head.headers.pairs,
        chunked=digests.chunked,
        entity_digest=digests.entity,
        entity_bytes=digests.entity_bytes,
        block_digest=digests.block,
        ip=connection.ip,
        tls=connection.tls,
        cipher=connection.cipher,
        started_at=started_at,
        elapsed_seconds=elapsed_seconds,
        truncated=reception.truncated,
    )
