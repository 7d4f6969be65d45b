"""Where a source is crawled in containers, `install` brings podman's unit; and takes it away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from healtharchive.cli.machine import layout
from healtharchive.cli.machine.units import (
    CONTAINER_UNITS,
    CONTAINERS,
    CONTAINERS_DIR,
    Machine,
    machine_of,
    unit_files,
)
from healtharchive.model.container import ContainerOptions
from healtharchive.model.errors import SetupError
from healtharchive.model.source import SourceDefinition
from healtharchive.settings import load
from tests.lab.queue import source_named
from tests.unit.test_installing import PROGRAM, parts, seen, sentences


def test_a_source_in_containers_brings_podmans_unit_and_takes_it_away_again() -> None:
    found = machine_in_containers()
    without, within = parts(), parts(found)
    assert sentences(within, seen(without)) == [
        f"change {layout.TMPFILES}",
        "run systemd-tmpfiles --create healtharchive.conf",
        *(f"write {layout.UNIT_DIR}/{name} (0644 root:root)" for name in CONTAINER_UNITS),
        "run systemctl daemon-reload",
        f"run systemctl enable {' '.join(found.enabled)}",
    ]
    assert sentences(without, seen(within)) == [
        f"change {layout.TMPFILES}",
        "run systemd-tmpfiles --create healtharchive.conf",
        f"run systemctl disable --now {CONTAINERS}",
        f"run sh -c systemctl kill --signal=KILL {CONTAINERS} 2>/dev/null || true",
        *(f"remove {layout.UNIT_DIR}/{name}" for name in CONTAINER_UNITS),
        "run systemctl daemon-reload",
    ]


def test_only_a_source_that_podman_may_run_brings_its_unit_with_the_runtime_that_all_want() -> None:
    assert not machine_in_containers(source_in("docker", "runc")).containers
    found = machine_in_containers(source_in("auto"), source_in("podman", "runc"))
    assert (found.containers, found.container_runtime) == (True, "runc")
    text = unit_files(found)[CONTAINERS]
    assert text.count("--runtime runc") == 3
    assert f"unix://{CONTAINERS_DIR}/podman.sock" in text
    with pytest.raises(SetupError, match="crun and by runc"):
        machine_in_containers(source_in("podman", "crun"), source_in("podman", "runc"))


def source_in(program: Literal["auto", "docker", "podman"], runtime: str = "") -> SourceDefinition:
    options = ContainerOptions(engine=program, runtime=runtime)
    return replace(source_named("lab"), engine="container", container=options)


def machine_in_containers(*sources: SourceDefinition) -> Machine:
    return machine_of(
        load({"HEALTHARCHIVE_DATA_DIR": "/var/lib/healtharchive"}, env_file=Path("/nowhere")),
        (),
        program=PROGRAM,
        parts=[PROGRAM.parents[1]],
        user="healtharchive",
        env_file=Path("/etc/healtharchive/backend.env"),
        sources=sources or (source_in("auto"),),
    )
