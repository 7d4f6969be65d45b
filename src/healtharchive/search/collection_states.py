"""The directories of a collection's states: one in the making, its name in one step, old ones.

Who makes one holds a lock on it. A lock ends with its process, however that ends, so whoever comes
next knows what was abandoned and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from healtharchive.search.collection import load_layout
from healtharchive.warc.segment import fsync_directory

MAKING = "making-"
STATES_KEPT = 3  # who still reads an older one may read it to its end


@contextlib.contextmanager
def scratch_in(home: Path) -> Iterator[Path]:
    """A new directory to make a state in; removed at the end unless it has another name by then."""
    with contextlib.ExitStack() as held:
        with _locked(home):  # between its making and its lock it is nobody's
            _remove_abandoned(home)
            scratch = Path(tempfile.mkdtemp(prefix=MAKING, dir=home))
            held.enter_context(_locked(scratch))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def publish(scratch: Path, directory: Path) -> None:
    """Give what was made its name. A state of this name is kept if it is whole."""
    os.chmod(scratch, 0o755)
    fsync_directory(scratch)
    if load_layout(directory) is None:  # not there, or some of its files are not
        shutil.rmtree(directory, ignore_errors=True)
    try:
        os.rename(scratch, directory)
    except OSError:
        if load_layout(directory) is None:
            raise
        return  # somebody else made the same meanwhile
    fsync_directory(directory.parent)


def tidy(home: Path, newest: Path) -> None:
    """Remove the states of long ago."""
    states: list[tuple[float, Path]] = []
    for path in home.iterdir():
        if path != newest and not path.name.startswith(MAKING):
            with contextlib.suppress(FileNotFoundError):  # somebody else tidies too
                states.append((path.stat().st_mtime, path))
    for _, path in sorted(states, reverse=True)[STATES_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _remove_abandoned(home: Path) -> None:
    for path in home.glob(f"{MAKING}*"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), _locked(path, wait=False):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """A lock on a directory. BlockingIOError when somebody has it and `wait` is not wanted."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
