"""One look at a target: the mount table first, then a child that touches the path."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from healtharchive.model.target import TargetDefinition, TargetKind, Verdict
from healtharchive.storage import errand
from healtharchive.storage.mountinfo import (
    Mount,
    covering,
    objection,
    read_mounts,
    waiting_requests,
)

LOOK = Path(__file__).with_name("look.py")

VERDICTS = {
    errno.ENOTCONN: Verdict.STALE,
    errno.ESTALE: Verdict.STALE,
    errno.ECONNABORTED: Verdict.STALE,
    errno.ENODEV: Verdict.STALE,
    errno.EROFS: Verdict.READ_ONLY,
    errno.EACCES: Verdict.NOT_WRITABLE,
    errno.EPERM: Verdict.NOT_WRITABLE,
    errno.ENOSPC: Verdict.FULL,
    errno.EDQUOT: Verdict.FULL,
    errno.ENOENT: Verdict.MISSING,
    errno.ENOTDIR: Verdict.MISSING,
    errno.EEXIST: Verdict.MISSING,  # what is there is no directory
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one look found: the verdict, and the facts it rests on.

    `errno` and `step` say where the child failed; `detail` is a sentence for people. `identity` is
    the id found in the root, `waiting` the number of requests that a FUSE mount has not answered.
    """

    target: str
    path: str
    verdict: Verdict
    errno: int | None = None
    step: str = ""
    detail: str = ""
    elapsed_seconds: float = 0.0
    disk_bytes: int = 0
    free_bytes: int = 0
    files_total: int = 0
    files_free: int = 0
    identity: str = ""
    device: str = ""
    filesystem: str = ""
    source: str = ""
    waiting: int | None = None

    @property
    def healthy(self) -> bool:
        """Whether bytes can be kept there now."""
        return self.verdict is Verdict.HEALTHY


@dataclass(frozen=True, slots=True)
class Looked:
    """An inspection, and its child when that could not even be killed."""

    inspection: Inspection
    stuck: subprocess.Popen[bytes] | None = None


def inspect_target(
    definition: TargetDefinition,
    *,
    deadline_seconds: float,
    identity: str = "",
    write: bool = True,
    user: str = "",
    mounts: Sequence[Mount] | None = None,
    parent: TargetDefinition | None = None,
) -> Inspection:
    """What a local, mount or bind target is like now, after at most the deadline and a second.

    With `identity`, the root must carry it. With `user`, the child looks as that user. `parent` is
    the definition that a bind names. A mount that is not the declared one is never written to.
    """
    return look_at_target(
        definition,
        deadline_seconds=deadline_seconds,
        identity=identity,
        write=write,
        user=user,
        mounts=mounts,
        parent=parent,
    ).inspection


def inspect_path(
    path: str | Path,
    *,
    deadline_seconds: float,
    target: str = "",
    write: bool = True,
    make: bool = False,
    user: str = "",
    mounts: Sequence[Mount] | None = None,
) -> Inspection:
    """The same for a directory on a target, such as a job's; with `make` it is made if missing."""
    return look_at_path(
        path,
        deadline_seconds=deadline_seconds,
        target=target,
        write=write,
        make=make,
        user=user,
        mounts=mounts,
    ).inspection


def look_at_target(
    definition: TargetDefinition,
    *,
    deadline_seconds: float,
    identity: str = "",
    write: bool = True,
    user: str = "",
    mounts: Sequence[Mount] | None = None,
    parent: TargetDefinition | None = None,
) -> Looked:
    """As `inspect_target`, with the child that may be left behind."""
    if definition.kind is TargetKind.OBJECT:
        raise ValueError(f"{definition.name} is an object target: it has no directory to look at")
    table = read_mounts() if mounts is None else mounts
    blank = mount_facts(definition.name, definition.root, table)
    wrong = objection(definition, table, parent)
    if wrong and definition.kind is not TargetKind.BIND:
        return Looked(replace(blank, verdict=Verdict.WRONG_MOUNT, step="mount", detail=wrong))
    order = {
        "path": definition.root,
        "write": write and not wrong,
        "user": user,
        "identity": "" if wrong else identity,
    }
    looked = _look(blank, order, deadline_seconds)
    if not wrong or looked.inspection.verdict in (Verdict.STALE, Verdict.HUNG):
        return looked  # a bind of a dead mount is worse than wrong, and is mended otherwise
    judged = replace(
        looked.inspection, verdict=Verdict.WRONG_MOUNT, errno=None, step="mount", detail=wrong
    )
    return Looked(judged, looked.stuck)


