"""Source files into the database: what the files say is what jobs capture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healtharchive.cli.session import Session

if TYPE_CHECKING:
    from healtharchive.model.source import SourceDefinition


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
