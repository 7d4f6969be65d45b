"""An archive that captured the same pages several times: really indexed, and really served."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.settings import Settings, load
from healtharchive.web.app import create_app
from tests.lab.captured import (
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.processes import wait_for

ACTOR = Actor("lab", os.getpid(), "lab")
START_SECONDS = 30.0


class Elsewhere(Page):
    """A page of another host: its path is the whole URL."""

    @property
    def url(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Editions:
    """The archive, and its WARC files."""

    settings: Settings
    database: Database
    warcs: tuple[Path, ...]

    def app(self) -> FastAPI:
        """Its web application."""
        return create_app(self.settings, self.database)


def at(text: str) -> datetime:
    """A moment of 14 digits, in UTC."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


FIRST = html_page("One", "The first edition of the page about measles.")
SECOND = html_page("One", "The second edition of the page about measles.")
PAGES: tuple[tuple[Page, ...], ...] = (
    (
        Page("/page", FIRST, moment=at("20240110080000")),
        Page("/page?b=2&a=%C3%A9%20x", FIRST, moment=at("20240110080001")),
        Page("/dir/", FIRST, moment=at("20240110080002")),
        Page("/dir/one", b"body { }", "text/css", moment=at("20240110080003")),
        Page("/dir/two", b"", "text/plain", "404 Not Found", at("20240110080004")),
        Page("/old", b"", "", "301 Moved", at("20240110080005"), (("Location", "/page"),)),
        Page("/directory", b"plain", "text/plain", moment=at("20240110080006")),
        Elsewhere("https://sub.example.org/x", b"x", "text/plain", moment=at("20240110080007")),
        Elsewhere("https://other.example/x", b"x", "text/plain", moment=at("20240110080008")),
        Elsewhere("http://127.0.0.1:8080/x", b"y", "text/plain", moment=at("20240110080009")),
    ),
    (
        Page("/page", b"gone", "text/html", "404 Not Found", at("20250110080000")),
        Page("/page", SECOND, moment=at("20250712080000")),
        Page("/page", SECOND, moment=at("20260110080000"), revisit=True),
        Page("/dir/one", b"body { color: red }", "text/css", moment=at("20260110080001")),
    ),
)
CAPTURES = sum(map(len, PAGES))


def build_editions(
    directory: Path, database_url: str = "", pages: tuple[tuple[Page, ...], ...] = PAGES
) -> Editions:
    """An archive of these editions, a segment each; on SQLite by default."""
    settings = load(
        {
            "HEALTHARCHIVE_DATA_DIR": str(directory),
            "HEALTHARCHIVE_DATABASE_URL": database_url or f"sqlite:///{directory / 'a.sqlite'}",
        }
    )
    database = Database(settings.database_url)
    schema.upgrade(database)
    order = completed_job(database, directory / "jobs", campaign="annual-2026")
    warcs = tuple(
        add_segment(order, [page_record(each) for each in edition], serial)
        for serial, edition in enumerate(pages, 1)
    )
    held, order = claim_index(database, order)
    tools = Tools(database, SearchIndex(settings.search_dir), ACTOR, lambda _: None, lambda: None)
    index_job(order, tools)
    finish_index(database, held)
    return Editions(settings, database, warcs)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application behind a real server on loopback, by its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, what="the web server listens", seconds=START_SECONDS)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
