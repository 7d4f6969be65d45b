"""What can be known of a sick target before it is touched: kept as a file, compared afterwards."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from healtharchive.model.target import TargetDefinition, TargetKind
from healtharchive.storage import errand
from healtharchive.storage.inspection import LOOK, Inspection
from healtharchive.storage.mount_process import (
    boot_time,
    mount_process,
    process_facts,
    programs,
)
from healtharchive.storage.mountinfo import (
    Mount,
    backing_path,
    below,
    covering,
    mount_at,
    same_source,
    waiting_requests,
)

SERVER_SECONDS = 3.0  # looking up the name, connecting (1 s) and listening for a greeting (1 s)
UNIT_SECONDS = 3.0
KERNEL_LINES = 40
KERNEL_RECORDS = 20_000
KERNEL_RECENT = timedelta(hours=1)
KERNEL_WORDS = re.compile(
    r"out of memory|oom|killed process|fuse|nfs:|cifs|i/o error|ext4-fs err", re.I
)
UNIT_FACTS = ("ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus", "MainPID")
# They differ from one second to the next, whatever happened.
RESTLESS = ("taken_at", "inspection.elapsed_seconds", "memory.", "disk.", "kernel")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was known of a target at one moment; every field goes to JSON as it is.

    `mounts` are the lines of the mount table that concern it. `process` is the FUSE server, of a
    bind its parent's. `server` is what the server's port answered: answers, accepts, refused,
    unreachable, timeout. `bind` compares a bind with its base. `kernel` are its recent words.
    """

    taken_at: str
    target: str
    kind: str
    root: str
    verdict: str
    mounted: bool
    inspection: dict[str, Any]
    mounts: tuple[str, ...] = ()
    waiting: int | None = None
    program: str = ""
    process: dict[str, Any] | None = None
    server: dict[str, str] | None = None
    unit: dict[str, str] = field(default_factory=dict)
    bind: dict[str, Any] | None = None
    kernel: tuple[str, ...] = ()
    disk: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def collect(
    definition: TargetDefinition,
    inspection: Inspection,
    mounts: Sequence[Mount],
    *,
    taken_at: datetime,
    extra: Mapping[str, Any] | None = None,
    parent: TargetDefinition | None = None,
) -> Evidence:
    """The evidence on a target, in less than 10 s and without touching its path.

    `extra` is kept as it is; the diagnosis uses its `exit_status`, that of the mount's process
    (negative: a signal). `parent` is the definition that a bind names.
    """
    serving = parent if parent is not None and definition.kind is TargetKind.BIND else definition
    at = mount_at(mounts, serving.root) or mount_at(mounts, definition.root)
    pid = mount_process(mounts, serving)
    return Evidence(
        taken_at=taken_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        target=definition.name,
        kind=definition.kind.value,
        root=definition.root,
        verdict=inspection.verdict.value,
        mounted=mount_at(mounts, definition.root) is not None,
        inspection=asdict(inspection),
        mounts=_mount_lines(definition, serving, mounts),
        waiting=waiting_requests(at.device) if at is not None and at.is_fuse else None,
        program=_program(definition, serving, mounts),
        process=_process(pid),
        server=ask_server(serving.server),
        unit=_unit(serving.unit),
        bind=_bind(definition, mounts, parent),
        kernel=tuple(kernel_lines(taken_at)),
        disk=_root_disk(),
        memory=_memory(),
        extra=dict(extra or {}),
    )


