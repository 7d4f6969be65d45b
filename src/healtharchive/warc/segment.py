"""Segments: a WARC file from its first byte to its seal.

A segment is written as `NAME.open`. It is sealed by fsync, its final name, and fsync of its
directory, and never changes again; a file that has that name already is never replaced. After a
failed write or fsync the file is left as it is and nothing more is written to it: fsync is not
tried again on the same file (promise 4), because the kernel may have dropped the pages it could
not write and would answer "fine" the second time.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

OPEN_SUFFIX = ".open"
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


class SegmentBroken(OSError):
    """A write or fsync of this segment has failed before: it takes nothing more.

    Its cause is that first failure, so that whoever classifies it blames the right thing.
    """


class OpenSegment:
    """One WARC file that is being written, by one process.

    `size_bytes` is what has been written, `synced_bytes` what a successful fsync covered.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.final_path = directory / name
        self.open_path = directory / (name + OPEN_SUFFIX)
        self.size_bytes = 0
        self.synced_bytes = 0
        self.records = 0
        self._failure: BaseException | None = None
        self._digest = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self.open_path, flags, 0o644)
        fsync_directory(directory)

    def append(self, pieces: Iterable[bytes], records: int) -> tuple[int, int]:
        """Write the gzip members of one exchange; returns (offset, length) in bytes.

        OSError (ENOSPC, EIO …) breaks the segment: what was written of this exchange is a torn
        tail that the next attempt's salvage leaves behind.
        """
        self._refuse_if_broken()
        start = self.size_bytes
        try:
            for piece in pieces:
                self._write(piece)
        except BaseException as error:
            self._failure = error
            raise
        self.records += records
        return start, self.size_bytes - start

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            written = os.write(self._descriptor, view)
            self._digest.update(view[:written])
            self.size_bytes += written
            view = view[written:]

    def sync(self) -> int:
        """Make all that was appended before this call durable; returns the byte count covered.

        Safe to call from another thread while appends go on. OSError breaks the segment.
        """
        self._refuse_if_broken()
        covered = self.size_bytes
        if covered == self.synced_bytes:
            return covered
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._failure = error
            raise
        self.synced_bytes = covered
        return covered

    def publish(self) -> str:
        """Give the synced file its final name; returns its SHA-256 in hex.

        Call it inside the frontier's transaction that marks the segment sealed. FileExistsError
        when another file has that name.
        """
        self._refuse_if_broken()
        if self.synced_bytes != self.size_bytes:
            raise SegmentBroken(f"segment {self.name} has bytes that were never synced")
        name_finally(self.open_path, self.final_path)
        fsync_directory(self.final_path.parent)
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the file. It keeps its name; an unsealed one is salvaged by the next start."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _refuse_if_broken(self) -> None:
        if self._failure is not None:
            what = f"segment {self.name} has failed before and takes nothing more"
            raise SegmentBroken(what) from self._failure


def name_finally(path: Path, final: Path) -> None:
    """Rename a file, unless another has that name: then FileExistsError, and both stay.

    rename(2) would replace what is there without a word, and it may be the only copy.
    """
    try:
        os.link(path, final)
    except FileExistsError:
        raise _name_is_taken(final) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(final):  # a file system without links: sshfs, exFAT
            raise _name_is_taken(final) from None
        os.rename(path, final)
    else:
        os.unlink(path)


def _name_is_taken(final: Path) -> FileExistsError:
    what = "a WARC file of this name is there already and is not replaced"
    return FileExistsError(errno.EEXIST, what, str(final))


def fsync_directory(directory: Path) -> None:
    """Make names created, renamed or removed in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
