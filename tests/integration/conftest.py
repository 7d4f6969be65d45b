"""A migrated database for each test, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from healtharchive.model import schema
from healtharchive.model.database import Database
from tests.lab.postgres import Cluster, cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], Cluster]]:
    """The session's PostgreSQL cluster, started when the first test asks for it."""
    with ExitStack() as stack:
        started: list[Cluster] = []

        def ask() -> Cluster:
            if not started:
                started.append(stack.enter_context(cluster()))
            return started[0]

        yield ask


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], Cluster]
) -> str:
    """The address of a new database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'archive.sqlite'}"
    return postgres().create_database(f"archive_{next(_numbers)}")


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """The address of a new database with the schema of this program."""
    made = Database(empty_database_url, "the test")
    schema.upgrade(made)
    made.dispose()
    return empty_database_url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database with the schema of this program."""
    made = Database(database_url, "the test")
    yield made
    made.dispose()
