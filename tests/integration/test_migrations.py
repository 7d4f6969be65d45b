"""Migrations go up, down and up again on both databases, and end where the tables are."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.errors import SchemaMissing
from healtharchive.model.tables_operation import metadata


@pytest.fixture
def empty(empty_database_url: str) -> Database:
    """A database without a schema."""
    return Database(empty_database_url, "the test")


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_up_down_and_up_again(empty: Database) -> None:
    assert schema.current(empty) is None
    schema.upgrade(empty)
    assert schema.current(empty) == schema.head()
    assert tables(empty) == set(metadata.tables)
    schema.downgrade(empty, "base")
    assert tables(empty) == set()
    assert schema.current(empty) is None
    schema.upgrade(empty)
    schema.check(empty)
    empty.dispose()


def test_the_migrations_make_exactly_the_tables_of_the_model(empty: Database) -> None:
    schema.upgrade(empty)
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    empty.dispose()


def test_row_29_a_database_without_a_schema_or_with_another_one_is_one_sentence(
    empty: Database,
) -> None:
    with pytest.raises(SchemaMissing, match=r"the test\) has no schema.*db upgrade"):
        schema.check(empty)
    schema.upgrade(empty)
    for revision, words in (("0000", "older schema"), ("9999", "newer than")):
        with empty.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
        with pytest.raises(SchemaMissing, match=words):
            schema.check(empty)
    empty.dispose()


def test_the_revision_in_the_code_is_the_newest_file() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == schema.head()
