"""Making a backup, in a child: a consistent copy under a passing name, made durable, then named."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from isal import isal_zlib

from healtharchive import __version__
from healtharchive.model import postgres
from healtharchive.model.backup_facts import DatabaseFacts, facts_of, size_bytes
from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.tables_operation import tokens
from healtharchive.model.tokens import forget_tokens
from healtharchive.steward.backup_files import (
    DIGEST_END,
    FACTS_END,
    NAME,
    PARTIAL,
    Backup,
    MakeOrder,
    describe,
    kept_in,
    outdated,
)
from healtharchive.steward.delegating import Tell
from healtharchive.steward.postgres_tools import environment, failure, program
from healtharchive.warc.segment import fsync_directory

PIECE_BYTES = 1 << 20
PAGES_A_STEP = 256  # 1 MiB
REST_SECONDS = 0.005  # after each step: crawls need the disk too
COMPRESSION = 2  # isal's levels end at 3
GZIP = 31  # zlib's word for a gzip member
KEPT_FREE_BYTES = 200_000_000
END_SECONDS = 60.0


def make(order: MakeOrder, database: Database, tell: Tell) -> dict[str, Any]:
    """Make the backup and remove what is outdated; its facts. SetupError with the cure."""
    directory = Path(order.directory)
    make_directory(directory)
    with alone_in(directory):
        remove_partials(directory)
        with database.read() as connection:
            require_room(directory, size_bytes(connection) * (2 if database.is_sqlite else 1))
        try:
            backup = (_of_sqlite if database.is_sqlite else _of_postgres)(order, database, tell)
        finally:
            remove_partials(directory)
        gone = outdated(kept_in(directory), order.kept, order.proven, order.name)
        for name in gone:
            for end in ("", FACTS_END, DIGEST_END):
                (directory / f"{name}{end}").unlink(missing_ok=True)
    return {"size_bytes": backup.size_bytes, "rows": backup.facts.rows, "removed": gone}


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """The right to work in the directory. SetupError when another process has it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SetupError(
            f"Another backup or restore test is under way in {directory}.", "Wait for its end."
        ) from None
    finally:
        os.close(descriptor)


def digest_of(path: Path, tell: Tell, doing: str) -> str:
    """SHA-256 of a file."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            seen.update(piece)
            tell(f"{doing}: {file.tell()} bytes")
    return seen.hexdigest()


# -- SQLite --------------------------------------------------------------------------------


def _of_sqlite(order: MakeOrder, database: Database, tell: Tell) -> Backup:
    directory = Path(order.directory)
    raw = directory / f"{order.name}.raw"
    part = directory / f"{order.name}.part"
    _private(raw)
    copy_sqlite(str(database.engine.url.database), raw, tell)
    copy = Database(f"sqlite:///{raw}")
    try:
        with copy.begin() as connection:
            forget_tokens(connection)
        with copy.read() as connection:
            facts = facts_of(connection)
            full = size_bytes(connection)
    finally:
        copy.dispose()
    _leave_wal(raw)
    packer = isal_zlib.compressobj(level=COMPRESSION, wbits=GZIP)
    with raw.open("rb") as source, writing(part) as (out, seen):
        into = _Seen(out, seen)
        while piece := source.read(PIECE_BYTES):
            into.write(packer.compress(piece))
            tell(f"compress: {source.tell()} bytes")
        into.write(packer.flush())
    return _made(order, part, seen.hexdigest(), full, facts)


def copy_sqlite(path: str, to: Path, tell: Tell) -> None:
    """A copy of one moment, by SQLite's own backup, while others write."""
    with (
        contextlib.closing(_connected(path)) as source,
        contextlib.closing(sqlite3.connect(to)) as target,
    ):
        # Held open: otherwise each write of another process would begin the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()

        def rest(_: int, left: int, total: int) -> None:
            tell(f"copy: {total - left} of {total} pages")
            time.sleep(REST_SECONDS)

        source.backup(target, pages=PAGES_A_STEP, progress=rest)
        source.execute("ROLLBACK")


