"""The steps that mend a mount. Each is bounded in time, and doing it again does no harm."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import errand
from healtharchive.storage.inspection import inspect_path
from healtharchive.storage.mountinfo import (
    MOUNTED,
    Mount,
    backing_path,
    below,
    connection_directory,
    covering,
    mount_at,
    objection,
    read_mounts,
    same_source,
)

MEND = Path(__file__).with_name("mend.py")
STEP_SECONDS = 10.0
NESTED_SECONDS = 2.0
LAYERS = 16  # more mounts than anybody stacks on one path
POLL_SECONDS = 0.05
FORK_SECONDS = 0.5  # a FUSE server that goes to the background does it within this time
OUTPUT_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done to a mount, or need not be done; `detail` says what came of it."""

    what: str
    path: str
    ok: bool
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Powers:
    """Whose the mounts are, and the words before a command that make it theirs.

    `mending` stands before what takes the power to mount, `mounting` before a target's own command.
    Without any, all is done as who we are.
    """

    user: str = ""
    mending: tuple[str, ...] = ()
    mounting: tuple[str, ...] = ()


OWN = Powers()


def unmount(path: str, *, deadline_seconds: float = STEP_SECONDS, powers: Powers = OWN) -> Step:
    """Take the topmost mount at a path away, lazily. The path itself is never asked."""
    before = mount_at(read_mounts(), path)
    if before is None:
        return Step("unmount", path, True, "nothing to do: nothing is mounted there")
    step, number = _mend("unmount", path, deadline_seconds, powers, path=path)
    after = mount_at(read_mounts(), path)
    if after is None or after.id != before.id:
        return replace(step, ok=True, detail=f"{before.filesystem} {before.source} is gone")
    if number == errno.EPERM:
        return replace(step, detail="only root may unmount it")
    return step


def unmount_all(
    path: str,
    mounts: Sequence[Mount] | None = None,
    *,
    deadline_seconds: float = STEP_SECONDS,
    powers: Powers = OWN,
) -> list[Step]:
    """Take away all mounts at a path, and before them those below it, inside-out.

    The last step says whether the path is free now. A nested mount that cannot be unmounted (its
    path leads through a hung one) goes with the one above it.
    """
    began = time.monotonic()
    steps: list[Step] = []
    table = read_mounts() if mounts is None else mounts
    for _ in range(LAYERS):
        if mount_at(table, path) is None or time.monotonic() - began > deadline_seconds:
            break
        steps += _unmount_below(table, path, powers)
        steps.append(unmount(path, deadline_seconds=deadline_seconds, powers=powers))
        table = read_mounts()
    left = mount_at(read_mounts(), path)
    detail = f"still mounted: {left}" if left else "nothing is mounted there"
    return [*steps, Step("unmount all", path, left is None, detail, time.monotonic() - began)]


def _unmount_below(mounts: Sequence[Mount], path: str, powers: Powers) -> list[Step]:
    steps: list[Step] = []
    for nested in below(mounts, path):
        steps.append(unmount(nested.point, deadline_seconds=NESTED_SECONDS, powers=powers))
        if not steps[-1].ok:
            break  # its path leads through a hung mount: so would the next one's
    return steps


def abort_connection(device: str, *, powers: Powers = OWN) -> Step:
    """End a FUSE mount's connection: all that hangs on it gets errno 107 at once."""
    what, directory = "abort connection", connection_directory(device)
    if directory is None:
        return Step(what, device, True, "nothing to do: there is no such connection")
    step, number = _mend("abort", device, STEP_SECONDS, powers, file=str(directory / "abort"))
    if number == errno.ENOENT:
        return Step(what, device, True, "it ended by itself")
    return replace(step, what=what, detail="aborted" if step.ok else step.detail)


def identify(
    definition: TargetDefinition, identity: str, *, deadline_seconds: float = STEP_SECONDS
) -> Step:
    """Mark the target's root with its identity, once; refused where another's is."""
    order = {"root": definition.root, "target": definition.name, "identity": identity}
    return _mend("identify", definition.root, deadline_seconds, OWN, **order)[0]


def bind(
    backing: str,
    path: str,
    *,
    base: str = "",
    deadline_seconds: float = STEP_SECONDS,
    powers: Powers = OWN,
) -> Step:
    """Show the directory `backing` at `path` too; both are made if they are missing.

    With `base`, nothing is done unless `backing` lies on a mount at or below `base`: else it would
    be made on the root disk. Refused where it would hide files or another mount is.
    """
    mounts = read_mounts()
    under = covering(mounts, backing)
    if base and (under is None or not Path(under.point).is_relative_to(base)):
        return Step("bind", path, False, f"{base} is not mounted")
    at = mount_at(mounts, path)
    if at is not None and under is not None and same_source(at, under, "/", backing):
        return Step("bind", path, True, "nothing to do: it is bound already")
    if at is not None:
        return Step("bind", path, False, f"something else is mounted there: {at}")
    step, number = _mend("bind", path, deadline_seconds, powers, backing=backing, path=path)
    if not step.ok:
        return _refusal(step, number)
    at, under = mount_at(mounts := read_mounts(), path), covering(mounts, backing)
    ok = at is not None and under is not None and same_source(at, under, "/", backing)
    return replace(step, ok=ok, detail=f"bound from {backing}" if ok else "it is not listed")


