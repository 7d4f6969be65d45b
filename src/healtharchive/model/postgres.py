"""What only a PostgreSQL server is asked: its version, a snapshot, databases to try things in."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from healtharchive.model.database import Database

SCRATCH_NAME = re.compile(r"healtharchive_restore_test_([0-9a-f]{8})_\d{8}t\d{6}z")
NEVER_CONNECTED = "template0"


def server_major(connection: Connection) -> int:
    """The server's major version."""
    number = connection.execute(text("SHOW server_version_num")).scalar_one()
    return int(number) // 10_000


def may_create_databases(connection: Connection) -> tuple[bool, str]:
    """Whether our role may, and its name."""
    query = text(
        "SELECT rolname, rolcreatedb OR rolsuper AS may FROM pg_roles WHERE rolname = current_user"
    )
    row = connection.execute(query).one()
    return bool(row.may), str(row.rolname)


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Connection, str]]:
    """A connection that sees one moment, and the name by which other sessions see the same."""
    with database.read() as connection:
        pinned = connection.execution_options(isolation_level="REPEATABLE READ")
        with pinned.begin():
            name = pinned.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            yield pinned, str(name)


def create_scratch(database: Database, name: str) -> None:
    """A new empty database beside ours."""
    quoted = _scratch(name)
    with database.read() as connection:
        direct = connection.execution_options(isolation_level="AUTOCOMMIT")
        # From the bare template: what an administrator added to the other one is not ours.
        direct.execute(text(f"CREATE DATABASE {quoted} TEMPLATE {NEVER_CONNECTED} ENCODING 'UTF8'"))


def drop_scratch(database: Database, name: str) -> None:
    """Take such a database away; it may be gone already."""
    quoted = _scratch(name)
    with database.read() as connection:
        direct = connection.execution_options(isolation_level="AUTOCOMMIT")
        direct.execute(text(f"DROP DATABASE IF EXISTS {quoted}"))


def scratch_name(of: str, stamp: str) -> str:
    """The name of a database to restore a backup of the database `of` into."""
    return f"healtharchive_restore_test_{_mark(of)}_{stamp.lower()}"


def scratch_databases(connection: Connection, of: str) -> list[str]:
    """Databases of restore tests of this one: of a test that runs, or of one that was killed."""
    query = text("SELECT datname FROM pg_database ORDER BY datname")
    found = [SCRATCH_NAME.fullmatch(str(name)) for name in connection.execute(query).scalars()]
    return [each[0] for each in found if each is not None and each[1] == _mark(of)]


def _mark(of: str) -> str:
    """Several archives may share a server: each knows its own databases by this."""
    return f"{zlib.crc32(of.encode()):08x}"


def _scratch(name: str) -> str:
    if SCRATCH_NAME.fullmatch(name) is None:
        raise ValueError(f"{name} is no database of a restore test")
    return f'"{name}"'
