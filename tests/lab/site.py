"""The lab's site: a real documentation site with everything that real sites have.

`python -m tests.lab.site --port 0` serves it until a signal comes and prints its URL first.
`serving()` does the same for a test, in a process of its own, and knows the truth about it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tests.lab.content import Content
from tests.lab.nasty import Proportions
from tests.lab.processes import TooLate, kill_tree, spawn
from tests.lab.truth import Truth
from tests.lab.webserver import Connection, Served

HOST = "127.0.0.1"
OUTSIDE_HOST = "127.0.0.2"  # answers too, so that a crawl that strays there is seen in the log
SMALL = Proportions(big_bytes=3_000_000, slow_seconds=0.5)
START_SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """A running site."""

    url: str
    pid: int
    log_path: Path
    content: Content

    @property
    def seed_url(self) -> str:
        """Where a crawl begins."""
        return f"{self.url}/"

    @cached_property
    def truth(self) -> Truth:
        """What a right archive of this site holds."""
        return Truth.of(self.content)

    def requests(self) -> list[tuple[float, str, str, int, str]]:
        """The access log: (time, method, target, status, Host header) of each request."""
        rows = []
        for line in self.log_path.read_text(errors="backslashreplace").splitlines():
            at, method, target, status, host = line.split(" ", 4)
            rows.append((float(at), method, target, int(status), host))
        return rows

    def source_toml(self, code: str = "demo", *, delay_seconds: float = 0.0) -> str:
        """A source file for this site."""
        return (
            f'code = "{code}"\nname = "The lab\'s site"\nbase_url = "{self.url}/"\n'
            f'languages = ["en", "fr"]\nallow_private_hosts = ["{HOST}"]\n\n'
            f'[[seeds]]\nurl = "{self.url}/"\nlanguage = "en"\n\n'
            f'[scope]\nhosts = ["{HOST}"]\nexclude = ["/excluded/"]\n\n'
            f"[politeness]\ndelay_seconds = {delay_seconds}\nconcurrency = 8\n"
            "timeout_seconds = 20.0\nurl_tries = 3\n"
        )


@contextmanager
def serving(
    pages: int | None = None,
    *,
    nasty: bool = True,
    delay: float = 0.0,
    seed: int = 1,
    proportions: Proportions = SMALL,
    port: int = 0,
) -> Iterator[Site]:
    """A site in a process of its own, with so many pages of the corpus (None: all)."""
    with tempfile.TemporaryDirectory(prefix="lab-site-") as directory:
        log_path = Path(directory) / "access.log"
        command = [sys.executable, "-m", "tests.lab.site", "--port", str(port), "--json"]
        command += ["--seed", str(seed), "--delay", str(delay), "--log", str(log_path)]
        command += ["--big-bytes", str(proportions.big_bytes)]
        command += ["--slow-seconds", str(proportions.slow_seconds)]
        command += ["--retry-after", str(proportions.retry_after_seconds)]
        command += [] if pages is None else ["--pages", str(pages)]
        command += [] if nasty else ["--tidy"]
        errors = Path(directory) / "errors"
        process = spawn(command, stdout=subprocess.PIPE, log=errors)
        try:
            address = _first_line(process, errors)
            content = Content(address["url"], address["outside"], pages, seed, nasty, proportions)
            yield Site(address["url"], process.pid, log_path, content)
        finally:
            kill_tree(process)
            if process.stdout:
                process.stdout.close()


def _first_line(process: subprocess.Popen[bytes], errors: Path) -> dict[str, str]:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise TooLate(f"The lab's site did not start: {errors.read_text()}")
    address: dict[str, str] = json.loads(line)
    return address


def _sockets(port: int) -> list[socket.socket]:
    """The same port on the site's host and on the host that is out of scope."""
    last: OSError | None = None
    for _ in range(50):
        bound: list[socket.socket] = []
        try:
            for host in (HOST, OUTSIDE_HOST):
                wanted = bound[0].getsockname()[1] if bound else port
                bound.append(socket.create_server((host, wanted), backlog=512))
            return bound
        except OSError as error:
            last = error
            for each in bound:
                each.close()
            if port:
                break
    raise SystemExit(f"The lab's site could not bind port {port}: {last}")


async def _serve(arguments: argparse.Namespace) -> None:
    sockets = _sockets(arguments.port)
    port = sockets[0].getsockname()[1]
    url, outside = (f"http://{host}:{port}" for host in (HOST, OUTSIDE_HOST))
    content = Content(
        url, outside, arguments.pages, arguments.seed, not arguments.tidy, _proportions(arguments)
    )
    log = os.open(arguments.log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    served = Served(content, log, arguments.delay)
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(served), sock=each) for each in sockets]
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    print(json.dumps({"url": url, "outside": outside}) if arguments.json else url, flush=True)
    await ended.wait()
    for server in servers:
        server.close()


def _proportions(arguments: argparse.Namespace) -> Proportions:
    size = SMALL if arguments.small else Proportions()
    wanted = {
        "big_bytes": arguments.big_bytes,
        "slow_seconds": arguments.slow_seconds,
        "retry_after_seconds": arguments.retry_after,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    return replace(size, **given)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--pages", type=int, help="how many pages of the corpus; all by default")
    parser.add_argument("--seed", type=int, default=1, help="which pages")
    parser.add_argument("--small", action="store_true", help="a small big file, quick slow pages")
    parser.add_argument("--tidy", action="store_true", help="the corpus alone, nothing nasty")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--big-bytes", type=int)
    parser.add_argument("--slow-seconds", type=float)
    parser.add_argument("--retry-after", type=int)
    parser.add_argument("--log", help="the access log; nowhere by default")
    parser.add_argument("--json", action="store_true", help="print both addresses as JSON")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
