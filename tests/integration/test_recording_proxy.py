"""The recording proxy between real clients and a raw site: what comes out is what went in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.exchange import Exchange
from tests.lab.proxied import ANSWERS, BIG, CHUNKED, Lab, Passing, run
from tests.lab.raw_site import HOST, OK, RawSite, ok

CUT = {
    "/cut": OK + b"Content-Length: 9\r\n\r\nhello",
    "/cut-chunk": CHUNKED + b"5\r\nhello\r\n6\r\n wo",
    "/until-close": OK + b"\r\nhello",
}


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_every_answer_is_relayed_byte_for_byte_on_one_connection(
    tmp_path: Path, secure: bool
) -> None:
    async def scenario(lab: Lab) -> None:
        reader, writer = await lab.wire()
        for path, answer in [*ANSWERS.items(), *ANSWERS.items()]:
            writer.write(lab.request(path))
            wire = answer.removesuffix(b"gone") if path == "/unchanged" else answer
            assert await reader.readexactly(len(wire)) == wire, path
        # One behind the other, as few clients do.
        last = lab.request("/plain", "Connection: close")
        writer.write(lab.request("/chunked") + lab.request("/big") + last)
        assert await reader.read() == b"".join(ANSWERS[p] for p in ("/chunked", "/big", "/plain"))
        writer.close()

    run(tmp_path, scenario, secure=secure)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("path", sorted(CUT))
def test_an_answer_without_an_end_ends_with_its_connection(
    tmp_path: Path, path: str, secure: bool
) -> None:
    async def scenario(lab: Lab) -> None:
        reader, writer = await lab.wire()
        writer.write(lab.request(path))
        assert await reader.read() == CUT[path]
        writer.close()

    run(tmp_path, scenario, RawSite(CUT, last=frozenset(CUT)), secure=secure)


@pytest.mark.parametrize("secure", [False, True])
def test_a_head_has_no_body_and_the_connection_goes_on(tmp_path: Path, secure: bool) -> None:
    async def scenario(lab: Lab) -> None:
        reader, writer = await lab.wire()
        for _ in range(2):
            for path in ("/big", "/chunked"):
                writer.write(lab.request(path, method="HEAD"))
                head = ANSWERS[path].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                assert await reader.readexactly(len(head)) == head
        writer.write(lab.request("/plain", "Connection: close"))
        assert await reader.read() == ANSWERS["/plain"]
        writer.close()
        assert lab.site.connections == 1

    run(tmp_path, scenario, secure=secure)


@pytest.mark.parametrize("secure", [False, True])
def test_a_post_arrives_whole_whether_sized_or_chunked(tmp_path: Path, secure: bool) -> None:
    body = bytes(range(256)) * 3000

    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    async def scenario(lab: Lab) -> None:
        async with lab.client() as client:
            url = f"{lab.site.url}/form?a=b"
            for content in (body, pieces(), b""):
                answer = await client.post(url, content=content, headers={"X-Mixed-Case": "1"})
                assert answer.content == b"thanks"
        whole, chunked, empty = lab.site.asked
        assert (whole.body, chunked.body, empty.body) == (body, body, b"")
        assert all(b"\r\nContent-Length: " in each.head for each in lab.site.asked)
        assert b"chunked" not in chunked.head
        assert b"\r\nX-Mixed-Case: 1\r\n" in whole.head

    run(tmp_path, scenario, RawSite({"POST /form?a=b": ok(b"thanks")}), secure=secure)


def test_curl_goes_through_it_with_a_tunnel_and_waits_for_100_continue(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BIG)

    async def scenario(lab: Lab) -> None:
        (tmp_path / "ca.pem").write_bytes(lab.authority.certificate_pem)
        options = ["-sS", "--max-time", "20", "--noproxy", "", "--proxy", f"{HOST}:{lab.port}"]
        options += ["--cacert", str(tmp_path / "ca.pem"), "--expect100-timeout", "90"]
        more = ["--data-binary", f"@{tmp_path / 'body'}", "-H", "Expect: 100-continue"]
        for url, answer in ((f"{lab.site.url}/big", BIG), (f"{lab.site.url}/form", b"thanks")):
            curl = await asyncio.create_subprocess_exec(
                "curl",
                *options,
                *(more if url.endswith("form") else []),
                url,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, errors = await curl.communicate()
            assert (curl.returncode, errors) == (0, b"")
            assert out == answer
        assert lab.site.of("/form").body == BIG
        assert b"xpect" not in lab.site.of("/form").head

    site = RawSite({**ANSWERS, "POST /form": ok(b"thanks")})
    run(tmp_path, scenario, site, secure=True)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET https://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://user:word@a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://a.example:99999/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET ftp://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", 400),
        (b"GET http://a.example/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://a.example/" + b"x" * 400_000, 431),
        (b"POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20000001\r\n\r\n", 413),
    ],
)
def test_what_no_browser_should_ask_is_refused_and_the_connection_ends(
    tmp_path: Path, sent: bytes, status: int
) -> None:
    async def scenario(lab: Lab) -> None:
        reader, writer = await asyncio.open_connection(HOST, lab.port)
        writer.write(sent)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        assert b"Connection: close" in answer
        assert lab.site.connections == 0
        writer.close()

    run(tmp_path, scenario)


def test_a_body_over_the_limit_is_refused_also_when_it_is_chunked(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(21):
            yield b"x" * 1_000_000

    async def scenario(lab: Lab) -> None:
        async with lab.client() as client:
            answer = await client.post(f"{lab.site.url}/form", content=pieces())
        assert answer.status_code == 413
        assert lab.site.asked == []

    run(tmp_path, scenario)


def test_a_websocket_is_not_opened(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        reader, writer = await lab.wire()
        writer.write(lab.request("/ws", "Connection: Upgrade", "Upgrade: websocket"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 501 ")
        writer.close()
        assert lab.site.asked == []

    run(tmp_path, scenario, secure=True)


def test_where_no_answer_came_about_the_browser_is_told_why(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        async with lab.client() as client:
            private = await client.get(f"{lab.site.url}/plain")
            nowhere = await client.get("http://nowhere.invalid/")
        assert (private.status_code, nowhere.status_code) == (502, 502)
        assert private.headers["X-Archive-Refusal"] == "refused_address"
        assert "loopback" in private.text
        assert nowhere.headers["X-Archive-Refusal"] == "dns"
        assert lab.site.connections == 0

    run(tmp_path, scenario, allow=False)


# -- many at once, and the end ---------------------------------------------------------------------


def test_a_slow_answer_holds_up_no_other(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        async with lab.client() as client:
            slow = asyncio.create_task(client.get(f"{lab.site.url}/slow"))
            for _ in range(20):
                assert (await client.get(f"{lab.site.url}/plain")).content == b"hello"
            assert not slow.done()
            lab.site.held["/slow"].set()
            assert (await slow).content == b"at last"

    site = RawSite({**ANSWERS, "/slow": ok(b"at last")})
    site.held["/slow"] = asyncio.Event()
    run(tmp_path, scenario, site, secure=True)


def test_a_browser_that_goes_away_ends_nothing_but_its_own_connection(tmp_path: Path) -> None:
    done = asyncio.Event()

    class Noting(Passing):
        async def answer(self, request: ProxyRequest) -> Exchange | Canned:
            answer = await super().answer(request)
            done.set()
            return answer

    async def scenario(lab: Lab) -> None:
        lab.proxy.answerer = Noting(lab.transport)
        _, writer = await lab.wire()
        writer.write(lab.request("/slow"))
        while not lab.site.asked:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        lab.site.held["/slow"].set()
        await done.wait()
        async with lab.client() as client:
            assert (await client.get(f"{lab.site.url}/plain")).content == b"hello"

    site = RawSite({**ANSWERS, "/slow": ok(BIG)})
    site.held["/slow"] = asyncio.Event()
    run(tmp_path, scenario, site)


def test_closing_ends_idle_waiting_and_stalled_connections(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        idle, _ = await lab.wire()
        waiting, writer = await lab.wire()
        writer.write(lab.request("/slow"))
        stalled, pushing = await lab.wire()  # asks for much, reads nothing
        pushing.write(lab.request("/big") * 20)
        half, half_writer = await asyncio.open_connection(HOST, lab.port)
        half_writer.write(b"GET http://a.exam")
        while len(lab.site.asked) < 2:
            await asyncio.sleep(0.01)
        await lab.proxy.close()
        for reader in (idle, waiting, stalled, half):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1 << 30)
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection(HOST, lab.port)

    site = RawSite({**ANSWERS, "/slow": ok(b"never")})
    site.held["/slow"] = asyncio.Event()
    run(tmp_path, scenario, site)


def test_a_failed_handshake_costs_nobody_else_anything(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        wires = [await asyncio.open_connection(HOST, lab.port) for _ in range(2)]
        for reader, writer in wires:
            writer.write(lab.connect)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        wires[0][1].write(b"GET /plain HTTP/1.1\r\n\r\n")  # as a ws: URL is asked for
        with pytest.raises(ssl.SSLError):
            await wires[1][1].start_tls(ssl.create_default_context(), server_hostname=HOST)
        async with lab.client() as client:
            assert (await client.get(f"{lab.site.url}/plain")).content == b"hello"

    run(tmp_path, scenario, secure=True)
