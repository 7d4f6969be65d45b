"""The file in a target's root that says which target it is. Only children touch it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = ".healtharchive-target.json"
FILE_BYTES = 4096  # far more than we write; a device or a huge file must not be read to its end


class AnotherIdentity(OSError):
    """The root belongs to another target already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which target a directory is: its name, and an id (a uuid in hex) that no other one has."""

    target: str
    id: str


def read_identity(root: str | Path) -> Identity | None:
    """The identity in this root, None when there is none.

    A file that we did not write reads as an empty identity, which is nobody's. OSError when the
    root cannot be read.
    """
    try:
        with open(os.path.join(root, FILE_NAME), "rb") as file:
            text = file.read(FILE_BYTES)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        return Identity(str(found["target"]), str(found["id"]))
    except (ValueError, TypeError, KeyError):
        return Identity("", "")


def write_identity(root: str | Path, name: str, identity: str) -> None:
    """Mark this root as the target's. Writing it again is no harm.

    AnotherIdentity when it is marked as something else; OSError when it cannot be written.
    """
    found = read_identity(root)
    if found == Identity(name, identity):
        return
    final = os.path.join(root, FILE_NAME)
    if found is not None:
        whose = f"target {found.target!r}" if found.target else "somebody unknown"
        raise AnotherIdentity(errno.EEXIST, f"it belongs to {whose}", final)
    partial = f"{final}.{os.getpid()}.part"
    try:
        with open(partial, "wb") as file:
            file.write(json.dumps({"target": name, "id": identity}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, final)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)
    _fsync_directory(root)


def _fsync_directory(root: str | Path) -> None:
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise  # some network file systems cannot sync a directory, and say so
    finally:
        os.close(handle)
