"""Past failure 11 of the predecessor (2026-03-23): one site, one engine, a protocol error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.archive import Archive
from tests.lab.truth import warc_files, warcio_check

# The first frame of an HTTP/2 connection (RFC 9113, 6.5), where an HTTP/1.1 answer is due.
SETTINGS_FRAME = bytes.fromhex("000012040000000000000300000064000400600000000600010000")
PAGES = 3
EVENT = "is fetched through the browser from now on"


@dataclass
class OddSite:
    """A site that speaks HTTP/1.1 to browsers only. `asked` says who asked for what."""

    port: int = 0
    asked: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def odd_site() -> Iterator[OddSite]:
    """The site, running. robots.txt is answered rightly to everybody."""
    site = OddSite()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            browser = "Sec-Fetch-Mode" in self.headers
            site.asked.append((self.path, browser))
            if self.path != "/robots.txt" and not browser:
                self.wfile.write(SETTINGS_FRAME)
                self.close_connection = True
                return
            links = "".join(f"<a href=/{number}>x</a> " for number in range(PAGES))
            body = b"" if self.path == "/robots.txt" else f"<title>t</title><p>w {links}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if body else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the test looks at `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.timeout(600)
def test_a_site_that_fails_by_a_protocol_error_is_captured_by_the_other_engine(
    tmp_path: Path,
) -> None:
    """There: every page of canada.ca ended with ERR_HTTP2_PROTOCOL_ERROR in the one engine there
    was; it was restarted for weeks, and a campaign got nowhere. Here: a host that one engine cannot
    talk to is fetched by the other one, by the source's own policy (`engine = "auto"`), within the
    same attempt; an event says which, and why; and the job is captured without a retry."""
    archive = Archive(tmp_path / "data")
    with odd_site() as site:
        archive.set_up(
            f'code = "odd"\nname = "odd"\nengine = "auto"\nallow_private_hosts = ["127.0.0.1"]\n'
            f'[[seeds]]\nurl = "{site.url}/"\n[scope]\nhosts = ["127.0.0.1"]\n'
            "[politeness]\ndelay_seconds = 0.0\nmax_delay_seconds = 0.1\n"
        )
        archive.run("create-job", "--source", "odd")
        archive.run("run-db-job", "--id", "1", "--until-settled")
        story = archive.ask("why", "job", "1")["events"]
    (changed,) = [each for each in story if EVENT in str(each)]
    assert f"engine changed: {site.url} {EVENT}" in str(changed)
    assert "plain HTTP was refused" in str(changed)
    assert "protocol" in str(changed)
    job = archive.job()
    assert (job["status"], job["retry_count"], job["attempt_count"]) == ("indexed", 0, 2)
    assert job["quality"] == "COMPLETE"
    by_browser = {path for path, browser in site.asked if browser}
    assert {"/", *(f"/{number}" for number in range(PAGES))} <= by_browser
    assert warcio_check(warc_files(archive.job_dir())) == []
