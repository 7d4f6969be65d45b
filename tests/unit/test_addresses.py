"""Addresses nobody may be led to, and the resolver's memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from healtharchive.crawl.addresses import CACHE_SECONDS, Resolver, refusal


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1",
        "192.0.0.1", "192.0.0.8", "192.0.0.11", "192.0.0.170", "192.0.0.192", "192.88.99.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "::ffff:192.0.0.8", "64:ff9b::c000:8",
        "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001:2::1", "2001:10::1", "2001:1ff::1",
        "3fff::1", "3fff:fff::1", "5f00::1", "fd00:ec2::254", "not an address",
    ],
)  # fmt: skip
def test_private_and_special_addresses_are_refused(address: str) -> None:
    assert refusal(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "198.103.1.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "192.0.0.9",
        "192.0.0.10",
        "2001:200::1",
    ],
)
def test_public_addresses_are_fine(address: str) -> None:
    assert refusal(address) == ""


class Clock:
    """A clock that stands until it is moved."""

    seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def test_a_name_is_asked_for_once_at_a_time_and_again_when_it_is_old() -> None:
    asked: list[str] = []

    async def lookup(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        await asyncio.sleep(0)
        return ("192.0.2.1",)

    async def scenario() -> None:
        clock = Clock()
        resolver = Resolver(clock, lookup)
        assert resolver.known("a.example") is None
        found = await asyncio.gather(*[resolver.resolve("a.example", 80) for _ in range(5)])
        assert {each.addresses for each in found} == {("192.0.2.1",)}
        assert asked == ["a.example"]
        clock.seconds = CACHE_SECONDS + 1.0
        await resolver.resolve("a.example", 80)
        assert asked == ["a.example"] * 2
        assert resolver.known("a.example") is not None

    asyncio.run(scenario())


def test_a_name_that_is_not_found_can_be_asked_for_again() -> None:
    async def lookup(host: str, port: int) -> tuple[str, ...]:
        raise OSError("no such name")

    async def scenario() -> None:
        resolver = Resolver(Clock(), lookup)
        for _ in range(2):
            with pytest.raises(OSError, match="no such name"):
                await resolver.resolve("a.example", 80)

    asyncio.run(scenario())
