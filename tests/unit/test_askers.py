"""Who had systemd stop us."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from healtharchive.work.askers import Seen, asker, living, look

UNIT = "healtharchive-worker.service"


def seen(pid: int, command: str) -> Seen:
    return Seen(pid, 1, 0, None, tuple(command.split()))


@pytest.mark.parametrize(
    "command",
    [
        f"systemctl stop {UNIT}",
        "/usr/bin/systemctl --no-ask-password restart healtharchive-worker",
        "systemctl stop other.service healtharchive-worker.service",
        "systemctl stop healtharchive-*",
        "systemctl stop healtharchive.target",
        "systemctl disable --now healtharchive-worker",
        "systemctl reboot",
        "shutdown -r now",
    ],
)
def test_whoever_has_us_stopped_is_found(command: str) -> None:
    others = [seen(7, "systemctl status healtharchive-worker"), seen(8, "sleep 9")]
    assert asker([*others, seen(9, command)], UNIT) == seen(9, command)


@pytest.mark.parametrize(
    "command",
    [
        "systemctl stop healtharchive-serve.service",
        "systemctl status healtharchive-worker.service",
        "systemctl start healtharchive-worker.service",
        "vi systemctl stop healtharchive-worker",
        "systemctl stop nginx.service",
    ],
)
def test_whoever_asks_for_something_else_is_not_blamed(command: str) -> None:
    assert asker([seen(9, command), Seen(10, 1, 0, None, ())], UNIT) is None


def test_of_several_the_youngest_is_meant() -> None:
    orders = [seen(11, f"systemctl stop {UNIT}"), seen(12, f"systemctl restart {UNIT}")]
    assert asker(orders, UNIT) == orders[1]


def test_a_real_process_is_seen_with_its_words_and_its_parent() -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "stop", ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        found = {each.pid: each for each in living()}[child.pid]
        assert found.words == tuple(command[:4])  # an empty last word is not seen
        assert (found.parent, found.uid) == (os.getpid(), os.getuid())
        assert child.stdin is not None
        child.stdin.close()
    assert look(child.pid) is None
