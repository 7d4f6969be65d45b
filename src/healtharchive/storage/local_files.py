"""A job's own directory on the local disk: what it holds, and how it is emptied safely."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

CHUNK_BYTES = 1 << 20


def listed(path: str) -> tuple[str, ...]:
    """Every file below a directory, relative and sorted; none when it is not there."""
    root = Path(path)
    return tuple(sorted(str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()))


def digest(path: str) -> tuple[str, int]:
    """A file's SHA-256 in hex and its size in bytes."""
    sha256 = hashlib.sha256()
    size = 0
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            sha256.update(piece)
            size += len(piece)
    return sha256.hexdigest(), size


def move_state(path: str, state: str, kept: str) -> None:
    """Move all that is not in the directory `kept` from a job's directory to its state's.

    A file that is there already was moved by an earlier try, and is not touched.
    """
    os.makedirs(state, exist_ok=True)
    if not os.path.isdir(path):
        return
    for name in sorted(os.listdir(path)):
        if name == kept:
            continue
        if not os.path.exists(os.path.join(state, name)):
            shutil.copy2(os.path.join(path, name), os.path.join(state, f"{name}.moving"))
            _sync(os.path.join(state, f"{name}.moving"))
            os.rename(os.path.join(state, f"{name}.moving"), os.path.join(state, name))
            _sync(state)
        os.unlink(os.path.join(path, name))


def remove(files: Sequence[str], path: str, warcs: str) -> None:
    """Remove files that have copies elsewhere, and what is left of their directories."""
    for each in files:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(each)
    shutil.rmtree(os.path.join(path, warcs), ignore_errors=True)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
