"""How much one client may ask for: requests a second, and the length of an address and its headers.

A client is an IPv4 address or an IPv6 network of 64 bits, which is what one line is given. Clients
on this machine are not limited: they are its operator, its health checks, and a proxy that was not
declared, whose visitors would otherwise share one allowance.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from healtharchive.model.clock import Clock
from healtharchive.model.errors import SetupError
from healtharchive.web import trouble

LONGEST_ADDRESS_BYTES = 16_384
MOST_HEADER_BYTES = 32_768
MOST_CLIENTS = 100_000
IPV6_LINE_BITS = 64
STATIC = "/static/"  # what a page consists of
FREE = frozenset({"/health/live", "/healthz"})  # what watches the server, and asks nothing of it

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Allowance:
    """A bucket of tokens a client: `burst` at most, refilled by `per_second`; one a request."""

    def __init__(self, per_second: float, burst: int, most_clients: int = MOST_CLIENTS) -> None:
        self._per_second = per_second
        self._burst = burst
        self._most_clients = most_clients
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Take a token: 0 when there was one, otherwise the seconds until there will be."""
        bucket = self._buckets.setdefault(client, _Bucket(self._burst, now))
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)  # who has been silent for longest
        gained = (now - bucket.at) * self._per_second
        bucket.tokens, bucket.at = min(self._burst, bucket.tokens + gained), now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_second
        bucket.tokens -= 1
        return 0.0


class Limited:
    """Refuses what is too much: 414 and 431 by length, 429 with Retry-After by rate."""

    def __init__(
        self, app: ASGIApp, *, allowance: Allowance, proxies: Sequence[Network], clock: Clock
    ) -> None:
        self._app = app
        self._allowance = allowance
        self._proxies = proxies
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        request = Request(scope)
        address = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if address > LONGEST_ADDRESS_BYTES:
            return _refused(request, 414, most=LONGEST_ADDRESS_BYTES)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            return _refused(request, 431, most=MOST_HEADER_BYTES)
        client = client_of(scope, self._proxies)
        if client is None or client.is_loopback or _is_free(scope["path"]):
            return None
        wait = self._allowance.take(line_of(client), self._clock.monotonic())
        if not wait:
            return None
        seconds = math.ceil(wait)
        refused = _refused(request, 429, seconds=seconds)
        MutableHeaders(raw=refused.raw_headers)["Retry-After"] = str(seconds)
        return refused


def _is_free(path: str) -> bool:
    return path in FREE or path.startswith(STATIC)


def _refused(request: Request, status: int, **values: object) -> Response:
    # The address itself may be what is too long to look at: the page is made for a plain one.
    scope = {**request.scope, "query_string": b""}
    return trouble.answer(Request(scope), status, f"trouble.{status}.page", **values)


def client_of(scope: Scope, proxies: Sequence[Network]) -> Address | None:
    """Who asks: the peer, or what trusted proxies say; None for a peer without an address.

    The chain is read from its end, for what stands before the last trusted proxy's word may be
    made up.
    """
    found = _address(scope["client"][0]) if scope.get("client") else None
    if found is None or not is_in(found, proxies):
        return found
    named = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    for text in reversed(named):
        address = _address(text.strip())
        if address is None:
            break
        found = address
        if not is_in(found, proxies):
            break
    return found


def line_of(client: Address) -> str:
    """What shares one allowance."""
    if isinstance(client, IPv6Address):
        return str(ip_network((client, IPV6_LINE_BITS), strict=False))
    return str(client)


def networks(text: str, setting: str = "TRUSTED_PROXIES") -> tuple[Network, ...]:
    """The addresses and networks of a setting; SetupError when one is none."""
    try:
        return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise SetupError(
            f"HEALTHARCHIVE_{setting} cannot be used: {error}.",
            "Set it to addresses or networks with commas between them, such as 127.0.0.1, ::1.",
        ) from error


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is of one of the networks."""
    return any(address in network for network in networks)
