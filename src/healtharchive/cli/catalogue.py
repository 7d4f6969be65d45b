"""Source files into the database: what the files say is what jobs capture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from healtharchive.cli.session import Session
from healtharchive.settings import Settings

if TYPE_CHECKING:
    from healtharchive.model.database import Database
    from healtharchive.model.source import SourceDefinition


def require_source(code: str, settings: Settings, open_database: Callable[[], Database]) -> None:
    """NotFound when neither the source files nor the database know this source.

    The database is only opened when the files do not: it alone has what `crawl` made.
    """
    from healtharchive.crawl.sources import load_all
    from healtharchive.model.sources import source_id

    if code in load_all(settings.sources_dir):
        return
    with open_database().read() as connection:
        source_id(connection, code)


def enter_sources(session: Session) -> dict[str, SourceDefinition]:
    """The shipped sources and the operator's own, after the database knows them too."""
    from healtharchive.crawl.sources import load_all
    from healtharchive.model.journal import this_process
    from healtharchive.model.sources import upsert_source

    definitions = load_all(session.settings.sources_dir)
    with session.database.begin() as connection:
        for definition in definitions.values():
            upsert_source(session.database, connection, definition, actor=this_process())
    return definitions
