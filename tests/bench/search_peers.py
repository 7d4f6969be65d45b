"""The search engines that ours is measured beside: SQLite FTS5 and PostgreSQL's full text search.

Both find pages with all the words first; where these are fewer than asked for, pages with any of
them follow. PostgreSQL is told the language of the query, which the others are not.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from healtharchive.search.index import SearchIndex
from healtharchive.search.query import Query, search_in
from tests.bench.search_corpus import Page, indexed
from tests.lab.postgres import cluster

WORDS = re.compile(r"\w+")
CONFIGURATIONS = {"en": "english", "fr": "french"}
TITLE_WEIGHT = 3.0


class Engine(Protocol):
    """Something that finds pages."""

    name: str

    def find(self, text: str, language: str, limit: int) -> list[str]:
        """The URLs of the best pages, best first."""


@dataclass(frozen=True)
class Ours:
    """The archive's own search."""

    index: SearchIndex
    name: str = "HealthArchive"

    def find(self, text: str, language: str, limit: int) -> list[str]:
        """As a reader of the site finds them, who names no language."""
        hits = search_in(self.index, Query(text=text, size=limit)).hits
        return [hit.url for hit in hits]


@dataclass(frozen=True)
class Fts5:
    """SQLite FTS5 with BM25; accents do not matter, nothing is stemmed."""

    connection: sqlite3.Connection
    name: str = "SQLite FTS5"

    def find(self, text: str, language: str, limit: int) -> list[str]:
        """Pages with all words, then pages with any."""
        words = [f'"{word}"' for word in WORDS.findall(text)]
        found: dict[str, None] = {}
        for joined in (" AND ".join(words), " OR ".join(words)):
            rows = self.connection.execute(
                "SELECT url FROM pages WHERE pages MATCH ? ORDER BY bm25(pages, 0, ?, 1) LIMIT ?",
                (joined, TITLE_WEIGHT, limit),
            )
            found |= dict.fromkeys(url for (url,) in rows)
        return list(found)[:limit]


@dataclass(frozen=True)
class Postgres:
    """PostgreSQL: stemmed by language, titles weighted, ranked by cover density and length."""

    connection: psycopg.Connection[Any]
    name: str = "PostgreSQL"

    def find(self, text: str, language: str, limit: int) -> list[str]:
        """Pages with all words, then pages with any."""
        configuration = CONFIGURATIONS[language]
        words = WORDS.findall(text)
        found: dict[str, None] = {}
        for joined in (" & ".join(words), " | ".join(words)):
            rows = self.connection.execute(
                "SELECT url FROM pages, to_tsquery(%s::regconfig, %s) AS asked"
                " WHERE words @@ asked ORDER BY ts_rank_cd(words, asked, 1) DESC, url LIMIT %s",
                (configuration, joined, limit),
            )
            found |= dict.fromkeys(url for (url,) in rows)
        return list(found)[:limit]


def ours(pages: Iterable[Page], directory: Path) -> Ours:
    """Our index of the pages."""
    index = SearchIndex(directory)
    index.put(indexed(page, number) for number, page in enumerate(pages))
    return Ours(index)


def fts5(pages: Iterable[Page], path: Path) -> Fts5:
    """An FTS5 table of the pages."""
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE VIRTUAL TABLE pages USING fts5(url UNINDEXED, title, text,"
        " tokenize = 'unicode61 remove_diacritics 2')"
    )
    rows = ((page.url, page.title, page.text) for page in pages)
    connection.executemany("INSERT INTO pages VALUES (?, ?, ?)", rows)
    connection.commit()
    return Fts5(connection)


@contextmanager
def postgres(pages: Iterable[Page]) -> Iterator[Postgres]:
    """A table of the pages in a cluster that is gone afterwards."""
    with cluster() as lab, psycopg.connect(lab.create_database("search")) as connection:
        connection.execute("CREATE TABLE pages (url text, words tsvector)")
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO pages VALUES (%s, setweight(to_tsvector(%s::regconfig, %s), 'A')"
                " || setweight(to_tsvector(%s::regconfig, %s), 'D'))",
                [_row(page) for page in pages],
            )
        connection.execute("CREATE INDEX ON pages USING gin (words)")
        connection.commit()
        yield Postgres(connection)


def _row(page: Page) -> tuple[str, ...]:
    configuration = CONFIGURATIONS.get(page.language, "simple")
    return (page.url, configuration, page.title, configuration, page.text)
