"""What is known of a target: as it was declared, and in which condition it can be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SPOOL = "spool"  # the local disk under jobs_root: always a target, never declared


class TargetKind(StrEnum):
    """How a target is reached. A `bind` is a hot path: a directory of its parent seen elsewhere."""

    LOCAL = "local"
    MOUNT = "mount"
    BIND = "bind"
    OBJECT = "object"


class Verdict(StrEnum):
    """What one look at a target found."""

    HEALTHY = "healthy"
    STALE = "stale"
    IO_ERROR = "io_error"
    HUNG = "hung"
    READ_ONLY = "read_only"
    NOT_WRITABLE = "not_writable"
    FULL = "full"
    WRONG_MOUNT = "wrong_mount"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class TargetDefinition:
    """A place to keep bytes, as the operator declared it.

    `root` is an absolute directory, or for an object target `sftp://user@host:port/directory` or
    `s3://bucket/prefix`. With `ship`, sealed segments are copied there. A mount is made by
    `mount_command` or by the systemd `unit`; `filesystem` and `source` are what mountinfo then
    shows (empty: anything), and `server` (host:port) is who must answer for it. A bind is the
    directory `backing` of the target `parent`. `options` go to fsspec; a value `env:NAME` is read
    from the environment when it is used, so that no secret is kept in a file or a row.
    """

    name: str
    kind: TargetKind
    root: str
    ship: bool = False
    mount_command: tuple[str, ...] = ()
    unit: str = ""
    filesystem: str = ""
    source: str = ""
    server: str = ""
    parent: str = ""
    backing: str = ""
    connections: int = 6
    bytes_per_second: int = 0  # 0: as fast as it goes
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_be_mounted(self) -> bool:
        """Whether somebody told us how the mount is made."""
        return self.kind is TargetKind.BIND or bool(self.mount_command or self.unit)


@dataclass(frozen=True, slots=True)
class SegmentCopy:
    """A copy that was right when it was last read: the file `name` below its target's root.

    `identity` is what the target must show. A target that is `sick` is not to be touched now.
    """

    target: TargetDefinition
    identity: str
    name: str
    sick: bool