def mount(
    definition: TargetDefinition,
    deadline_seconds: float,
    *,
    parent: TargetDefinition | None = None,
    powers: Powers = OWN,
) -> Step:
    """Mount a target as its definition says; a bind is bound again.

    ok only when the kernel then lists the declared mount at its root. Refused where it would hide
    files, or where another mount is. `parent` is the definition that a bind names.
    """
    root = definition.root
    if definition.kind is TargetKind.BIND:
        backing = backing_path(definition, parent)
        base = parent.root if parent is not None and parent.kind in MOUNTED else ""
        return bind(backing, root, base=base, deadline_seconds=deadline_seconds, powers=powers)
    began = time.monotonic()
    at = mount_at(read_mounts(), root)
    if at is not None:
        wrong = objection(definition, read_mounts())
        detail = f"something else is mounted there: {wrong}" if wrong else "nothing to do: mounted"
        return Step("mount", root, not wrong, detail)
    command = _mount_command(definition, powers)
    if not command:
        return Step("mount", root, False, "nobody said how it is mounted")
    # Where a unit mounts, systemd makes the directory, as root.
    verb = "hides_nothing" if definition.unit else "prepare"
    step, number = _mend(verb, root, deadline_seconds, powers, path=root)
    if not step.ok:
        return replace(_refusal(step, number), what="mount")
    left = deadline_seconds - (time.monotonic() - began)
    ok, detail = _mounted_by(command, definition, left, powers.user)
    return Step("mount", root, ok, detail, time.monotonic() - began)


def _mount_command(definition: TargetDefinition, powers: Powers) -> list[str]:
    if definition.unit:
        return ["systemctl", "restart", "--", definition.unit]
    return [*powers.mounting, *definition.mount_command] if definition.mount_command else []


def _mounted_by(
    command: Sequence[str], definition: TargetDefinition, deadline_seconds: float, user: str
) -> tuple[bool, str]:
    """Run what mounts; whether the declared mount appeared in time, and what there is to say.

    The output goes to a file, not a pipe: a FUSE server that stays behind would hold a pipe open.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            return False, f"{command[0]} cannot be started: {error.strerror}"
        ok, detail = _watch(process, definition, time.monotonic() + deadline_seconds, user)
        return (True, detail) if ok else (False, f"{detail}. It said: {_tail(output)}")


def _watch(
    process: subprocess.Popen[bytes], definition: TargetDefinition, deadline: float, user: str
) -> tuple[bool, str]:
    """Wait for the mount to be listed and served.

    A command that goes on may be the FUSE server itself. It is listed before it has reached its
    server, so that its first answer is waited for.
    """
    while True:
        status = process.poll()
        mounts = read_mounts()
        wrong = objection(definition, mounts)
        if status is not None and status != 0:
            return False, f"the command ended with status {status}"
        left = max(deadline - time.monotonic(), POLL_SECONDS)
        if not wrong and (status == 0 or _answers(definition.root, left, user)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(FORK_SECONDS)  # so that its successor is the only one found
            return True, str(mount_at(mounts, definition.root))
        if status == 0 and mount_at(mounts, definition.root) is not None:
            return False, wrong
        if time.monotonic() >= deadline:
            errand.abandon(process)
            return False, f"not mounted in time: {wrong or 'it does not answer'}"
        time.sleep(POLL_SECONDS)


def _answers(path: str, deadline_seconds: float, user: str) -> bool:
    seen = inspect_path(path, deadline_seconds=deadline_seconds, write=False, user=user)
    return seen.healthy


def _tail(output: IO[bytes]) -> str:
    with contextlib.suppress(OSError):
        output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_BYTES))
    return output.read().decode("utf-8", "replace").strip() or "nothing"


def _mend(
    verb: str, place: str, deadline_seconds: float, powers: Powers, **order: str
) -> tuple[Step, int]:
    """What the child that mends came back with, and its errno (0: none)."""
    script = [*powers.mending, sys.executable, "-I", "-S", str(MEND)]
    done = errand.run([*script, json.dumps({"verb": verb, **order})], deadline_seconds)
    seconds = done.elapsed_seconds
    if not done.in_time:
        detail = f"it did not end within {deadline_seconds:g} s"
        return Step(verb, place, False, detail, seconds), errno.ETIMEDOUT
    try:
        answer = json.loads(done.output)
        number, detail = int(answer["errno"]), str(answer["detail"])
    except (ValueError, TypeError, KeyError):
        return Step(verb, place, False, f"ended with status {done.status}", seconds), errno.EIO
    return Step(verb, place, number == 0, detail or "done", seconds), number


def _refusal(step: Step, number: int) -> Step:
    if number != errno.ENOTEMPTY:
        return step
    return replace(step, detail=f"{step.path} has files of its own, which a mount would hide")