def write(directory: str | Path, evidence: Evidence, when: str) -> Path:
    """The file that the evidence is kept in. `when` is before or after the repair."""
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromisoformat(evidence.taken_at).strftime("%Y%m%dT%H%M%SZ")
    path = place / f"{evidence.target}-{moment}-{when}.json"
    partial = path.with_suffix(".json.part")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(asdict(evidence), file, indent=2, sort_keys=True, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return path


def read(path: str | Path) -> Evidence:
    """The evidence kept in a file. OSError or ValueError when it is none."""
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        return Evidence(
            **{**kept, "mounts": tuple(kept["mounts"]), "kernel": tuple(kept["kernel"])}
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} is no evidence: {error}") from error


def diff(before: Evidence, after: Evidence) -> list[str]:
    """What changed between two moments, one line each; what always changes is left out."""
    old, new = dict(_facts(asdict(before))), dict(_facts(asdict(after)))
    lines = []
    for name in sorted({*old, *new}):
        was, now = old.get(name, "nothing"), new.get(name, "nothing")
        if was != now and not name.startswith(RESTLESS):
            lines.append(f"{name}: {was} -> {now}")
    gone = [f"no longer mounted: {line}" for line in before.mounts if line not in after.mounts]
    come = [f"mounted now: {line}" for line in after.mounts if line not in before.mounts]
    said = [f"kernel: {line}" for line in after.kernel if line not in before.kernel]
    return lines + gone + come + said


def _facts(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _facts(each, f"{prefix}{name}.")
        elif not isinstance(each, (tuple, list)) and each is not None and each != "":
            yield f"{prefix}{name}", each


def _mount_lines(
    definition: TargetDefinition, serving: TargetDefinition, mounts: Sequence[Mount]
) -> tuple[str, ...]:
    concerned = [*below(mounts, definition.root), *below(mounts, serving.root)]
    for path in (definition.root, serving.root):
        at = covering(mounts, path)
        concerned += [at] if at is not None else []
        concerned += [m for m in mounts if m.point == path]
    return tuple(str(m) for m in sorted(set(concerned), key=lambda m: m.id))


def _program(
    definition: TargetDefinition, serving: TargetDefinition, mounts: Sequence[Mount]
) -> str:
    """The name of the mount's process; empty when no process answers for the mount."""
    at = mount_at(mounts, serving.root) or mount_at(mounts, definition.root)
    filesystem = at.filesystem if at is not None else serving.filesystem
    if not filesystem.startswith("fuse") and not serving.mount_command:
        return ""
    return next(iter(sorted(programs(mounts, serving))), filesystem.partition(".")[2])


def _process(pid: int | None) -> dict[str, Any] | None:
    facts = process_facts(pid) if pid is not None else None
    if facts is None:
        return None
    return {**asdict(facts), "started_at": facts.started_at.isoformat(timespec="seconds")}


def ask_server(server: str) -> dict[str, str] | None:
    """What the server's port answers. In a child: looking up a name may take minutes."""
    if not server:
        return None
    asked = errand.run_script(LOOK, json.dumps({"server": server}), SERVER_SECONDS)
    if not asked.in_time:
        return {"result": "timeout", "said": ""}
    try:
        answer = json.loads(asked.output)
        return {"result": str(answer["result"]), "said": str(answer["said"])}
    except (ValueError, TypeError, KeyError):
        return {"result": "unknown", "said": ""}


def _unit(unit: str) -> dict[str, str]:
    """What systemd says of the unit, nothing where there is no systemd."""
    if not unit:
        return {}
    try:
        shown = errand.run(
            ["systemctl", "show", "-p", ",".join(UNIT_FACTS), "--", unit], UNIT_SECONDS
        )
    except OSError:
        return {}
    lines = shown.output.decode("utf-8", "replace").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _bind(
    definition: TargetDefinition, mounts: Sequence[Mount], parent: TargetDefinition | None
) -> dict[str, Any] | None:
    if definition.kind is not TargetKind.BIND:
        return None
    backing = backing_path(definition, parent)
    at, base = mount_at(mounts, definition.root), covering(mounts, backing)
    return {
        "backing": backing,
        "device": at.device if at else "",
        "base_point": base.point if base else "",
        "base_device": base.device if base else "",
        "base_mounted": (
            parent is None
            or parent.kind is not TargetKind.MOUNT
            or mount_at(mounts, parent.root) is not None
        ),
        "matches": bool(at and base and same_source(at, base, "/", backing)),
    }


def kernel_lines(now: datetime) -> list[str]:
    """The kernel's words of the last hour on memory, FUSE and disks, with their time in UTC."""
    since = now - KERNEL_RECENT
    try:
        handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []  # not for us to read; the evidence does without
    try:
        records = list(_kernel_records(handle))
    finally:
        os.close(handle)
    booted = datetime.fromtimestamp(boot_time(), UTC)
    found = []
    for record in records:
        head, _, text = record.partition(";")
        spoken = booted + timedelta(microseconds=int(head.split(",")[2]))
        line = text.split("\n", 1)[0]
        if spoken >= since and KERNEL_WORDS.search(line):
            found.append(f"{spoken.isoformat(timespec='seconds')} {line}")
    return found[-KERNEL_LINES:]


def _kernel_records(handle: int) -> Iterator[str]:
    for _ in range(KERNEL_RECORDS):
        try:
            yield os.read(handle, 8192).decode("utf-8", "replace")
        except BrokenPipeError:
            continue  # the oldest record was overwritten while we read; the next read goes on
        except OSError:
            return


def _root_disk() -> dict[str, int]:
    disk = os.statvfs("/")
    return {
        "total_bytes": (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "files_free": disk.f_favail,
    }


def _memory() -> dict[str, int]:
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree"):
            found[f"{name}_bytes"] = int(value.split()[0]) * 1024
    return found
