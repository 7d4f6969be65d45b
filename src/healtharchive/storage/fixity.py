"""Fixity: whether a target still has what was shipped to it, and getting it back from there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Literal

from healtharchive.model.shipments import Expected, Wanted
from healtharchive.storage.places import Place, Watch, digest
from healtharchive.storage.refusals import Differs, local_file
from healtharchive.warc.segment import fsync_directory

FETCH_SUFFIX = ".fetch"


def check_one(
    place: Place, expected: Expected, throttle: Watch
) -> tuple[Literal["good", "differs", "gone"], str]:
    """Whether a file has its bytes, all of them read again, and what is otherwise there."""
    size = place.size(expected.name)
    if size is None:
        return "gone", "there is no such file"
    if size != expected.size_bytes:
        return "differs", f"it has {size} bytes instead of {expected.size_bytes}"
    found, size = digest(place, expected.name, throttle)
    if (found, size) != (expected.sha256, expected.size_bytes):
        return "differs", f"{size} bytes with SHA-256 {found} instead of {expected.sha256}"
    return "good", ""


def fetch_one(place: Place, wanted: Wanted, throttle: Watch) -> None:
    """Make the local destination be the target's file, durable and checked.

    It is written under another name first: a bad copy never takes the destination's place
    (Differs), and a file that is there already is replaced by a good one only.
    """
    destination = Path(wanted.destination)
    fresh = destination.with_name(destination.name + FETCH_SUFFIX)
    if wanted.make_directory:
        with local_file(str(fresh)):
            destination.parent.mkdir(parents=True, exist_ok=True)
    with local_file(str(fresh)):
        file = _alone_in(fresh)
    with file:
        try:
            _copy(place, wanted, file, throttle)
            with local_file(str(destination)):
                os.rename(fresh, destination)
                fsync_directory(destination.parent)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise


def _alone_in(fresh: Path) -> BinaryIO:
    """The empty file, ours as long as it is open. BlockingIOError while another process has it.

    A target that hung may give after all, while another one is asked: two that write to one file
    would leave what neither of them checked.
    """
    file = open(fresh, "ab")  # noqa: SIM115 (the caller closes it)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_named(file, fresh):
            raise BlockingIOError(errno.EAGAIN, "another process has just fetched it", str(fresh))
        file.truncate(0)  # what one that was killed has left
    except OSError:
        file.close()
        raise
    return file


def _is_named(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _copy(place: Place, wanted: Wanted, file: BinaryIO, throttle: Watch) -> None:
    seen, size = hashlib.sha256(), 0
    for piece in place.read(wanted.name, fresh=True):
        throttle(len(piece))
        seen.update(piece)
        size += len(piece)
        with local_file(file.name):
            file.write(piece)
    with local_file(file.name):
        file.flush()
        os.fsync(file.fileno())
    if (seen.hexdigest(), size) != (wanted.sha256, wanted.size_bytes):
        what = f"{size} bytes with SHA-256 {seen.hexdigest()} instead of {wanted.sha256}"
        raise Differs(wanted.name, what)
