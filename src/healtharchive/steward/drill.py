"""A rehearsal: the target's own mount command at a scratch place, broken and mended for real."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from healtharchive.model.errors import BadInput
from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.steward.means import StewardMeans
from healtharchive.storage import mounting
from healtharchive.storage.inspection import inspect_target
from healtharchive.storage.mount_process import end_mount_process, mount_process
from healtharchive.storage.mountinfo import mount_at, read_mounts
from healtharchive.storage.mounting import Step


@dataclass(frozen=True, slots=True)
class Drill:
    """How a rehearsal went, step by step."""

    target: str
    ok: bool
    steps: tuple[Step, ...]


def rehearse(means: StewardMeans, definition: TargetDefinition) -> Drill:
    """Mount, look, kill the mount's process, look, unmount, mount again, look, take it away.

    The target's own mount is not touched. BadInput for a target that no command mounts.
    """
    if definition.kind is not TargetKind.MOUNT or not definition.mount_command:
        raise BadInput(
            f"Target '{definition.name}' has no mount_command to rehearse with.",
            "Only mounts that a command makes can be rehearsed at another place.",
        )
    scratch = tempfile.mkdtemp(prefix=f"drill-{definition.name}-", dir=means.settings.data_dir)
    rehearsed = replace(
        definition,
        root=scratch,
        mount_command=tuple(
            scratch if w == definition.root else w for w in definition.mount_command
        ),
    )
    steps: list[Step] = []
    try:
        for action in _script(means, rehearsed):
            steps.append(action())
            if not steps[-1].ok:
                break
    finally:
        steps.append(mounting.unmount_all(scratch)[-1])
        if mount_at(read_mounts(), scratch) is None:
            os.rmdir(scratch)
    return Drill(definition.name, all(step.ok for step in steps), tuple(steps))


def _script(means: StewardMeans, definition: TargetDefinition) -> list[Callable[[], Step]]:
    deadline = means.settings.probe_deadline_seconds

    def look(wanted: tuple[Verdict, ...]) -> Step:
        began = time.monotonic()
        seen = inspect_target(definition, deadline_seconds=deadline)
        detail = f"{seen.verdict} {seen.detail}".strip()
        took = time.monotonic() - began
        return Step("look", definition.root, seen.verdict in wanted, detail, took)

    def make() -> Step:
        return mounting.mount(definition, means.settings.mount_seconds)

    def break_it() -> Step:
        pid = mount_process(read_mounts(), definition)
        if pid is None:
            return Step("end process", definition.root, False, "its process was not found")
        return end_mount_process(pid, definition.root)

    return [
        make,
        lambda: look((Verdict.HEALTHY,)),
        break_it,
        lambda: look((Verdict.STALE, Verdict.WRONG_MOUNT)),
        lambda: mounting.unmount_all(definition.root)[-1],
        make,
        lambda: look((Verdict.HEALTHY,)),
    ]
