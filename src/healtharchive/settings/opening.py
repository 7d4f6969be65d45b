"""Opens the database that the settings name, and only one that this program can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healtharchive.model.errors import SetupError
from healtharchive.settings.declared import DEFAULT_ENV_FILE, Settings

if TYPE_CHECKING:
    from healtharchive.model.database import Database


def open_database(settings: Settings, *, embedded: bool = False) -> Database:
    """The archive's database, reachable and with this program's schema.

    SetupError when none is set; DatabaseUnavailable; SchemaMissing for no schema, an older or a
    newer one. With `embedded`, a database in data_dir that is new is made and given its schema;
    one that somebody set elsewhere is never touched.
    """
    from healtharchive.model import schema

    database = connect(settings, embedded=embedded)
    if embedded and settings.uses_embedded_database:
        _make_directory(settings)
        if schema.current(database) is None:
            schema.upgrade(database)
    schema.check(database)
    return database


def connect(settings: Settings, *, embedded: bool = False) -> Database:
    """The database without a look at its schema: for `db upgrade` and its siblings."""
    from healtharchive.model.database import Database

    if settings.database_url:
        return Database(settings.database_url, settings.origin("database_url"))
    if embedded:
        return Database(settings.embedded_database_url, "the embedded database in data_dir")
    file = settings.env_file or DEFAULT_ENV_FILE
    raise SetupError(
        "No database is set: HEALTHARCHIVE_DATABASE_URL is empty, "
        f"neither {file} nor the environment sets it, and {settings.data_dir} has none.",
        "Set it to sqlite:////path/file.sqlite or postgresql://user@host/name and run "
        "`healtharchive db upgrade`, or let `healtharchive up` make one.",
        playbook="wrong-database",
    )


def _make_directory(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The data directory {settings.data_dir} ({settings.origin('data_dir')}) cannot be "
            f"made: {error.strerror}.",
            "Make it writable for this user or set HEALTHARCHIVE_DATA_DIR to another one.",
        ) from error
