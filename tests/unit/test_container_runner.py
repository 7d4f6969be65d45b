"""Which container engine is used, and what is said when none can be: with programs of our own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from healtharchive.crawl.container.runner import Runner, find_runner
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import BadInput, SetupError


def program(directory: Path, name: str, script: str) -> None:
    """A program of that name that does what the script says."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def find(directory: Path, options: ContainerOptions) -> Runner:
    return asyncio.run(find_runner(options, lambda name: shutil.which(name, path=str(directory))))


def test_podman_is_taken_where_docker_does_not_answer(tmp_path: Path) -> None:
    program(tmp_path, "docker", "echo Cannot connect to the daemon >&2; exit 1")
    program(tmp_path, "podman", "exit 0")
    assert find(tmp_path, ContainerOptions()).program == "podman"
    program(tmp_path, "docker", "exit 0")
    assert find(tmp_path, ContainerOptions()).program == "docker"
    assert find(tmp_path, ContainerOptions(engine="podman")).program == "podman"


def test_each_engine_that_cannot_be_used_is_named_with_its_reason(tmp_path: Path) -> None:
    program(tmp_path, "docker", "echo Cannot connect to the daemon >&2; exit 1")
    with pytest.raises(SetupError) as error:
        find(tmp_path, ContainerOptions())
    said = str(error.value)
    assert "docker does not answer (Cannot connect to the daemon); podman is not installed" in said
    with pytest.raises(SetupError, match="systemctl start docker"):
        find(tmp_path, ContainerOptions(engine="docker"))
    with pytest.raises(SetupError, match="apt-get install podman"):
        find(tmp_path, ContainerOptions(engine="podman"))


def test_a_call_that_hangs_is_given_up(tmp_path: Path) -> None:
    program(tmp_path, "podman", "exec sleep 60")
    runner = Runner("podman", str(tmp_path / "podman"))
    begun = time.monotonic()
    said = asyncio.run(runner.call("info", timeout_seconds=0.3))
    assert said.status is None
    assert said.why == "no answer in time"
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("status", "kind"), [(125, SetupError), (127, BadInput), (126, BadInput)])
def test_a_program_that_is_not_in_the_image_is_the_sources_fault(
    tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    program(tmp_path, "podman", f"echo something is wrong >&2; exit {status}")
    with pytest.raises(kind, match="something is wrong"):
        asyncio.run(Runner("podman", str(tmp_path / "podman")).run(["image"]))


ENDED = 1 << 22  # the kernel gives no pid above that


def engine_that_saw(directory: Path, *answers: dict[str, Any], kill_status: int) -> Runner:
    """An engine that answers one inspection after the other so, the last one again and again."""
    for number, state in enumerate(answers, start=1):
        (directory / f"{number}.json").write_text(json.dumps([{"Id": "abc", "State": state}]))
    last = directory / f"{len(answers)}.json"
    inspect = f"cat {directory}/$(wc -l < {directory}/asked | tr -d ' ').json 2>&- || cat {last}"
    program(
        directory,
        "podman",
        f'[ "$1" = kill ] && exit {kill_status}; echo >> {directory}/asked; {inspect}',
    )
    return Runner("podman", str(directory / "podman"))


RUNNING = {"Status": "running", "ConmonPid": ENDED}
DONE = {"Status": "exited", "ExitCode": 0, "ConmonPid": 0}


@pytest.mark.parametrize(
    ("answers", "kill_status", "status", "exit_code"),
    [
        ([RUNNING], 125, "stopped", 137),  # nobody told podman of its end
        ([RUNNING], 0, "running", 0),  # it runs without its conmon
        ([RUNNING, DONE], 125, "exited", 0),  # it ended just now, by itself
        ([{**RUNNING, "ConmonPid": os.getpid()}], 125, "running", 0),
        ([{"Status": "running"}], 125, "running", 0),  # docker has none
    ],
)
def test_a_container_whose_conmon_was_killed_is_asked_whether_it_runs(
    tmp_path: Path,
    answers: list[dict[str, Any]],
    kill_status: int,
    status: str,
    exit_code: int,
) -> None:
    runner = engine_that_saw(tmp_path, *answers, kill_status=kill_status)
    seen = asyncio.run(runner.inspect("abc"))
    assert seen is not None
    assert (seen.status, seen.exit_code) == (status, exit_code)
