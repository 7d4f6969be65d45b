"""The transport against a raw server: every byte is kept, every way of breaking off is named."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from healtharchive.crawl.transport import FetchFailed, Transport
from healtharchive.model.clock import SystemClock

HOST = "127.0.0.1"
BIG = 20_000_000
PIECE = 1 << 16
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"


@dataclass
class Server:
    """Answers each path with its bytes. `hold` leaves the connection open after them."""

    answers: dict[str, bytes]
    hold: frozenset[str] = frozenset()
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request)
                path = request.split(b" ")[1].decode()
                answer = self.answers[path]
                for begin in range(0, len(answer), PIECE):
                    writer.write(answer[begin : begin + PIECE])
                    await writer.drain()
                if path not in self.hold:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.serve, HOST, 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://{HOST}:{port}"
    try:
        yield server
    finally:
        listening.close()


def transport(directory: Path, **more: Any) -> Transport:
    chosen: dict[str, Any] = {
        "clock": SystemClock(),
        "user_agent": "Test/1",
        "timeout_seconds": 0.4,
        "page_bytes": 1 << 30,
        "allow_private_hosts": frozenset({HOST}),
        "temporary_directory": directory,
    }
    return Transport(**(chosen | more))


def with_server(
    server: Server, scenario: Callable[[Server], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> None:
    async def run() -> None:
        async with serving(server, tls):
            await scenario(server)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "entity", "truncated"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", ""),
        (OK + b"Content-Length: 4\r\n\r\nhello", b"hell", ""),
        (OK + b"Content-Length: 9\r\n\r\nhello", b"hello", "disconnect"),
        (OK + b"\r\nhello", b"hello", ""),
        (CHUNKED + HELLO, b"hello world", ""),
        (CHUNKED + b"5\r\nhello\r\n6\r\n wo", b"hello wo", "disconnect"),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", b"hello", "disconnect"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", b"ok", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", ""),
        (b"HTTP/1.1 404 Not Found\nX: y\nContent-Length: 2\n\nno", b"no", ""),
    ],
)
def test_bytes_digests_and_truncation_are_exact(
    tmp_path: Path, answer: bytes, entity: bytes, truncated: str
) -> None:
    async def scenario(server: Server) -> None:
        client = transport(tmp_path)
        got = await client.fetch(f"{server.url}/x?y=1", [("Cookie", "a=b")])
        wire = got.response_head + got.body.read()
        assert answer.removeprefix(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n").startswith(wire)
        assert (got.entity(), got.truncated) == (entity, truncated)
        assert got.entity_digest == hashlib.sha256(entity).hexdigest()
        assert got.block_digest == hashlib.sha256(wire).hexdigest()
        assert (got.request, got.ip, got.tls) == (server.requests[0], HOST, "")
        assert got.request.startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nCookie: a=b\r\n" in got.request
        await client.close()

    with_server(Server({"/x?y=1": answer}), scenario)


def test_what_comes_too_slowly_is_cut_or_has_failed(tmp_path: Path) -> None:
    answers = {"/body": OK + b"Content-Length: 9\r\n\r\nhel", "/head": b"HTTP/1.1 2", "/no": b""}

    async def scenario(server: Server) -> None:
        client = transport(tmp_path)
        assert (await client.fetch(f"{server.url}/body")).truncated == "time"
        for path in ("/head", "/no"):
            with pytest.raises(FetchFailed) as failed:
                await client.fetch(server.url + path)
            assert (failed.value.kind, failed.value.permanent) == ("timeout", False)
        await client.close()

    with_server(Server(answers, hold=frozenset(answers)), scenario)


def test_what_is_no_http_has_failed(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        client = transport(tmp_path)
        for path, kind in (("/ssh", "protocol"), ("/nothing", "disconnect")):
            with pytest.raises(FetchFailed) as failed:
                await client.fetch(server.url + path)
            assert failed.value.kind == kind

    with_server(Server({"/ssh": b"SSH-2.0-OpenSSH\r\n", "/nothing": b""}), scenario)


def test_a_body_over_the_limit_is_cut_at_exactly_the_limit(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        got = await transport(tmp_path, page_bytes=100).fetch(f"{server.url}/long")
        assert (got.body.size_bytes, got.truncated) == (100, "length")

    with_server(Server({"/long": OK + b"Content-Length: 500\r\n\r\n" + b"x" * 500}), scenario)


def test_a_big_body_is_kept_on_disk_not_in_memory(tmp_path: Path) -> None:
    block = bytes(range(256)) * (BIG // 256)

    async def scenario(server: Server) -> None:
        client = transport(tmp_path, timeout_seconds=10.0)
        tracemalloc.start()
        got = await client.fetch(f"{server.url}/big")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < BIG / 2
        assert got.entity_digest == hashlib.sha256(block).hexdigest()
        assert sum(len(piece) for piece in got.body.chunks()) == got.body.size_bytes
        got.body.close()

    answer = OK + b"Content-Length: %d\r\n\r\n" % len(block) + block
    with_server(Server({"/big": answer}), scenario)


def test_a_connection_is_used_again_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nok"

    async def scenario(server: Server) -> None:
        client = transport(tmp_path)
        for path in ("/kept", "/kept", "/last", "/kept"):
            assert (await client.fetch(server.url + path)).entity() == b"ok"
        assert server.connections == 2  # the server closed the first one after /last
        await client.close()

    with_server(Server({"/kept": answer, "/last": answer}, hold=frozenset({"/kept"})), scenario)


def test_tls_is_recorded_and_an_untrusted_certificate_has_failed(tmp_path: Path) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert(HOST).configure_cert(theirs)

    async def scenario(server: Server) -> None:
        got = await transport(tmp_path, tls=ours).fetch(f"{server.url}/x")
        assert got.tls.startswith("TLSv1.")
        assert got.cipher
        with pytest.raises(FetchFailed, match="certificate") as failed:
            await transport(tmp_path).fetch(f"{server.url}/x")
        assert failed.value.kind == "tls"

    with_server(Server({"/x": OK + b"Content-Length: 2\r\n\r\nok"}), scenario, theirs)


@pytest.mark.parametrize("address", [HOST, "169.254.169.254", "::ffff:127.0.0.1"])
def test_a_name_that_leads_to_a_private_address_is_refused(tmp_path: Path, address: str) -> None:
    async def lookup(host: str, port: int) -> tuple[str, ...]:
        return (address,)

    async def scenario(server: Server) -> None:
        port = server.url.rpartition(":")[2]
        client = transport(tmp_path, resolver=lookup)
        with pytest.raises(FetchFailed) as failed:
            await client.fetch(f"http://public.example:{port}/x")
        assert (failed.value.kind, failed.value.permanent) == ("refused_address", True)
        assert server.connections == 0

    with_server(Server({"/x": OK + b"\r\n"}), scenario)


def test_names_and_ports_that_do_not_answer_have_failed(tmp_path: Path) -> None:
    async def lookup(host: str, port: int) -> tuple[str, ...]:
        raise OSError(-2, "Name or service not known")

    async def scenario() -> None:
        with pytest.raises(FetchFailed) as failed:
            await transport(tmp_path, resolver=lookup).fetch("http://nowhere.example/")
        assert failed.value.kind == "dns"
        with pytest.raises(FetchFailed) as failed:
            await transport(tmp_path).fetch(f"http://{HOST}:9/")
        assert failed.value.kind == "connect"

    asyncio.run(scenario())
