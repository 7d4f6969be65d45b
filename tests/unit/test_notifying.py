"""What a service tells systemd: once ready, alive only by its own loop, never from a child."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from healtharchive.work.notifying_systemd import FEEDS, Notice


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def said(systemd: socket.socket) -> list[str]:
    """Every line that has come since the last look."""
    lines: list[str] = []
    while True:
        try:
            lines += systemd.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


def notice(systemd: socket.socket, **environment: str) -> Notice:
    return Notice.asked({"NOTIFY_SOCKET": systemd.getsockname(), **environment})


def test_it_is_ready_once_and_only_when_it_says_so(systemd: socket.socket) -> None:
    told = notice(systemd)
    told.alive("the database cannot be used", ready=False)
    assert said(systemd) == ["STATUS=the database cannot be used"]
    told.alive("waits for work")
    assert said(systemd) == ["READY=1", "STATUS=waits for work"]
    told.alive("runs job 7 (crawl)")
    assert said(systemd) == ["STATUS=runs job 7 (crawl)"]


def test_each_round_of_the_loop_feeds_the_watchdog_but_not_more_often_than_needed(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = notice(systemd, WATCHDOG_USEC="8000000", WATCHDOG_PID=str(os.getpid()))
    told.alive("watches")
    assert "WATCHDOG=1" in said(systemd)
    told.alive("watches")
    assert said(systemd) == []
    now[0] += 8.0 / FEEDS
    told.alive("watches")
    assert said(systemd) == ["WATCHDOG=1"]


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(systemd: socket.socket) -> None:
    told = notice(systemd, WATCHDOG_USEC="8000000", WATCHDOG_PID="1")
    told.alive("watches")
    assert said(systemd) == ["READY=1", "STATUS=watches"]


def test_no_child_inherits_the_way_to_systemd(systemd: socket.socket) -> None:
    environment = {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "8000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    Notice.asked(environment)
    assert environment == {"PATH": "/bin"}


def test_the_end_asks_for_the_time_it_takes_in_one_line(systemd: socket.socket) -> None:
    notice(systemd).stopping("SIGTERM from a\nSTATUS=lie", 35.0)
    assert said(systemd) == [
        "STOPPING=1",
        "STATUS=stops: SIGTERM from a STATUS=lie",
        "EXTEND_TIMEOUT_USEC=35000000",
    ]


def test_without_systemd_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    Notice.asked({}).alive("watches")
    Notice.asked({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive("watches")


def test_an_abstract_address_is_understood() -> None:
    name = f"healtharchive-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        Notice.asked({"NOTIFY_SOCKET": f"@{name}"}).alive("watches")
        assert b"READY=1" in listening.recv(4096)
