"""Names to addresses, and which addresses nobody may be led to (server-side request forgery)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from healtharchive.model.clock import Clock

# getaddrinfo does not tell a record's time to live; answers are asked for again after this.
CACHE_SECONDS = 300
MOST_NAMES = 10_000
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
SHARED = ipaddress.IPv4Network("100.64.0.0/10")  # RFC 6598, carrier-grade NAT

# What IANA's special-purpose registries call not globally reachable, or withdrawn, beyond what the
# `ipaddress` of every Python we run on knows.
SPECIAL_IPV4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
GLOBAL_IPV4 = tuple(map(ipaddress.IPv4Address, ("192.0.0.9", "192.0.0.10")))  # RFC 7723, RFC 8155
SPECIAL_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        # Within 2001::/23 some are global: anycast services and identifiers, none with a web site.
        ("64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "3fff::/20", "5f00::/16"),
    )
)

Lookup = Callable[[str, int], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a host name resolved to."""

    addresses: tuple[str, ...]
    ttl_seconds: int


def refusal(address: str) -> str:
    """Why nobody may be led to this address (private, loopback, link-local …), or empty."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "not an address"
    for each in _faces(parsed):
        if each.is_loopback:
            return "a loopback address"
        if each.is_link_local:
            return "a link-local or metadata address"
        if each.is_multicast or each.is_unspecified or each.is_reserved:
            return "not the address of a host"
        if each.is_private or not each.is_global or getattr(each, "is_site_local", False):
            return "a private address"
        if isinstance(each, ipaddress.IPv4Address) and each in SHARED:
            return "a private address"
        if _is_special(each):
            return "an address for special purposes"
    return ""


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        return any(address in each for each in SPECIAL_IPV6)
    return address not in GLOBAL_IPV4 and any(address in each for each in SPECIAL_IPV4)


def _faces(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address and the IPv4 address it carries inside: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inside: list[ipaddress.IPv4Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo:
        inside.append(address.teredo[1])
    if address in NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    carried = [each for each in inside if each is not None]
    # A carrier itself is not "global"; what it carries decides.
    return list(carried) if carried else [address]


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Every address of a host, as the system resolves it. OSError when there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


class Resolver:
    """Resolves names, remembers the answers for a while; a name is asked for once at a time."""

    def __init__(self, clock: Clock, lookup: Lookup = look_up) -> None:
        self._clock = clock
        self._lookup = lookup
        self._known: dict[str, tuple[float, Resolved]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    def known(self, host: str) -> Resolved | None:
        """What the host resolved to lately; None when it was not asked for."""
        entry = self._known.get(host)
        return entry[1] if entry else None

    async def resolve(self, host: str, port: int) -> Resolved:
        """The host's addresses. OSError (socket.gaierror) when there are none."""
        entry = self._known.get(host)
        if entry and self._clock.monotonic() - entry[0] < CACHE_SECONDS:
            return entry[1]
        if host not in self._asking:
            task = asyncio.ensure_future(self._lookup(host, port))
            self._asking[host] = task
            task.add_done_callback(lambda _: self._asking.pop(host, None))
        addresses = await asyncio.shield(self._asking[host])
        resolved = Resolved(addresses, CACHE_SECONDS)
        if len(self._known) >= MOST_NAMES:
            self._known.pop(next(iter(self._known)))
        self._known[host] = (self._clock.monotonic(), resolved)
        return resolved
