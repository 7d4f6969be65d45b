"""Archived bodies over a real server: slow readers, HEAD, and headers of what was captured."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from healtharchive.web.app import create_app
from healtharchive.web.outgoing import Outgoing
from healtharchive.web.reading import Readers
from healtharchive.web.visit import Site
from tests.lab.editions import serving
from tests.lab.small_archive import Exchange, SmallArchive, build

BIG_BYTES = 24_000_000  # more than both ends of a socket hold
BIG = random.Random(7).randbytes(BIG_BYTES)
PATIENCE_SECONDS = 60.0
BINARY = "application/octet-stream"
STRANGER = "203.0.113.9"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    return build(
        tmp_path_factory.mktemp("bodies"),
        [
            Exchange("/big.png", BIG, "image/png"),
            Exchange("/page", b"<p>A page</p>"),
            Exchange("/a", b"a", "text/plaïn; charset=utf-8"),
            Exchange("/b", b"b", "text/plain; charset=ütf"),
            Exchange("/c", b"c", "image/é"),
            Exchange("/d", b"d", "Ünsinn"),
        ],
    )


@pytest.fixture
def client(archive: SmallArchive) -> Iterator[httpx.Client]:
    app = create_app(archive.settings, archive.database)
    with TestClient(app, raise_server_exceptions=False) as site:
        yield site


@contextmanager
def silent(address: str, path: str) -> Iterator[socket.socket]:
    """Somebody who asks, sees that the answer begins, and then takes nothing more."""
    place = urlsplit(address)
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking.settimeout(PATIENCE_SECONDS)
        asking.connect((place.hostname, place.port))
        asking.sendall(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        assert asking.recv(15) == b"HTTP/1.1 200 OK"
        yield asking


def test_readers_who_say_nothing_stop_nobody(archive: SmallArchive) -> None:
    app = create_app(archive.settings, archive.database)
    with serving(app) as address, ExitStack() as undo:
        for path in ("/raw/1", "/warc/1", "/wacz/1", "/at/2026/http://example.org/big.png"):
            undo.enter_context(silent(address, path))
        page = httpx.get(f"{address}/raw/2", trust_env=False, timeout=PATIENCE_SECONDS)
        assert page.status_code == 200
        whole = httpx.get(f"{address}/raw/1", trust_env=False, timeout=PATIENCE_SECONDS)
        assert whole.content == BIG


def test_large_bodies_are_bounded_by_client(archive: SmallArchive) -> None:
    settings = replace(archive.settings, trusted_proxies="127.0.0.1")
    app = create_app(settings, archive.database)
    site: Site = app.state.site
    app.state.site = replace(site, outgoing=Outgoing(most_a_client=0))
    with TestClient(app, client=(STRANGER, 4711)) as stranger:
        refused = stranger.get("/raw/1?ui=fr")
        assert refused.status_code == 503
        assert "Trop de lectures sont en cours" in refused.text
        assert int(refused.headers["retry-after"]) > 0
        assert stranger.get("/raw/2").status_code == 200
    with TestClient(app, client=("127.0.0.1", 1)) as local:
        assert local.get("/raw/1").status_code == 200


def test_a_head_is_answered_without_the_body(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked: list[str] = []
    read = Readers.read
    monkeypatch.setattr(
        Readers, "read", lambda self, order: asked.append(order.want) or read(self, order)
    )
    for path in ("/raw/1", "/warc/1", "/wacz/1", "/raw/2"):
        got = client.get(path).headers
        asked.clear()
        head = client.head(path)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("content-type", "content-disposition", "content-security-policy"):
            assert head.headers.get(name) == got.get(name), (path, name)
        assert "one_page" not in asked  # nobody makes a file for its headers
    assert client.head("/wacz/999").status_code == 404
    assert os.listdir(tmp_path) == []


def test_the_length_of_a_body_is_told(client: httpx.Client) -> None:
    assert client.get("/raw/1").headers["content-length"] == str(BIG_BYTES)


@pytest.mark.parametrize(
    ("number", "shown"),
    [(3, "text/plain; charset=utf-8"), (4, "text/plain"), (5, BINARY), (6, BINARY)],
)
def test_a_media_type_with_other_letters_is_no_error(
    client: httpx.Client, number: int, shown: str
) -> None:
    answer = client.get(f"/raw/{number}")
    assert answer.status_code == 200
    assert answer.text == "abcd"[number - 3]
    assert answer.headers["content-type"] == shown
