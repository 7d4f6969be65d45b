"""Somebody else's requests, passed on: their own fields, nothing of their connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.transport import FetchFailed
from tests.lab.proxied import ANSWERS, Lab, Passing, run
from tests.lab.raw_site import HOST, RawSite, until


def test_a_request_goes_on_with_its_own_fields_and_without_the_connections(tmp_path: Path) -> None:
    given = [
        "x-first: 1",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "TE: trailers",
        "Keep-Alive: timeout=5",
        "Cookie: a=b; c=\xe9",
        'sec-CH-ua: "Chromium";v="1"',
        "Accept: */*",
    ]
    passed = [
        "x-first: 1",
        "Accept-Encoding: gzip, br",
        "Cookie: a=b; c=\xe9",
        'sec-CH-ua: "Chromium";v="1"',
        "Accept: */*",
        "Connection: keep-alive",
    ]

    async def scenario(lab: Lab) -> None:
        exchanges: list[Exchange] = []

        class Keeping(Passing):
            async def answer(self, request: ProxyRequest) -> Exchange | Canned:
                exchange = await super().answer(request)
                assert isinstance(exchange, Exchange)
                exchanges.append(exchange)
                return exchange

        lab.proxy.answerer = Keeping(lab.transport)
        reader, writer = await lab.wire()
        lines = "\r\n".join([f"GET {lab.site.url}/plain?q=%7e HTTP/1.1", "Host: elsewhere", *given])
        writer.write(f"{lines}\r\n\r\n".encode("latin-1"))
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        (asked,) = lab.site.asked
        assert asked.path == "/plain?q=%7e"
        assert asked.lines() == [f"Host: {HOST}:{lab.site_port}", *passed]
        assert exchanges[0].request == asked.head
        assert exchanges[0].body.size_bytes > 0
        assert exchanges[0].url == f"{lab.site.url}/plain?q=%7e"
        await until(lambda: exchanges[0].body.read() == b"")  # closed, once it was relayed

    site = RawSite({"/plain?q=%7e": ANSWERS["/plain"]})
    run(tmp_path, scenario, site)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("identity;q=1, *;q=0", "identity;q=1, *;q=0"),
        ("zstd, *", "identity"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "br;q=1.0, gzip;q=0.8"),
    ],
)
def test_only_what_the_archive_decodes_is_asked_for(tmp_path: Path, asked: str, sent: str) -> None:
    async def scenario(lab: Lab) -> None:
        got = await lab.transport.forward(
            "GET", f"{lab.site.url}/plain", [("accept-encoding", asked)]
        )
        assert f"accept-encoding: {sent}" in lab.site.of("/plain").lines()
        got.body.close()

    run(tmp_path, scenario)


def test_a_post_is_never_sent_on_a_connection_that_may_be_closed_already(tmp_path: Path) -> None:
    """Whoever closed a kept connection may have taken the request before (RFC 9110 §9.2.2)."""

    async def scenario(lab: Lab) -> None:
        url = f"{lab.site.url}/plain"
        for method in ("GET", "GET", "POST", "HEAD", "GET", "DELETE"):
            (await lab.transport.forward(method, url, [], b"")).body.close()
        numbers = [each.connection for each in lab.site.asked]
        assert numbers[0] == numbers[1]
        assert numbers[2] not in numbers[:2]
        assert lab.site.connections == 2

    run(tmp_path, scenario)


def test_a_kept_connection_that_has_died_costs_a_get_nothing(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        for _ in range(3):
            got = await lab.transport.forward("GET", f"{lab.site.url}/plain", [])
            assert got.entity() == b"hello"
        assert lab.site.connections == 3

    run(tmp_path, scenario, RawSite(ANSWERS, last=frozenset({"/plain"})))


def test_the_transport_says_what_is_no_method(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        with pytest.raises(ValueError, match="no method"):
            await lab.transport.forward("GET /x", f"{lab.site.url}/plain", [])
        with pytest.raises(FetchFailed):
            await lab.transport.forward("GET", f"http://{HOST}:9/", [])

    run(tmp_path, scenario)


def test_after_another_protocol_nothing_is_asked_on_that_connection(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        for path, status in (("/switch", 101), ("/early", 204), ("/early", 204)):
            got = await lab.transport.forward("GET", lab.site.url + path, [])
            assert (got.status, got.body.size_bytes) == (status, 0)
        assert [each.connection for each in lab.site.asked] == [1, 2, 2]

    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + b"HTTP/1.1 204 No Content\r\n\r\n"
    run(tmp_path, scenario, RawSite({"/switch": switch, "/early": early}))
