"""The schema of the database: what it is now, what this program needs, and the way there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from healtharchive.model.database import Database
from healtharchive.model.errors import SchemaMissing

if TYPE_CHECKING:
    from alembic.config import Config

# The newest migration, kept here because importing Alembic costs a third of a second and every
# command checks its database. Revisions are numbers in order; a test compares this with the files.
HEAD = "0010"
MIGRATIONS = Path(__file__).parent / "migrations"


def head() -> str:
    """The revision this program was written for."""
    return HEAD


def current(database: Database) -> str | None:
    """The revision the database has; None when it has no schema. DatabaseUnavailable."""
    if not _file_exists(database):
        return None
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.execute(
            text("SELECT version_num FROM alembic_version")
        ).scalar()
        return revision


def check(database: Database) -> None:
    """Returns when the schema is this program's; SchemaMissing says what it is instead."""
    revision = current(database)
    if revision == HEAD:
        return
    if revision is None:
        raise SchemaMissing(
            f"The database {database.label} has no schema.",
            "Make it with `healtharchive db upgrade`.",
        )
    if revision < HEAD:
        raise SchemaMissing(
            f"The database {database.label} has the older schema {revision}; "
            f"this program needs {HEAD}.",
            "Bring it up with `healtharchive db upgrade`.",
        )
    raise SchemaMissing(
        f"The database {database.label} has the schema {revision}, newer than the {HEAD} of this "
        "program.",
        "Install the newer program, or go back with its `healtharchive db downgrade`.",
    )


def upgrade(database: Database, revision: str = "head") -> None:
    """Every migration up to `revision`, in one transaction; nothing to do is fine."""
    from alembic import command

    with database.schema_change() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Back to `revision` (`base`: to nothing), in one transaction. What it drops is lost."""
    from alembic import command

    with database.schema_change() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: object) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _file_exists(database: Database) -> bool:
    """False for a SQLite file that is not there: connecting would make an empty one."""
    name = database.engine.url.database
    if not database.is_sqlite or not name or name == ":memory:":
        return True
    try:
        return Path(name).exists()
    except OSError:
        return True  # connecting will say why it cannot be seen
