"""Targets on real mounts that a test mounts, breaks and diagnoses; all is undone after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import evidence
from healtharchive.storage.diagnosis import Cause, diagnose
from healtharchive.storage.inspection import Inspection, inspect_target
from healtharchive.storage.mount_process import end_mount_process, mount_process
from healtharchive.storage.mountinfo import read_mounts
from tests.lab import mounts

LOOK_SECONDS = 10.0
LAYERS = 4  # more mounts than any test leaves on one path


@contextmanager
def box(server: mounts.Server, path: Path, alive_seconds: int = 2) -> Iterator[TargetDefinition]:
    """A target that can be mounted; whatever is mounted there in the end is taken away."""
    definition = TargetDefinition(
        "box",
        TargetKind.MOUNT,
        str(path),
        mount_command=server.mount_command(path, alive_seconds),
        filesystem="fuse.sshfs",
        source=server.source,
        server=f"127.0.0.1:{server.port}",
    )
    try:
        yield definition
    finally:
        for _ in range(LAYERS):
            if pid := mount_process(read_mounts(), definition):
                end_mount_process(pid, definition.root)
            mounts.unmount(path)


@contextmanager
def hot(parent: TargetDefinition, path: Path) -> Iterator[TargetDefinition]:
    """A bind of the target's directory `jobs/hc`; it is unbound in the end."""
    try:
        yield TargetDefinition(
            "hc", TargetKind.BIND, str(path), parent=parent.name, backing="jobs/hc"
        )
    finally:
        mounts.unmount(path)


def mounted_pid(definition: TargetDefinition) -> int:
    """The pid of the process that serves the target's mount."""
    pid = mount_process(read_mounts(), definition)
    assert pid is not None
    return pid


def look(
    definition: TargetDefinition,
    parent: TargetDefinition | None = None,
    deadline_seconds: float = LOOK_SECONDS,
) -> Inspection:
    """One look at the target, by write."""
    return inspect_target(definition, deadline_seconds=deadline_seconds, parent=parent)


def cause_of(
    definition: TargetDefinition,
    parent: TargetDefinition | None = None,
    deadline_seconds: float = LOOK_SECONDS,
    **extra: object,
) -> tuple[Cause, evidence.Evidence]:
    """The diagnosis as the steward makes it: look, collect, then judge what was kept in a file."""
    table = read_mounts()
    found = look(definition, parent, deadline_seconds)
    began = time.monotonic()
    taken = evidence.collect(
        definition, found, table, taken_at=datetime.now(UTC), extra=extra, parent=parent
    )
    assert time.monotonic() - began < 10.0
    return diagnose(taken), taken
