"""What the kernel says of mounts, without touching any of them: this can never block."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healtharchive.model.target import TargetDefinition, TargetKind

MOUNTINFO = Path("/proc/self/mountinfo")
CONNECTIONS = Path("/sys/fs/fuse/connections")
MOUNTED = (TargetKind.MOUNT, TargetKind.BIND)
OCTAL = re.compile(rb"\\([0-7]{3})")
FUSECTL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of this mount namespace (proc(5), mountinfo).

    `root` is the directory of the file system that is seen at `point`: another one than "/" shows
    a bind mount, whose options never say so. What is mounted below a `shared` one is seen in other
    mount namespaces too.
    """

    id: int
    parent_id: int
    device: str  # major:minor
    root: str
    point: str
    filesystem: str
    source: str
    options: tuple[str, ...]
    shared: bool = False

    @property
    def is_fuse(self) -> bool:
        """Whether a process of user space answers for it."""
        return self.filesystem.split(".", 1)[0] in ("fuse", "fuseblk")

    def __str__(self) -> str:
        seen = f"{self.source}[{self.root}]" if self.root != "/" else self.source
        options = ",".join(self.options)
        return f"{self.point} {self.filesystem} {seen} device {self.device} id {self.id} {options}"


def read_mounts(text: str | None = None) -> tuple[Mount, ...]:
    """All mounts, from the kernel's table or from the text of one."""
    table = MOUNTINFO.read_bytes() if text is None else os.fsencode(text)
    return tuple(_mount(line) for line in table.splitlines() if line.strip())


def _mount(line: bytes) -> Mount:
    words = [_decoded(word) for word in line.split(b" ")]
    dash = words.index("-", 6)  # before it: a varying number of optional fields
    filesystem, source, super_options = words[dash + 1], words[dash + 2], words[dash + 3 :]
    options = [*words[5].split(","), *(o for each in super_options for o in each.split(","))]
    return Mount(
        id=int(words[0]),
        parent_id=int(words[1]),
        device=words[2],
        root=words[3],
        point=words[4],
        filesystem=filesystem,
        source=source,
        options=tuple(dict.fromkeys(options)),
        shared=any(word.startswith("shared:") for word in words[6:dash]),
    )


def _decoded(word: bytes) -> str:
    return os.fsdecode(OCTAL.sub(lambda code: bytes([int(code[1], 8)]), word))


def covering(mounts: Sequence[Mount], path: str | Path) -> Mount | None:
    """The mount that a path is on, as the kernel would find it.

    Walks from the root: a mount hidden by a later one above or on it is not what a path leads to.
    """
    place = _normal(path)
    ids = {mount.id for mount in mounts}
    above = [m for m in mounts if m.parent_id not in ids or m.parent_id == m.id]
    found: Mount | None = None
    for _ in range(len(mounts) + 1):
        inside = [m for m in above if _contains(m.point, place) and m is not found]
        if not inside:
            break
        found = min(inside, key=lambda m: (len(m.point), -m.id))
        above = [m for m in mounts if m.parent_id == found.id]
    return found


def mount_at(mounts: Sequence[Mount], path: str | Path) -> Mount | None:
    """The topmost mount exactly at this path, None when the path is no mount point."""
    found = covering(mounts, path)
    return found if found is not None and found.point == _normal(path) else None


def below(mounts: Sequence[Mount], path: str | Path) -> list[Mount]:
    """The mounts under this path (not at it), innermost and latest first."""
    place = _normal(path)
    under = [m for m in mounts if m.point != place and _contains(place, m.point)]
    return sorted(under, key=lambda m: (-m.point.count("/"), -m.id))


def same_source(bind: Mount, base: Mount, root: str, backing: str) -> bool:
    """Whether `bind` shows the directory `backing` of the mount `base`, as that is mounted now.

    `backing` is absolute, or relative to `root`. A bind left over from an earlier session of the
    base has another device than the base: a new FUSE mount never revives it.
    """
    place = posixpath.normpath(posixpath.join(root or "/", backing))
    if not _contains(base.point, place):
        return False
    relative = posixpath.relpath(place, base.point)
    expected = posixpath.normpath(posixpath.join(base.root, relative))
    return bind.device == base.device and bind.root == expected


def backing_path(definition: TargetDefinition, parent: TargetDefinition | None) -> str:
    """The absolute directory that a bind shows."""
    if not definition.backing.startswith("/") and parent is None:
        raise ValueError(f"{definition.name}: a relative backing needs its parent's definition")
    return posixpath.normpath(posixpath.join(parent.root if parent else "/", definition.backing))


def objection(
    definition: TargetDefinition,
    mounts: Sequence[Mount],
    parent: TargetDefinition | None = None,
) -> str:
    """Why what is mounted at the target's root is not what was declared; empty when it is."""
    if definition.kind not in MOUNTED:
        return ""
    root = definition.root
    at = mount_at(mounts, root)
    if at is None:
        return f"{root} is no mount point: it lies on {_disk_of(mounts, root)}"
    declared = definition.filesystem
    if declared and at.filesystem not in (declared, f"fuse.{declared}"):
        return f"the file system at {root} is {at.filesystem}, not {declared}"
    if definition.source and at.source.rstrip("/") != definition.source.rstrip("/"):
        return f"{root} shows {at.source}, not {definition.source}"
    if definition.kind is TargetKind.MOUNT:
        return ""
    backing = backing_path(definition, parent)
    base = covering(mounts, backing)
    mounted = base is not None and parent is not None and _contains(parent.root, base.point)
    if parent is not None and parent.kind in MOUNTED and not mounted:
        # Bound from the root disk while its parent was away, it would agree with the root disk.
        return f"{parent.root}, which {root} is a part of, is not mounted"
    if base is None or not same_source(at, base, "/", backing):
        now = f"device {base.device}" if base else "nothing"
        return f"{root} shows {at.root} of device {at.device}, but {backing} is on {now}"
    return ""


def _disk_of(mounts: Sequence[Mount], path: str) -> str:
    disk = covering(mounts, path)
    return f"{disk.source} ({disk.filesystem}, mounted at {disk.point})" if disk else "nothing"


def waiting_requests(device: str) -> int | None:
    """How many requests of a FUSE mount wait for an answer; None when that cannot be known."""
    directory = connection_directory(device)
    if directory is None:
        return None
    try:
        return int((directory / "waiting").read_text())
    except (OSError, ValueError):
        return None


def connection_directory(device: str) -> Path | None:
    """Where the kernel shows the FUSE connection behind a device; None when it shows none.

    As root, mounts the `fusectl` file system once if it is missing.
    """
    try:
        major, minor = (int(number) for number in device.split(":"))
    except ValueError:
        return None
    if mount_at(read_mounts(), CONNECTIONS) is None and not _mount_fusectl():
        return None
    # The name is the kernel's own dev_t; the major number is 0 but for fuseblk.
    directory = CONNECTIONS / str(major << 20 | minor)
    return directory if directory.is_dir() else None


def _mount_fusectl() -> bool:
    if os.geteuid() != 0 or not CONNECTIONS.is_dir():
        return False
    command = ["mount", "-t", "fusectl", "none", str(CONNECTIONS)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=FUSECTL_SECONDS, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _normal(path: str | Path) -> str:
    return posixpath.normpath(os.fspath(path))


def _contains(point: str, path: str) -> bool:
    """Whether a path is at or below a mount point, by its name alone."""
    return point in ("/", path) or path.startswith(point + "/")