def _connected(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, isolation_level=None)


def _leave_wal(path: Path) -> None:
    """One plain file, whose bytes depend on no other."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


class _Seen:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes], seen: hashlib._Hash) -> None:
        self._file = file
        self._seen = seen

    def write(self, data: bytes) -> None:
        self._seen.update(data)
        self._file.write(data)


# -- PostgreSQL ----------------------------------------------------------------------------


def _of_postgres(order: MakeOrder, database: Database, tell: Tell) -> Backup:
    part = Path(order.directory) / f"{order.name}.part"
    with postgres.snapshot(database) as (connection, moment):
        dump = program("pg_dump", postgres.server_major(connection))
        command = [dump, "--format=custom", f"--snapshot={moment}", "--no-password"]
        command.append(f"--exclude-table-data={tokens.name}")
        tell("count")
        facts = facts_of(connection, without=(tokens.name,))
        full = size_bytes(connection)
        with environment(database.engine.url) as variables, writing(part) as (out, seen):
            _pour(command, variables, _Seen(out, seen), tell)
    return _made(order, part, seen.hexdigest(), full, facts)


def _pour(command: list[str], variables: dict[str, str], into: _Seen, tell: Tell) -> None:
    """Everything a program prints, into a file; when we die it finds its pipe closed and ends."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=variables,
        )
        assert process.stdout is not None
        done = 0
        with process, process.stdout as stream:
            while piece := stream.read(PIECE_BYTES):
                into.write(piece)
                done += len(piece)
                tell(f"dump: {done} bytes")
            status = process.wait(END_SECONDS)
        if status:
            said.seek(0)
            raise failure("pg_dump", status, said.read())


# -- files ---------------------------------------------------------------------------------


def make_directory(directory: Path) -> None:
    """Have the directory there, for its owner alone. SetupError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SetupError(
            f"The directory for backups, {directory}, cannot be made: {error.strerror}.",
            "Make it writable for this user or set HEALTHARCHIVE_BACKUP_DIR to another one.",
        ) from error


def require_room(directory: Path, size_bytes: int) -> None:
    """SetupError without it: a backup never takes the room that captures need to the last byte."""
    needed = size_bytes + KEPT_FREE_BYTES
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise SetupError(
            f"There is no room for a backup in {directory}: it may need {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free.",
            "Free some, or set HEALTHARCHIVE_BACKUP_DIR to another disk.",
        )


def remove_partials(directory: Path) -> None:
    """What a backup that came to no end has left: its copies, and words beside no file."""
    for path in sorted(directory.iterdir()):
        name = path.name.removesuffix(FACTS_END).removesuffix(DIGEST_END)
        alone = name != path.name and NAME.fullmatch(name) and not (directory / name).exists()
        if alone or PARTIAL.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _private(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


@contextmanager
def writing(path: Path) -> Iterator[tuple[IO[bytes], hashlib._Hash]]:
    """A new file that only its owner reads, durable at the end; and what hashes it."""
    _private(path)
    with path.open("r+b") as file:
        yield file, hashlib.sha256()
        file.flush()
        os.fsync(file.fileno())


def _made(
    order: MakeOrder, part: Path, sha256: str, database_bytes: int, facts: DatabaseFacts
) -> Backup:
    backup = Backup(
        name=order.name,
        made_at=datetime.now(UTC),
        program=__version__,
        size_bytes=part.stat().st_size,
        sha256=sha256,
        database_bytes=database_bytes,
        facts=facts,
    )
    publish(part, backup)
    return backup


def publish(part: Path, backup: Backup) -> None:
    """Give it its name, after its facts are beside it: whoever finds it can check it."""
    directory = part.parent
    describe(directory, backup)
    for end in (FACTS_END, DIGEST_END):
        with (directory / f"{backup.name}{end}").open("rb") as file:
            os.fsync(file.fileno())
    os.rename(part, directory / backup.name)
    fsync_directory(directory)
