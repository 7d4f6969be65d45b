"""The web server's process: it says where it is, answers, and ends without an error."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from healtharchive.model.errors import SetupError
from healtharchive.model.journal import Event, read
from healtharchive.model.services import Service, processes
from healtharchive.web.server import serve
from tests.lab.small_archive import Exchange, SmallArchive, build

PROGRAM = """
import logging, sys
from healtharchive.settings import load, open_database
from healtharchive.web.server import serve
logging.basicConfig(level="INFO")
settings = load()
sys.exit(serve(settings, open_database(settings)))
"""
ADDRESS = re.compile(r"the archive is at (http://\S+)")


@contextmanager
def running(archive: SmallArchive) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {
        **os.environ,
        "HEALTHARCHIVE_DATA_DIR": str(archive.settings.data_dir),
        "HEALTHARCHIVE_DATABASE_URL": archive.settings.database_url,
        "HEALTHARCHIVE_BIND_PORT": "0",
    }
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, map(ADDRESS.search, process.stderr)))
            yield process, found.group(1)
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_ends_without_an_error(tmp_path: Path, stop: signal.Signals) -> None:
    archive = build(tmp_path, [Exchange("/", b"<p>here</p>", title="Here", language="en")])
    with running(archive) as (process, address), httpx.Client(trust_env=False) as client:
        assert client.get(address + "health/ready").json()["status"] == "ok"
        assert "here" in client.get(address + "raw/1").text
        process.send_signal(stop)
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    archive = build(tmp_path, [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = replace(archive.settings, bind_port=taken.getsockname()[1])
        with pytest.raises(SetupError, match=r"cannot be served on 127\.0\.0\.1 port"):
            serve(settings, archive.database)


def events(archive: SmallArchive, subject: str) -> list[Event]:
    with archive.database.read() as connection:
        return read(connection, subject=subject)


def test_the_web_pages_are_a_service_that_says_who_stopped_it(tmp_path: Path) -> None:
    archive = build(tmp_path, [Exchange("/", b"<p>here</p>", title="Here", language="en")])
    with running(archive) as (process, address), httpx.Client(trust_env=False) as client:
        assert client.get(address + "health/ready").status_code == 200
        with archive.database.read() as connection:
            (living,) = processes(connection, Service.SERVE)
        assert living.pid == process.pid
        killer = ["/bin/sh", "-c", f"kill -TERM {process.pid}; sleep 1"]
        subprocess.run(killer, check=True, timeout=30)
        assert process.wait(timeout=30) == 0
    with archive.database.read() as connection:
        assert processes(connection, Service.SERVE) == []
    told = events(archive, "serve")
    assert [each.what for each in told] == ["started", "stop_signal", "stopped"]
    assert f"kill -TERM {process.pid}" in told[1].why
