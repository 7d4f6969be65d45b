"""A job's own directory on the local disk: what it holds, and how it is emptied safely."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def listed(path: str) -> tuple[str, ...]:
    """Every file below a directory, relative and sorted; none when it is not there."""
    root = Path(path)
    return tuple(sorted(str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()))


def manifest_lines(path: str, name: str) -> dict[str, dict[str, Any]]:
    """The lines of a directory's own manifest, by file; those that cannot be read are left out."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(FileNotFoundError), open(os.path.join(path, name), "rb") as file:
        for piece in file:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                line = json.loads(piece)
                found[line["name"]] = line
    return found


def modified_at(path: str) -> str:
    """When a file was last written to, ISO 8601, UTC."""
    return datetime.fromtimestamp(os.stat(path).st_mtime, UTC).isoformat()


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
        place = os.path.join(path, name)
        if os.path.isdir(place):
            # Lists and left-over scratch files: they are made anew when they are missing.
            shutil.copytree(place, os.path.join(state, name), dirs_exist_ok=True)
            shutil.rmtree(place)
            continue
        if not os.path.exists(os.path.join(state, name)):
            shutil.copy2(place, os.path.join(state, f"{name}.moving"))
            _sync(os.path.join(state, f"{name}.moving"))
            os.rename(os.path.join(state, f"{name}.moving"), os.path.join(state, name))
            _sync(state)
        os.unlink(place)


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
