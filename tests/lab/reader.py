"""A reader: the archive's web pages served on loopback, and a real Chromium that visits them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.lab.archive import Archive, command, tail
from tests.lab.processes import running, wait_for

READY_SECONDS = 60.0
PATIENCE_MS = 60_000.0  # a machine under load is slow, not wrong
# Where screenshots of the tests are kept for whoever wants to look; git ignores it.
PICTURES = Path("build/e2e")


@dataclass(frozen=True, slots=True)
class Served:
    """The two origins of a running `healtharchive serve`."""

    site: str
    replay: str

    def owns(self, url: str) -> bool:
        """Whether an address is on one of the two."""
        return url.startswith((f"{self.site}/", f"{self.replay}/"))


@contextmanager
def served(archive: Archive) -> Iterator[Served]:
    """The archive's web pages, for as long as the block."""
    pages, replay = _free_ports(2)
    environment = {
        **archive.environment,
        "HEALTHARCHIVE_BIND_PORT": str(pages),
        "HEALTHARCHIVE_REPLAY_PORT": str(replay),
    }
    log = archive.data_dir / "serve.log"
    with running(command("serve"), environment=environment, log=log) as server:
        address = f"http://127.0.0.1:{pages}"

        def answers() -> bool:
            assert server.poll() is None, tail(log)
            try:
                return httpx.get(f"{address}/health/ready", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_for(answers, what="the pages are served", seconds=READY_SECONDS)
        yield Served(address, f"http://127.0.0.1:{replay}")


@dataclass
class Reader:
    """One person's browser: what it asked for, and what it was answered.

    `left` are requests to neither of the archive's origins, also those that the browser refused.
    """

    served: Served
    context: BrowserContext
    page: Page
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        """Requests over the network to somewhere else than the archive."""
        return [
            url
            for url in self.asked
            if urlsplit(url).scheme not in ("data", "blob", "about") and not self.served.owns(url)
        ]

    def picture(self, name: str) -> None:
        """Keep what is seen now as build/e2e/NAME.png."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium for several readers: starting one is slow."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def reader(browser: Browser, served: Served, **options: object) -> Iterator[Reader]:
    """Somebody with an empty profile; `options` are those of playwright's `new_context`."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    try:
        context.set_default_timeout(PATIENCE_MS)
        found = Reader(served, context, context.new_page())

        context.on("request", lambda request: found.asked.append(request.url))
        context.on("response", lambda response: found.answered.append(response.url))
        yield found
    finally:
        context.close()


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with ExitStack() as undo:
        held = [undo.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]
