"""The frontier's tables: one SQLite file a job, on local disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# URL states. Every URL that was ever found in scope is in exactly one of them.
QUEUED, IN_FLIGHT, DONE, FAILED, EXCLUDED = range(5)
STATE_NAMES = ("queued", "in_flight", "done", "failed", "excluded")

SCHEMA_VERSION = 2
BUSY_MILLISECONDS = 20_000

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE hosts (
  id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE,
  dns_recorded INTEGER NOT NULL DEFAULT 0,
  robots_status INTEGER, robots_body BLOB, robots_at REAL
);
CREATE TABLE urls (
  id INTEGER PRIMARY KEY, url TEXT NOT NULL, key BLOB NOT NULL UNIQUE,
  host_id INTEGER NOT NULL REFERENCES hosts(id),
  state INTEGER NOT NULL, kind INTEGER NOT NULL, depth INTEGER NOT NULL,
  hops INTEGER NOT NULL, via_id INTEGER, tries INTEGER NOT NULL DEFAULT 0,
  not_before REAL, reason TEXT
);
CREATE INDEX urls_ready ON urls(host_id, kind, id) WHERE state = 0;
CREATE TABLE segments (
  name TEXT PRIMARY KEY, fence INTEGER NOT NULL, serial INTEGER NOT NULL, state TEXT NOT NULL,
  confirmed_bytes INTEGER NOT NULL DEFAULT 0, records INTEGER NOT NULL DEFAULT 0,
  sha256 TEXT, sealed_at TEXT
);
CREATE TABLE captures (
  id INTEGER PRIMARY KEY, url_id INTEGER, kind TEXT NOT NULL, segment TEXT NOT NULL,
  span_offset INTEGER NOT NULL, span_length INTEGER NOT NULL, records INTEGER NOT NULL,
  record_offset INTEGER NOT NULL, record_length INTEGER NOT NULL, record_id TEXT,
  status INTEGER, mime TEXT, payload_digest TEXT, payload_bytes INTEGER,
  captured_at TEXT, truncated TEXT
);
CREATE UNIQUE INDEX captures_url ON captures(url_id) WHERE url_id IS NOT NULL;
CREATE INDEX captures_segment ON captures(segment, span_offset);
CREATE INDEX captures_payload ON captures(payload_digest) WHERE kind = 'response';
CREATE TABLE patterns (pattern TEXT PRIMARY KEY, found INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE out_of_scope (
  host TEXT NOT NULL, rule TEXT NOT NULL, found INTEGER NOT NULL, PRIMARY KEY (host, rule)
) WITHOUT ROWID;
"""
# Version 2: where redirects lead, and what was noted of the site, each with its number.
ADDED = """
CREATE TABLE redirects (url_id INTEGER PRIMARY KEY, target TEXT NOT NULL);
CREATE TABLE remarks (what TEXT PRIMARY KEY, found INTEGER NOT NULL) WITHOUT ROWID;
"""


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by hand.

    May be used from several threads, one at a time.
    """
    uri = f"{path.absolute().as_uri()}{'?mode=ro' if readonly else ''}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=20.0
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA cache_size = -32000")
    if not readonly:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Make the tables that a frontier has not yet, all or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for number, text in enumerate((SCHEMA, ADDED), start=1):
            for statement in text.split(";\n") if version < number else ():
                connection.execute(statement)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
