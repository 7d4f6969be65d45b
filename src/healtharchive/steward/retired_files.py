"""Files of rows that were moved out of the database: one a month, compressed JSON lines.

A file is only ever replaced as a whole by one that has more lines. Every gzip program reads it.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healtharchive.model.errors import SetupError
from healtharchive.model.retention import RetiredFile
from healtharchive.warc.segment import fsync_directory

DIRECTORY = "retired"  # below state_dir
END = ".jsonl.gz"
PART = ".part"
LOCK = ".lock"
PIECE_BYTES = 1 << 20


def file_of(state_dir: Path, name: str) -> Path:
    """Where the rows of a kind and month are, by a name such as events-2024-03."""
    return state_dir / DIRECTORY / f"{name}{END}"


def where(files: Sequence[RetiredFile]) -> str:
    """Where the events are that the database has no more, as a sentence; empty without any."""
    if not files:
        return ""
    hosts = dict.fromkeys(each.host for each in files)
    places = []
    for host in hosts:
        paths = [each.path for each in files if each.host == host]
        most = f" to {paths[-1]}" if len(paths) > 1 else ""
        places.append(f"{paths[0]}{most} on {host}")
    listed = " and ".join(places)
    return f"Older events that nothing asks for any more are in {listed}; read them with `zcat`."


@contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Whether no other process of this machine writes there; none does meanwhile."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(directory / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def line_of(row: Mapping[str, Any]) -> bytes:
    """A row as one line: the same row is always the same line."""
    plain = {name: _plain(value) for name, value in row.items()}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def add(path: Path, lines: Iterable[bytes]) -> int:
    """Make the file have these lines too, durable, each once; how many are new.

    Whoever is interrupted leaves the old file or the new one. SetupError when the old one is
    damaged: it is left as it is.
    """
    known = set(digests_in(path))
    part = path.with_name(path.name + PART)
    try:
        added = _write(part, path, lines, known)
        if added:
            os.rename(part, path)
    finally:
        part.unlink(missing_ok=True)  # also where the disk is full: it needs the room
    fsync_directory(path.parent)
    return added


def _write(part: Path, path: Path, lines: Iterable[bytes], known: set[bytes]) -> int:
    """What is in the file, and those lines that are not known, durable; how many those are."""
    added = 0
    with open(part, "wb", opener=_private) as file:
        _copy(path, file)
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as member:
            for line in lines:
                digest = digest_of(line)
                if digest not in known:
                    known.add(digest)
                    member.write(line)
                    added += 1
        file.flush()
        os.fsync(file.fileno())
    return added


def digests_in(path: Path) -> Iterator[bytes]:
    """The digest of each line in a file, read from the disk; none when there is no file.

    SetupError when it cannot be read to its end.
    """
    try:
        raw = open(path, "rb")  # noqa: SIM115 (closed by the next block)
    except FileNotFoundError:
        return
    with raw:
        os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                for line in file:
                    yield digest_of(line)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise SetupError(
                f"{path} is damaged: {error}.",
                "Put it aside; what is still in the database is written to a new one.",
            ) from error


def digest_of(line: bytes) -> bytes:
    """What tells a line from every other."""
    return hashlib.blake2b(line, digest_size=16).digest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _copy(path: Path, to: Any) -> None:
    """What is compressed already is taken over as it is: a gzip file may have many members."""
    if not path.exists():
        return
    with open(path, "rb") as old:
        while piece := old.read(PIECE_BYTES):
            to.write(piece)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
