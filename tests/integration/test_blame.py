"""Whose fault a database's error is, by real errors of real databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from healtharchive.model.blame import Blame, Fault, classify
from healtharchive.model.database import Database
from healtharchive.model.errors import DatabaseUnavailable
from tests.lab.postgres import Cluster, cluster, free_port

LONG = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n"


@pytest.fixture
def postgresql(postgres: Callable[[], Cluster]) -> Database:
    return Database(postgres().url())


def execute_all(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(text(statement))


def fault_of(database: Database, *statements: str) -> Fault:
    """The fault of the last statement, which fails."""
    with pytest.raises(DBAPIError) as caught, database.begin() as connection:
        execute_all(connection, statements)
    return classify(caught.value)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        # More than a third of a page, which no index takes: 54000, an OperationalError in psycopg.
        (("CREATE TEMP TABLE t (k text PRIMARY KEY)", f"INSERT INTO t {LONG}"), "index row size"),
        (("CREATE TEMP TABLE t (k varchar(3))", "INSERT INTO t VALUES ('four')"), "too long"),
        (("SELEC 1",), "syntax error"),
        (("SELECT 1 / 0",), "division by zero"),
        (("SELECT * FROM nowhere",), "does not exist"),
    ],
)
def test_what_we_asked_wrongly_is_a_bug_and_no_outage(
    postgresql: Database, statements: tuple[str, ...], said: str
) -> None:
    fault = fault_of(postgresql, *statements)
    assert (fault.blame, fault.parks) == (Blame.BUG, False)
    assert said in fault.reason


def end_itself(connection: Connection) -> None:
    connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def take_too_long(connection: Connection) -> None:
    connection.execute(text("SET statement_timeout = 50"))
    connection.execute(text("SELECT pg_sleep(5)"))


@pytest.mark.parametrize("trouble", [end_itself, take_too_long])
def test_a_server_that_ends_our_work_is_an_outage(
    postgresql: Database, trouble: Callable[[Connection], None]
) -> None:
    with pytest.raises(DBAPIError) as caught, postgresql.begin() as connection:
        trouble(connection)
    fault = classify(caught.value)
    assert (fault.blame, fault.parks) == (Blame.HOST, True)
    assert fault.reason.startswith("database ")


def die_and_answer(server: Cluster, connection: Connection) -> None:
    server.kill()
    connection.execute(text("SELECT 1"))


def test_a_server_that_is_not_there_or_dies_is_an_outage() -> None:
    absent = Database(f"postgresql://u@127.0.0.1:{free_port()}/x")
    with pytest.raises(DatabaseUnavailable) as unreachable, absent.read():
        pass
    assert classify(unreachable.value).parks
    with cluster() as server:
        database = Database(server.url())
        with pytest.raises(DBAPIError) as died, database.begin() as connection:
            die_and_answer(server, connection)
        database.dispose()
    assert classify(died.value).parks


def test_sqlite_busy_is_an_outage_and_a_missing_table_is_a_bug(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    first, second = Database(url), Database(url, busy_seconds=0.1)
    with first.begin():
        busy = fault_of(second, "SELECT 1")
    assert (busy.blame, busy.parks) == (Blame.HOST, True)
    missing = fault_of(first, "SELECT * FROM nowhere")
    assert (missing.blame, missing.parks) == (Blame.BUG, False)
    first.dispose()
    second.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x?password=open-sesame",
        "postgresql://u:open-sesame@127.0.0.1/x",
        "postgresql:///x?sslpassword=open-sesame&host=/run",
    ],
)
def test_a_databases_label_shows_no_password(url: str) -> None:
    label = Database(url, "HEALTHARCHIVE_DATABASE_URL").label
    assert "open-sesame" not in label
    assert "***" in label
    assert label.endswith("(HEALTHARCHIVE_DATABASE_URL)")
