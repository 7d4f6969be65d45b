"""The real services and what systemd hears of them: ready when they work, alive by their loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from healtharchive.web.server import Serving
from healtharchive.work.notifying_systemd import Notice
from tests.lab.archive import Archive, command
from tests.lab.postgres import free_port
from tests.lab.processes import is_alive, running, stop, wait_for

SERVICES = ("worker", "steward", "serve")


@dataclass
class Heard:
    """A socket of systemd's, and every line that has come to it."""

    listening: socket.socket
    lines: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.listening.getsockname())

    def has(self, line: str) -> bool:
        self.take()
        return line in self.lines

    def take(self) -> None:
        while True:
            try:
                self.lines += self.listening.recv(4096).decode().splitlines()
            except BlockingIOError:
                return


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield Heard(listening)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_ready_lives_and_ends_in_systemds_words(
    service: str, heard: Heard, tmp_path: Path
) -> None:
    ports = {"BIND_PORT": str(free_port()), "REPLAY_PORT": str(free_port())}
    archive = Archive(tmp_path / "data", {**ports, "STOP_SECONDS": "5"})
    archive.set_up()
    environment = {
        **archive.environment,
        "NOTIFY_SOCKET": heard.address,
        "WATCHDOG_USEC": "2000000",
    }
    with running(command(service), environment=environment, log=tmp_path / "log") as process:
        wait_for(lambda: heard.has("READY=1"), what="it is ready", seconds=60.0)
        if service == "serve":
            socket.create_connection(("127.0.0.1", int(ports["BIND_PORT"])), 5).close()
        heard.lines.clear()
        wait_for(lambda: heard.has("WATCHDOG=1"), what="it feeds the watchdog", seconds=60.0)
        assert "READY=1" not in heard.lines
        assert stop(process, seconds=60.0) == 0
        assert heard.has("STOPPING=1")
        assert not is_alive(process.pid)


@pytest.mark.parametrize("service", ["worker", "steward"])
def test_without_its_database_a_service_is_never_ready(
    service: str, heard: Heard, tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "data")
    archive.data_dir.mkdir()
    (archive.data_dir / "backend.env").touch()
    environment = {**archive.environment, "NOTIFY_SOCKET": heard.address}
    with running(command(service), environment=environment) as process:
        assert process.wait(60.0) != 0
    heard.take()
    assert "READY=1" not in heard.lines


def test_pages_whose_event_loop_hangs_do_not_feed_the_watchdog(heard: Heard) -> None:
    hung_seconds, period = 3.0, 1.0
    began: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """One request of anybody's that never gives the loop back."""
        if scope["type"] == "lifespan":
            return
        heard.take()
        heard.lines.clear()
        began.append(time.monotonic())
        while time.monotonic() < began[0] + hung_seconds:
            pass
        heard.take()
        began.append(heard.lines.count("WATCHDOG=1"))

    async def ask(port: int, server: Serving) -> None:
        while not server.started:
            await asyncio.sleep(0.05)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await writer.drain()
        while len(began) < 2:
            await asyncio.sleep(0.05)
        while not heard.has("WATCHDOG=1"):  # it goes round again
            await asyncio.sleep(0.05)
        writer.close()
        server.should_exit = True

    async def both() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        server = Serving(config, Notice(heard.address, period))
        async with asyncio.timeout(60):
            await asyncio.gather(
                server.serve(sockets=[listening]), ask(listening.getsockname()[1], server)
            )

    asyncio.run(both())
    assert began[1] == 0
    assert "STOPPING=1" in heard.lines or heard.has("STOPPING=1")