def look_at_path(
    path: str | Path,
    *,
    deadline_seconds: float,
    target: str = "",
    write: bool = True,
    make: bool = False,
    user: str = "",
    mounts: Sequence[Mount] | None = None,
) -> Looked:
    """As `inspect_path`, with the child that may be left behind."""
    table = read_mounts() if mounts is None else mounts
    place = os.fspath(path)
    order = {"path": place, "make": make, "write": write, "user": user}
    return _look(mount_facts(target, place, table), order, deadline_seconds)


def mount_facts(target: str, path: str, mounts: Sequence[Mount]) -> Inspection:
    """What the mount table alone says of a path: an inspection that nothing was judged in yet."""
    at = covering(mounts, path)
    if at is None:
        return Inspection(target, path, Verdict.HEALTHY)
    return Inspection(
        target,
        path,
        Verdict.HEALTHY,
        device=at.device,
        filesystem=at.filesystem,
        source=at.source,
        waiting=waiting_requests(at.device) if at.is_fuse else None,
    )


def _look(blank: Inspection, order: dict[str, object], deadline_seconds: float) -> Looked:
    done = errand.run_script(LOOK, json.dumps(order), deadline_seconds)
    waiting = None if blank.waiting is None else waiting_requests(blank.device)
    blank = replace(blank, elapsed_seconds=done.elapsed_seconds, waiting=waiting)
    if not done.in_time:
        detail = f"a look did not end within {deadline_seconds:g} s"
        if done.stuck is not None:
            detail += f", and its process {done.stuck.pid} cannot be killed"
        hung = replace(
            blank, verdict=Verdict.HUNG, errno=errno.ETIMEDOUT, step="look at", detail=detail
        )
        return Looked(hung, done.stuck)
    return Looked(_judged(blank, done.output, str(order.get("identity", ""))))


def _judged(blank: Inspection, output: bytes, expected: str) -> Inspection:
    """The verdict on what a child printed."""
    try:
        seen = json.loads(output)
        facts = replace(
            blank,
            errno=seen.get("errno"),
            step=seen.get("step", ""),
            identity=seen.get("identity", ""),
            **{name: seen[name] for name in _SPACE if name in seen},
        )
    except (ValueError, TypeError, AttributeError):
        detail = "the look ended without saying what it saw"
        return replace(blank, verdict=Verdict.IO_ERROR, step="look at", detail=detail)
    return replace(facts, **_verdict(facts, bool(seen.get("ok")), expected))


_SPACE = ("disk_bytes", "free_bytes", "files_total", "files_free")


def _verdict(facts: Inspection, ok: bool, expected: str) -> dict[str, Any]:
    if ok and _out_of_inodes(facts):
        return {"verdict": Verdict.FULL, "detail": f"no file can be added at {facts.path}"}
    if ok:
        return {"verdict": Verdict.HEALTHY}
    if facts.errno is None:
        found = f"the identity {facts.identity}" if facts.identity else "no identity of ours"
        detail = f"{facts.path} carries {found}, not {expected}"
        return {"verdict": Verdict.WRONG_MOUNT, "detail": detail}
    verdict = VERDICTS.get(facts.errno, Verdict.IO_ERROR)
    # SFTP has no word for a full disk: sshfs then says EIO, or EPERM.
    full = _out_of_inodes(facts) or (facts.disk_bytes > 0 and facts.free_bytes == 0)
    if facts.step == "write" and full and verdict in (Verdict.NOT_WRITABLE, Verdict.IO_ERROR):
        verdict = Verdict.FULL
    reason = os.strerror(facts.errno)
    detail = f"{facts.step} {facts.path}: {reason} (errno {facts.errno})"
    return {"verdict": verdict, "detail": detail}


def _out_of_inodes(facts: Inspection) -> bool:
    return facts.files_total > 0 and facts.files_free == 0
