"""The archive's database. The only file in which SQLite and PostgreSQL differ."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    String,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.dml import Insert

from healtharchive.model.errors import BadInput, DatabaseUnavailable
from healtharchive.model.tables import UtcDateTime

SQLITE_BUSY_SECONDS = 30.0
CONNECT_SECONDS = 5
# A server that vanished without a word is noticed after some 20 s instead of after minutes: longer
# than a hiccup, well within a lease (libpq's connection parameters; no use on a local socket).
NOTICE_A_CUT_NETWORK = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
# Options of a URL that hold a secret, as well as its user's password (libpq's names).
SECRET_OPTIONS = ("password", "sslpassword", "passfile")
SCHEMA_LOCK = 0x4865616C7468  # any number, as long as nobody else's advisory lock has it


class Database:
    """One database: transactions, its clock, and the few statements that differ by dialect.

    `url` is an SQLAlchemy URL; `origin` names the setting it came from, for error sentences.
    `busy_seconds` is how long a statement waits for SQLite's lock.
    """

    def __init__(
        self, url: str, origin: str = "", *, busy_seconds: float = SQLITE_BUSY_SECONDS
    ) -> None:
        self.origin = origin
        self.engine = _engine(url, origin, busy_seconds)
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @property
    def label(self) -> str:
        """The URL without its password, and where it was set: for people."""
        url = self.engine.url
        secret = {name: "" for name in url.query if name.lower() in SECRET_OPTIONS}
        shown = url.update_query_dict(secret).render_as_string(hide_password=True)
        for name in secret:
            shown = re.sub(rf"([?&]{name}=)", r"\1***", shown)
        return f"{shown} ({self.origin})" if self.origin else shown

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back by any error.

        On SQLite it takes the write lock at once (BEGIN IMMEDIATE), so a transaction that has
        read something cannot be refused later. DatabaseUnavailable when it cannot be reached.
        """
        with self._connect() as connection, connection.begin():
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def schema_change(self) -> Iterator[Connection]:
        """A write transaction for migrations: one at a time, all of it or nothing.

        SQLite rebuilds a table to alter it, and dropping the old one would delete what refers to
        it: foreign keys are off meanwhile and checked before the end.
        """
        with self._connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
                yield connection
                return
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if orphans:
                raise RuntimeError(f"the migration left rows that refer to nothing: {orphans[:5]}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for questions only."""
        with self._connect() as connection:
            yield connection

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except (DBAPIError, sqlite3.Error) as error:
            raise DatabaseUnavailable(
                f"The database {self.label} cannot be reached: {_first_line(error)}.",
                "Start it or correct HEALTHARCHIVE_DATABASE_URL; `healtharchive config` shows it.",
            ) from error
        with connection:
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The database's own clock: leases and delays of all workers go by it."""
        if self.is_sqlite:
            query = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now")
        else:
            query = text("SELECT clock_timestamp() AS now")
        value = connection.execute(query.columns(now=UtcDateTime())).scalar_one()
        moment: datetime = value
        return moment

    def skip_locked(self, query: Select[Any]) -> Select[Any]:
        """The query as a claim: rows another claimer holds are passed over (PostgreSQL).

        SQLite needs nothing: BEGIN IMMEDIATE already lets one writer in at a time.
        """
        return query if self.is_sqlite else query.with_for_update(skip_locked=True)

    def try_lock(self, connection: Connection, number: int) -> bool:
        """Whether nobody else has this lock; ours until the connection's transaction ends.

        It keeps no row from anybody. On SQLite there is no other machine to have it.
        """
        query = select(func.pg_try_advisory_xact_lock(number))
        return self.is_sqlite or bool(connection.execute(query).scalar_one())

    def is_locked(self, error: DBAPIError) -> bool:
        """Whether another process held SQLite's lock for longer than anybody waits for it."""
        return self.is_sqlite and getattr(error.orig, "sqlite_errorname", "") == "SQLITE_BUSY"

    def insert_ignore(self, table: Any) -> Insert:
        """INSERT … ON CONFLICT DO NOTHING; `rowcount` tells whether a row was added."""
        if self.is_sqlite:
            return sqlite.insert(table).on_conflict_do_nothing()
        from sqlalchemy.dialects import postgresql

        # It asks for the new row's key by itself, and then forgets how many rows there were.
        ignoring = postgresql.insert(table).on_conflict_do_nothing()
        return ignoring.execution_options(preserve_rowcount=True)

    def utc_year(self, moment: ColumnElement[Any]) -> ColumnElement[int]:
        """The year of a stored moment, by UTC."""
        if self.is_sqlite:
            return cast(func.strftime("%Y", moment, type_=String), Integer)
        return cast(func.extract("year", func.timezone("UTC", moment)), Integer)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return (str(original).strip().splitlines() or [type(original).__name__])[0].rstrip(".")


def _engine(url: str, origin: str, busy_seconds: float) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadInput(
            f"The database URL from {origin or 'the settings'} is not a URL.",
            "Set HEALTHARCHIVE_DATABASE_URL to sqlite:////path/file.sqlite or "
            "postgresql://user@host/name.",
            playbook="wrong-database",
        ) from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=10,
            connect_args={"connect_timeout": CONNECT_SECONDS, **NOTICE_A_CUT_NETWORK},
        )
    if parsed.drivername != "sqlite":
        raise BadInput(
            f"The database URL from {origin or 'the settings'} names '{parsed.drivername}'.",
            "Only sqlite and postgresql are supported.",
        )
    # Connections stay open: SQLite locks out everybody while the last one of a database closes,
    # and a process that is stopped in that instant would lock them out until it goes on.
    engine = create_engine(parsed, max_overflow=-1, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "checkout", _refuse_lost_file)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    # Autocommit mode: SQLAlchemy's own BEGIN would be a deferred one; `begin()` sends ours.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    record.info["file"] = _file_of(connection)


def _refuse_lost_file(
    connection: sqlite3.Connection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Never write to a database file that was removed or replaced: its name leads elsewhere now."""
    if record.info["file"] != _file_of(connection):
        raise DisconnectionError("the database file was removed or replaced")


def _file_of(connection: sqlite3.Connection) -> tuple[int, int] | None:
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
