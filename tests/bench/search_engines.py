"""The engines of the search bench: each is filled with the same captures and asked the same.

An answer is what a page of results needs: ten hits of the latest captures with their snippets, how
many there are in all, and five facets where they are asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg

from healtharchive.search.facets import facets
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.narrowing import Plan, Query
from healtharchive.search.query import search_in
from tests.bench.search_captures import Question, is_newest, year_of

SIZE = 10
FACETS = ("source", "campaign", "language", "kind", "year")
FACTS = ("id", "url", "source", "campaign", "language", "kind", "year", "captured", "newest")


class Engine(Protocol):
    """A search engine."""

    name: str

    def add(self, pages: Sequence[IndexedPage]) -> None:
        """Take captures in."""

    def finish(self) -> None:
        """Make it ready to be asked."""

    def size_bytes(self) -> int:
        """How much it takes on the disk."""

    def ask(self, question: Question) -> int:
        """Answer a question; how many were found."""


class Ours:
    """The archive's own search, filled as the index child fills it."""

    name = "HealthArchive (tantivy)"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._index = SearchIndex(directory)

    def add(self, pages: Sequence[IndexedPage]) -> None:
        """One commit, which also tells earlier captures that they are no longer the newest."""
        self._index.put(pages)

    def finish(self) -> None:
        """It is ready after every commit."""

    def size_bytes(self) -> int:
        """All files of the index."""
        files = (file for file in self._directory.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files)

    def ask(self, question: Question) -> int:
        """As the web page asks, but for the database."""
        query = _query(question)
        index = SearchIndex(self._directory)
        results = search_in(index, query)
        if question.kind == "filter and facets":
            facets(index.searcher(), Plan(index, query))
        return results.exact


def _query(question: Question) -> Query:
    text = " ".join(question.words)
    if question.kind == "phrase":
        return Query(text=f'"{text}"', size=SIZE)
    if question.kind == "filter and facets":
        return Query(text=text, language="fr", size=SIZE)
    return Query(text=text, sort="newest" if question.kind == "newest" else "relevance", size=SIZE)


class Fts5:
    """SQLite FTS5, joined with a table of the captures' facts."""

    name = "SQLite FTS5"

    def __init__(self, directory: Path) -> None:
        self._path = directory / "fts5.sqlite"
        self._connection = sqlite3.connect(self._path)
        self._connection.executescript(
            f"PRAGMA journal_mode = wal; PRAGMA synchronous = normal;"
            f"CREATE TABLE facts (id INTEGER PRIMARY KEY, {', '.join(FACTS[1:])});"
            f"CREATE VIRTUAL TABLE words USING fts5(title, text,"
            f" tokenize = 'unicode61 remove_diacritics 2');"
        )

    def add(self, pages: Sequence[IndexedPage]) -> None:
        """One transaction."""
        marks = ", ".join("?" * len(FACTS))
        self._connection.executemany(f"INSERT INTO facts VALUES ({marks})", map(_facts, pages))
        self._connection.executemany(
            "INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
            ((each.capture_id, each.title, each.text) for each in pages),
        )
        self._connection.commit()

    def finish(self) -> None:
        """Merge the index into one."""
        self._connection.execute("INSERT INTO words (words) VALUES ('optimize')")
        self._connection.commit()
        self._connection.execute("PRAGMA wal_checkpoint(truncate)")

    def size_bytes(self) -> int:
        """The file."""
        return self._path.stat().st_size

    def ask(self, question: Question) -> int:
        """Ranked by BM25 with the title's weight."""
        words = " ".join(f'"{word}"' for word in question.words)
        asked = (f'"{" ".join(question.words)}"' if question.kind == "phrase" else words,)
        where = "FROM words JOIN facts ON facts.id = words.rowid WHERE words MATCH ? AND newest"
        if question.kind == "filter and facets":
            where += " AND language = 'fr'"
        order = "captured DESC" if question.kind == "newest" else "bm25(words, 3, 1)"
        # Snippets of the ten alone: beside ORDER BY, SQLite would make one of every page found.
        best = f"SELECT words.rowid {where} ORDER BY {order} LIMIT {SIZE}"
        self._connection.execute(
            "SELECT url, snippet(words, 1, '', '', '', 40) FROM words"
            " JOIN facts ON facts.id = words.rowid"
            f" WHERE words MATCH ? AND words.rowid IN ({best})",
            (*asked, *asked),
        ).fetchall()
        (total,) = self._connection.execute(f"SELECT count(*) {where}", asked).fetchone()
        for name in FACETS if question.kind == "filter and facets" else ():
            counts = f"SELECT {name}, count(*) {where} GROUP BY {name}"
            self._connection.execute(counts, asked).fetchall()
        return int(total)


class Postgres:
    """PostgreSQL's full text search with a GIN index."""

    name = "PostgreSQL"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE pages (id bigint, url text, source text, campaign text, language text,"
            " kind text, year int, captured bigint, newest bool, title text, body text,"
            " words tsvector GENERATED ALWAYS AS (setweight(to_tsvector('simple', title), 'A')"
            " || setweight(to_tsvector('simple', body), 'D')) STORED)"
        )

    def add(self, pages: Sequence[IndexedPage]) -> None:
        """One COPY."""
        columns = ", ".join((*FACTS, "title", "body"))
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY pages ({columns}) FROM STDIN") as copy,
        ):
            for page in pages:
                copy.write_row((*_facts(page), page.title, page.text))
        self._connection.commit()

    def finish(self) -> None:
        """Make the index once everything is there, which is the quick way."""
        self._connection.execute("SET maintenance_work_mem = '512MB'")
        self._connection.execute("CREATE INDEX ON pages USING gin (words)")
        self._connection.commit()
        self._connection.autocommit = True
        self._connection.execute("VACUUM ANALYZE pages")

    def size_bytes(self) -> int:
        """The table with its index and what is stored beside it."""
        return int(self._one("SELECT pg_total_relation_size('pages')", {}))

    def ask(self, question: Question) -> int:
        """Ranked by cover density."""
        values = {"text": " ".join(question.words)}
        function = "phraseto_tsquery" if question.kind == "phrase" else "plainto_tsquery"
        asked = f"{function}('simple', %(text)s)"
        where = f"FROM pages WHERE words @@ {asked} AND newest"
        if question.kind == "filter and facets":
            where += " AND language = 'fr'"
        newest = question.kind == "newest"
        order = "captured DESC" if newest else f"ts_rank_cd(words, {asked}, 1) DESC"
        best = f"SELECT url, body {where} ORDER BY {order} LIMIT {SIZE}"
        self._connection.execute(
            f"SELECT url, ts_headline('simple', body, {asked}) FROM ({best}) AS best", values
        ).fetchall()
        for name in FACETS if question.kind == "filter and facets" else ():
            counts = f"SELECT {name}, count(*) {where} GROUP BY {name}"
            self._connection.execute(counts, values).fetchall()
        return int(self._one(f"SELECT count(*) {where}", values))

    def _one(self, statement: str, values: dict[str, str]) -> Any:
        row = self._connection.execute(statement, values).fetchone()  # type: ignore[call-overload]
        return row[0]


def _facts(page: IndexedPage) -> tuple[object, ...]:
    """In the order of FACTS."""
    return (
        page.capture_id,
        page.url,
        page.source,
        page.campaign,
        page.language,
        page.kind,
        year_of(page),
        page.captured,
        is_newest(page),
    )
