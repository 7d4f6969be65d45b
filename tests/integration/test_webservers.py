"""Caddy and nginx as `install` sets them up: readers get through to the archive, nobody else."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from healtharchive.cli.machine.webservers import WebServer, site_text
from healtharchive.settings import load
from tests.lab.postgres import free_port
from tests.lab.processes import running, wait_for
from tests.lab.small_site import Answer, answering

DOMAIN = "archive.example.org"
OPEN = (
    "/",
    "/en/",
    "/en/search?q=metrics",
    "/api/wacz/job/7.wacz",
    "/en/administration",
    "/enmetrics",
)
CLOSED = (
    "/metrics",
    "/metrics/",
    "//metrics",
    "/%6Detrics",
    "/en/../metrics",
    "/operations",
    "/operations/jobs/7",
    "/fr/operations/",
    "/en/admin/reports",
    "/en/admin/reports?token=x",
    "/admin",
    "/api/admin/v1/status",
    "/api//admin/v1/status",
)


@dataclass(frozen=True)
class Front:
    """A web server that runs, asked as a reader's browser would."""

    port: int

    def ask(self, path: str, host: str = DOMAIN) -> tuple[int, bytes]:
        """The status and the body of an answer over HTTPS."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            tls = context.wrap_socket(plain, server_hostname=host)
            connection = http.client.HTTPSConnection(host, timeout=10)
            connection.sock = tls
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextmanager
def archive() -> Iterator[int]:
    """Where the archive's pages would be: it tells what it was asked for."""
    with answering(lambda host, path: Answer(f"{host} {path}".encode())) as site:
        yield int(site.url.rpartition(":")[2].rstrip("/"))


@contextmanager
def nginx(text: str, directory: Path) -> Iterator[Front]:
    port = free_port()
    certificate = trustme.CA().issue_cert(DOMAIN, f"replay.{DOMAIN}")
    certificate.cert_chain_pems[0].write_to_path(directory / "fullchain.pem")
    certificate.private_key_pem.write_to_path(directory / "privkey.pem")
    text = text.replace(f"/etc/letsencrypt/live/{DOMAIN}", str(directory))
    text = re.sub(r"listen \[::\].*", "", text)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{port} ")
    places = "".join(
        f"{name}_temp_path {directory}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"pid {directory}/pid; daemon off; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places}\n{text}\n}}\n"
    )
    with served(["nginx", "-p", str(directory), "-c", "nginx.conf"], port, directory) as front:
        yield front


@contextmanager
def caddy(text: str, directory: Path) -> Iterator[Front]:
    port = free_port()
    ours = (
        f"admin off\nlocal_certs\nskip_install_trust\nhttp_port {free_port()}\nhttps_port {port}\n"
    )
    (directory / "Caddyfile").write_text(f"{{\n{ours}}}\n{text}")
    command = ["caddy", "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]
    with served(command, port, directory) as front:
        yield front


@contextmanager
def served(command: list[str], port: int, directory: Path) -> Iterator[Front]:
    log = directory / "log"
    environment = {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    front = Front(port)
    with running(command, environment=environment, log=log):

        def answers() -> bool:
            try:
                return front.ask("/")[0] == 200
            except OSError:
                return False

        wait_for(answers, what=f"{command[0]} answers: {log}", seconds=30.0, every=0.2)
        yield front


SERVERS: dict[WebServer, Callable[..., object]] = {"caddy": caddy, "nginx": nginx}


@pytest.mark.parametrize("name", SERVERS)
def test_readers_get_through_and_what_is_for_operators_is_not_there(
    name: WebServer, tmp_path: Path
) -> None:
    with archive() as pages, archive() as replay:
        env = {"HEALTHARCHIVE_BIND_PORT": str(pages), "HEALTHARCHIVE_REPLAY_PORT": str(replay)}
        text = site_text(name, DOMAIN, load(env, env_file=tmp_path / "none"))
        with SERVERS[name](text, tmp_path) as front:  # type: ignore[attr-defined]
            for path in OPEN:
                assert front.ask(path) == (200, f"{DOMAIN} {path}".encode()), path
            for host in (DOMAIN, f"replay.{DOMAIN}"):
                for path in CLOSED:
                    assert front.ask(path, host)[0] == 404, (host, path)
            host = f"replay.{DOMAIN}"
            assert front.ask("/en/", host) == (200, f"{host} /en/".encode())
