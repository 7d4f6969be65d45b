"""A place that is a directory, on a local disk or on a mount."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from healtharchive.storage.places import (
    PIECE_BYTES,
    Entry,
    Watch,
    checked,
    common_prefix,
    parent,
)

# mountinfo(5) writes these characters of a path as octal numbers.
_ESCAPES = str.maketrans({" ": r"\040", "\t": r"\011", "\n": r"\012", "\\": r"\134"})


class LocalPlace:
    """Files below one directory, which is held open.

    Every access starts from that open directory. When a mount goes away in the midst of the work,
    the accesses fail with 107; they never reach the local directory that lay hidden below it.
    """

    def __init__(self, root: str, *, mounted: bool = False, filesystem: str = "") -> None:
        if not mounted:
            os.makedirs(root, exist_ok=True)
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if mounted and not _is_mount(self._root, root, filesystem):
            os.close(self._root)
            raise OSError(errno.ENODEV, "the target's mount is not there", root)

    def size(self, name: str) -> int | None:
        # By opening it: sshfs answers a stat from a cache for 20 s after a file has gone.
        try:
            descriptor = self._open(checked(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            with _named(name):
                return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def agreed(self, partial: str, source: BinaryIO, watch: Watch) -> int:
        if not self.size(partial):
            return 0
        return common_prefix(self.read(partial, fresh=True), source, watch)

    def write(self, partial: str, pieces: Iterable[bytes], start: int) -> None:
        self._make_directory(parent(checked(partial)))
        with _named(partial):
            descriptor = self._open(partial, os.O_WRONLY | os.O_CREAT)
            try:
                os.ftruncate(descriptor, start)
                os.lseek(descriptor, start, os.SEEK_SET)
                for piece in pieces:
                    self._write_all(descriptor, piece)
                self._sync(descriptor, partial)
            except BaseException:
                # sshfs says EIO here once more: the first error is the one that tells.
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
            os.close(descriptor)

    def publish(self, partial: str, final: str) -> None:
        with _named(final):
            os.rename(
                checked(partial), checked(final), src_dir_fd=self._root, dst_dir_fd=self._root
            )
            self._sync_directory(parent(final))

    def read(
        self, name: str, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> Iterator[bytes]:
        with _named(name):
            descriptor = self._open(checked(name), os.O_RDONLY)
            try:
                if fresh:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                yield from _pieces(descriptor, offset, length)
            finally:
                os.close(descriptor)

    def replace(self, name: str, content: bytes) -> None:
        fresh = f"{name}.new-{os.getpid()}"
        try:
            self.write(fresh, [content], 0)
            self.publish(fresh, name)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(fresh)
            raise

    def entries(self, directory: str) -> list[Entry]:
        try:
            descriptor = self._open(checked(directory) if directory else ".", os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        try:
            with _named(directory), os.scandir(descriptor) as found:
                entries = [
                    Entry(each.name, each.is_dir(), each.stat(follow_symlinks=False).st_size)
                    for each in found
                ]
        finally:
            os.close(descriptor)
        return sorted(entries, key=lambda entry: entry.name)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), _named(name):
            os.unlink(checked(name), dir_fd=self._root)
            self._sync_directory(parent(name))

    def space(self) -> tuple[int, int]:
        disk = os.fstatvfs(self._root)
        usable = disk.f_blocks - disk.f_bfree + disk.f_bavail  # as df counts
        return usable * disk.f_frsize, disk.f_bavail * disk.f_frsize

    def close(self) -> None:
        os.close(self._root)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC, 0o644, dir_fd=self._root)

    def _make_directory(self, directory: str) -> None:
        if not directory:
            return
        try:
            os.mkdir(directory, 0o755, dir_fd=self._root)
        except FileExistsError:
            return
        except FileNotFoundError:
            self._make_directory(parent(directory))
            self._make_directory(directory)
            return
        self._sync_directory(parent(directory))

    def _sync(self, descriptor: int, partial: str) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            reason = self._reason(error)
            # The kernel may have dropped what it could not write and say "fine" the second time
            # (promise 4): nothing of this partial may be resumed.
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=self._root)
            raise reason from error

    def _write_all(self, descriptor: int, piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise self._reason(error) from error

    def _reason(self, error: OSError) -> OSError:
        """The same error; or a full disk where sshfs hides one, having one word for all."""
        number = error.errno or errno.EIO
        if number in (errno.EIO, errno.EPERM) and self.space()[1] < PIECE_BYTES:
            number = errno.ENOSPC
        return OSError(number, os.strerror(number))

    def _sync_directory(self, directory: str) -> None:
        descriptor = self._open(directory or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_mount(descriptor: int, root: str, filesystem: str) -> bool:
    """Whether an open directory is the top of a mount at `root`.

    Asked by the mount's number and not by the path, which may lead elsewhere a moment later.
    """
    information = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    number = information.partition("mnt_id:")[2].split()[0]
    point = os.path.realpath(root).translate(_ESCAPES)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        fields = mount.split(" ")
        if fields[0] == number:
            return fields[4] == point and filesystem in ("", rest.split(" ")[0])
    return False


def _pieces(descriptor: int, offset: int, length: int | None) -> Iterator[bytes]:
    left = length
    while left is None or left > 0:
        piece = os.pread(
            descriptor, PIECE_BYTES if left is None else min(left, PIECE_BYTES), offset
        )
        if not piece:
            return
        yield piece
        offset += len(piece)
        left = None if left is None else left - len(piece)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """An error of an open file does not say which file it was; this one does."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, name) from error
        raise
