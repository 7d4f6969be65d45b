"""Restoring a backup beside the database, in a child: what nobody has restored is no backup."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isal import isal_zlib
from sqlalchemy import text

from healtharchive.model import postgres, schema
from healtharchive.model.backup_facts import differences
from healtharchive.model.database import Database
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.steward.backup_files import (
    FACTS_END,
    SCRATCH,
    Backup,
    RestoreOrder,
    read_facts,
)
from healtharchive.steward.backup_making import (
    GZIP,
    PIECE_BYTES,
    alone_in,
    digest_of,
    require_room,
)
from healtharchive.steward.delegating import Tell
from healtharchive.steward.postgres_tools import SERVICE, environment, failure, program

POLL_SECONDS = 0.5
WAL_ENDS = ("", "-wal", "-shm", "-journal")


def restore(order: RestoreOrder, database: Database, tell: Tell) -> dict[str, Any]:
    """Restore and compare; how many rows there are. SetupError says what is wrong with it."""
    directory = Path(order.directory)
    if not directory.is_dir():
        raise SetupError(f"{directory} is not there.", "`healtharchive backup now` makes a backup.")
    with alone_in(directory):
        backup = _checked(directory, order.name, tell)
        restored = _sqlite if order.name.endswith(".sqlite.gz") else _postgres
        with restored(order, backup, database, tell) as scratch:
            _compare(scratch, backup, tell)
            _bring_up(scratch, backup)
    return {"rows": backup.facts.rows, "tables": len(backup.facts.counts)}


def _checked(directory: Path, name: str, tell: Tell) -> Backup:
    """What the backup should hold, after its bytes were found to be those that were made."""
    path = directory / name
    backup = read_facts(directory, name)
    if backup is None or not path.is_file():
        missing = name if backup is not None else f"{name}{FACTS_END}"
        raise SetupError(
            f"The backup {missing} is not in {directory}, or cannot be read.",
            "`healtharchive backup list` shows those that are there.",
        )
    found = digest_of(path, tell, "read")
    if found != backup.sha256:
        raise SetupError(
            f"The backup {name} is damaged: its SHA-256 is {found}, it was made with "
            f"{backup.sha256}.",
            "`healtharchive backup now` makes another; check the disk under it.",
        )
    return backup


def _compare(scratch: Database, backup: Backup, tell: Tell) -> None:
    tell("compare")
    with scratch.read() as connection:
        wrong = differences(connection, backup.facts)
    if wrong:
        raise SetupError(
            f"The backup {backup.name} does not restore to what was backed up: "
            f"{'; '.join(wrong[:5])}.",
            "`healtharchive backup now` makes another; keep this one for whoever looks into it.",
        )


def _bring_up(scratch: Database, backup: Backup) -> None:
    """This program can go on with it: an older schema is brought up, a newer one is refused."""
    if backup.facts.revision < schema.head():
        schema.upgrade(scratch)
    try:
        schema.check(scratch)
    except HealthArchiveError as error:
        raise SetupError(f"The backup {backup.name} cannot be used: {error.what}") from error


# -- SQLite --------------------------------------------------------------------------------


@contextmanager
def _sqlite(order: RestoreOrder, backup: Backup, _: Database, tell: Tell) -> Iterator[Database]:
    path = Path(order.directory) / SCRATCH
    _remove(path)
    require_room(path.parent, backup.database_bytes)
    try:
        _unpack(Path(order.directory) / order.name, path, tell)
        scratch = Database(f"sqlite:///{path}")
        try:
            tell("check")
            with scratch.read() as connection:
                said = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
            if said != "ok":
                raise SetupError(f"The backup {order.name} is damaged: SQLite says {said}.")
            yield scratch
        finally:
            scratch.dispose()
    finally:
        _remove(path)


def _unpack(source: Path, path: Path, tell: Tell) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as file:
        unpacker = isal_zlib.decompressobj(wbits=GZIP)
        while piece := file.read(PIECE_BYTES):
            out.write(unpacker.decompress(piece))
            tell(f"unpack: {out.tell()} bytes")
        out.write(unpacker.flush())


def _remove(path: Path) -> None:
    for end in WAL_ENDS:
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)


# -- PostgreSQL ----------------------------------------------------------------------------


@contextmanager
def _postgres(order: RestoreOrder, _: Backup, database: Database, tell: Tell) -> Iterator[Database]:
    if database.is_sqlite:
        raise SetupError(
            f"The backup {order.name} is PostgreSQL's, and this archive's database is SQLite.",
            "Restore it by hand, as docs/backups.md says.",
        )
    with database.read() as connection:
        major = postgres.server_major(connection)
        left = postgres.scratch_databases(connection, str(database.engine.url.database))
    for name in left:  # we are alone in our directory: whoever made them was killed
        postgres.drop_scratch(database, name)
    name = postgres.scratch_name(str(database.engine.url.database), order.stamp)
    postgres.create_scratch(database, name)
    scratch: Database | None = None
    try:
        with environment(database.engine.url, name) as variables:
            source = Path(order.directory) / order.name
            _run([program("pg_restore", major), *_words(), str(source)], variables, tell)
        url = database.engine.url.set(database=name)
        scratch = Database(url.render_as_string(hide_password=False))
        yield scratch
    finally:
        if scratch is not None:
            scratch.dispose()
        with contextlib.suppress(HealthArchiveError):
            postgres.drop_scratch(database, name)


def _words() -> list[str]:
    return [
        "--no-owner",
        "--no-acl",
        "--exit-on-error",
        "--no-password",
        f"--dbname=service={SERVICE}",
    ]


def _run(command: list[str], variables: dict[str, str], tell: Tell) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=variables
        )
        with process:
            while process.poll() is None:
                tell("restore")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
        if process.returncode:
            said.seek(0)
            raise failure("pg_restore", process.returncode, said.read())
