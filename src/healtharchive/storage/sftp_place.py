"""A place on an SFTP server, over one connection (a storage box refuses the eleventh)."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from healtharchive.storage.places import (
    PIECE_BYTES,
    Entry,
    Watch,
    checked,
    common_prefix,
    engine,
    parent,
)
from healtharchive.storage.refusals import ShippingError, errno_of, spoken_as_errno

WINDOW_PIECES = 8  # under way at once: enough for a long line, bounded in memory
STATVFS_FIELDS = 11  # OpenSSH's PROTOCOL file, section 4.4: that many 64-bit numbers
READ_ONLY_FLAG = 1


class SftpPlace:
    """Files below one directory of an SFTP server.

    Options: `key_filename`, `password`, `passphrase`; `known_hosts` (a file; by default the
    user's own) must hold the server's key; other options go to paramiko's `connect`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        root: str,
        options: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        self._base = root.rstrip("/") or "/"
        known = options.get("known_hosts") or os.path.expanduser("~/.ssh/known_hosts")
        own = {key: value for key, value in options.items() if key != "known_hosts"}
        if user:
            own["username"] = user
        with _connecting(f"{host}:{port}"):
            library = engine("fsspec.implementations.sftp")
            explicit = not {"key_filename", "password", "pkey"}.isdisjoint(own)
            self._files = library.SFTPFileSystem(
                host,
                port=port,
                host_key_policy=_known_hosts_only(known, host, port),
                timeout=timeout_seconds,
                banner_timeout=timeout_seconds,
                auth_timeout=timeout_seconds,
                channel_timeout=timeout_seconds,
                look_for_keys=not explicit,
                allow_agent=not explicit,
                skip_instance_cache=True,
                **own,
            )
            self._sftp = self._files.ftp
            self._sftp.get_channel().settimeout(timeout_seconds)

    def size(self, name: str) -> int | None:
        try:
            with self._speaking(name):
                return int(self._sftp.stat(self._path(name)).st_size)
        except FileNotFoundError:
            return None

    def agreed(self, partial: str, source: BinaryIO, watch: Watch) -> int:
        if not self.size(partial):
            return 0
        return common_prefix(self.read(partial), source, watch)

    def write(self, partial: str, pieces: Iterable[bytes], start: int) -> None:
        self._make_directory(parent(checked(partial)))
        with (
            self._speaking(partial),
            self._sftp.open(self._path(partial), "r+b" if start else "wb") as file,
        ):
            file.seek(start)
            last = b""
            for number, piece in enumerate(pieces):
                _write(file, last, wait=number % WINDOW_PIECES == 0)
                last = piece
            _write(file, last, wait=True)
            self._sync(file)

    def publish(self, partial: str, final: str) -> None:
        with self._speaking(final):
            self._sftp.posix_rename(self._path(partial), self._path(final))

    def read(
        self, name: str, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> Iterator[bytes]:
        with self._speaking(name), self._sftp.open(self._path(name), "rb") as file:
            end = int(file.stat().st_size)
            if length is not None:
                end = min(end, offset + length)
            while offset < end:
                stop = min(end, offset + WINDOW_PIECES * PIECE_BYTES)
                starts = range(offset, stop, PIECE_BYTES)
                wanted = [(at, min(PIECE_BYTES, stop - at)) for at in starts]
                yield from file.readv(wanted)
                offset = stop

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
        path = self._path(directory) if directory else self._base
        try:
            with self._speaking(directory):
                found = self._sftp.listdir_attr(path)
        except FileNotFoundError:
            return []
        entries = [Entry(a.filename, stat.S_ISDIR(a.st_mode or 0), a.st_size or 0) for a in found]
        return sorted(entries, key=lambda entry: entry.name)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._speaking(name):
            self._sftp.remove(self._path(name))

    def space(self) -> tuple[int, int]:
        with self._speaking(self._base):
            return self._statvfs()[:2]

    def close(self) -> None:
        self._files.client.close()

    def _path(self, name: str) -> str:
        return posixpath.join(self._base, checked(name))

    def _make_directory(self, directory: str) -> None:
        path = self._path(directory) if directory else self._base
        with self._speaking(directory):
            self._files.makedirs(path, exist_ok=True)

    def _sync(self, file: Any) -> None:
        """Ask for an fsync (OpenSSH's PROTOCOL file, section 4.5).

        A server without that extension refuses; the bytes are read back in any case.
        """
        paramiko = engine("paramiko")
        with contextlib.suppress(FsyncUnknown), _fsync_refused():
            self._sftp._request(paramiko.sftp.CMD_EXTENDED, "fsync@openssh.com", file.handle)

    def _statvfs(self) -> tuple[int, int, bool]:
        """(all bytes, free bytes, read-only) of the file system; zeros when nobody can tell."""
        paramiko = engine("paramiko")
        command = paramiko.sftp.CMD_EXTENDED
        try:
            _, answer = self._sftp._request(command, "statvfs@openssh.com", self._base)
        except OSError:
            return 0, 0, False
        numbers = struct.unpack(f">{STATVFS_FIELDS}Q", answer.get_bytes(8 * STATVFS_FIELDS))
        _, fragment, blocks, _, available, *_, flags, _ = numbers
        return blocks * fragment, available * fragment, bool(flags & READ_ONLY_FLAG)

    @contextmanager
    def _speaking(self, name: str) -> Iterator[None]:
        """Errors within the block get an errno.

        SFTP's version 3 has one word, "Failure", for a full disk, a read-only one and a broken
        one: which it is, the file system's own figures tell.
        """
        try:
            with spoken_as_errno(name):
                yield
        except ShippingError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise
            raise OSError(self._why_failed(), str(error), name) from error

    def _why_failed(self) -> int:
        try:
            _, free_bytes, read_only = self._statvfs()
        except Exception as error:
            return errno_of(error) or errno.EIO
        if read_only:
            return errno.EROFS
        # A write of a piece did not fit, though a smaller one might.
        known = self._statvfs()[0] > 0
        return errno.ENOSPC if known and free_bytes < PIECE_BYTES else errno.EIO


def _write(file: Any, piece: bytes, wait: bool) -> None:
    """Write a piece; with `wait`, see that the server has taken it and all before it.

    paramiko looks at the answers to pipelined writes only when a write follows that is not
    pipelined; neither close nor fsync does, and a full disk would pass for success.
    """
    tail = min(len(piece), file.MAX_REQUEST_SIZE) if wait else 0
    body = memoryview(piece)[: len(piece) - tail]
    file.set_pipelined(True)
    file.write(bytes(body))
    file.set_pipelined(False)
    file.write(piece[len(body) :])


class FsyncUnknown(Exception):
    """The server has no fsync."""


@contextmanager
def _fsync_refused() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if "unsupported" in str(error).lower():
            raise FsyncUnknown from error
        raise


@contextmanager
def _connecting(address: str) -> Iterator[None]:
    """A server that hangs up before it has let us in has refused us (too many connections)."""
    try:
        with spoken_as_errno(address):
            yield
    except OSError as error:
        if error.errno != errno.ECONNABORTED:
            raise
        what = f"the server refused the connection ({error.strerror}): it may have too many"
        raise OSError(errno.ECONNREFUSED, what, address) from error


def _known_hosts_only(path: str, host: str, port: int) -> Any:
    """paramiko's policy that accepts exactly the keys that the file has for the server."""
    paramiko = engine("paramiko")
    name = host if port == 22 else f"[{host}]:{port}"
    keys = paramiko.HostKeys(path) if Path(path).exists() else paramiko.HostKeys()

    def judge(_: Any, client: Any, hostname: str, key: Any) -> None:
        if not keys.check(name, key):
            what = f"{path} does not have the key that {name} shows; add it with ssh-keyscan"
            raise PermissionError(errno.EACCES, what, name)

    policy = type("KnownHostsOnly", (paramiko.MissingHostKeyPolicy,), {"missing_host_key": judge})
    return policy()
