"""The durable frontier: which URLs are queued, in flight, done, failed or excluded.

The WARC and the frontier commit together (promise 3): a URL becomes done in the same transaction
that notes the file, offset and length of its fsynced record, and its links become queued in that
transaction too. Every write carries the attempt's fencing token; an older one is refused.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from healtharchive.crawl import frontier_schema as schema
from healtharchive.crawl.batch import Admission, Batch, Capture, FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.frontier_schema import DONE, EXCLUDED, FAILED, IN_FLIGHT, QUEUED
from healtharchive.crawl.takeover import identify
from healtharchive.crawl.traps import budget_for, pattern_of
from healtharchive.model.errors import LeaseLost
from healtharchive.model.orders import Counts


class Frontier:
    """One job's frontier, opened for one attempt.

    Two connections: `commit` may run in another thread while the questions are asked here.
    """

    def __init__(self, path: Path, fence: int) -> None:
        self.path = path
        self.fence = fence
        self._writer = schema.connect(path)
        schema.create(self._writer)
        self._reader = schema.connect(path, readonly=True)
        self._hosts: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        self._take_fence()
        elapsed = self.ask("SELECT value FROM meta WHERE key = 'elapsed_seconds'")
        self.elapsed_seconds = float(elapsed[0][0]) if elapsed else 0.0
        self.counts = self.count()

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._writer.close()

    # -- the fence -------------------------------------------------------------------------

    def _take_fence(self) -> None:
        with self._transaction(check=False) as db:
            held = self._read_fence(db)
            if held > self.fence:
                raise _fenced(held, self.fence)
            self._set_meta(db, "fence", str(self.fence))
            self._set_meta(db, "owner", identify(os.getpid()))
            db.execute("UPDATE urls SET state = ? WHERE state = ?", (QUEUED, IN_FLIGHT))

    @contextmanager
    def _transaction(self, *, check: bool = True) -> Iterator[sqlite3.Connection]:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            if check and (held := self._read_fence(db)) != self.fence:
                raise _fenced(held, self.fence)
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @staticmethod
    def _read_fence(db: sqlite3.Connection) -> int:
        row = db.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()
        return int(row[0]) if row else 0

    @staticmethod
    def _set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextmanager
    def fenced(self) -> Iterator[sqlite3.Connection]:
        """A transaction of this attempt's; LeaseLost when a later attempt has the frontier."""
        with self._transaction() as db:
            yield db

    # -- writing ---------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Make a batch durable in one transaction. LeaseLost when fenced; nothing is written then.

        Every capture of the batch lies in bytes of `batch.segment` that an fsync has covered.
        """
        with self._transaction() as db:
            self._confirm_captures(db, batch)
            self._move_urls(db, batch)
            found, excluded = self._insert_found(db, batch.found)
            self._note_hosts(db, batch)
            self.elapsed_seconds += batch.elapsed_seconds
            self._set_meta(db, "elapsed_seconds", str(self.elapsed_seconds))
        self._add_counts(batch, found, excluded)

    def admit(self, found: Sequence[FoundUrl], *, pages: bool = True) -> list[Admission]:
        """Take URLs out of the queue for whoever has their answers already; new ones are added.

        They are in flight until a batch settles them. An attempt that dies before leaves them
        queued: the next one fetches them. Without `pages` only assets are taken out of the queue:
        what is queued as anything else stays there.
        """
        with self._transaction() as db:
            admitted = [self._admit(db, each, pages) for each in found]
            new = sum(is_new for _, is_new in admitted)
        counts = self.counts
        self.counts = replace(counts, found=counts.found + new, queued=counts.queued + new)
        return [admission for admission, _ in admitted]

    def _admit(self, db: sqlite3.Connection, each: FoundUrl, pages: bool) -> tuple[Admission, bool]:
        key = url_key(each.url)
        row = db.execute("SELECT id, state, kind FROM urls WHERE key = ?", (key,)).fetchone()
        if row is not None:
            url_id, state, kind = row
            ours = state == QUEUED and (pages or kind == Kind.ASSET)
            if ours:
                db.execute("UPDATE urls SET state = ? WHERE id = ?", (IN_FLIGHT, url_id))
            return Admission(url_id, ours), False
        url_id = self._insert(db, each, key, IN_FLIGHT, None)
        return Admission(url_id, True), True

    @staticmethod
    def _confirm_captures(db: sqlite3.Connection, batch: Batch) -> None:
        if not batch.captures:
            return
        last = batch.captures[-1]
        db.execute(
            "UPDATE segments SET confirmed_bytes = ?, records = records + ? WHERE name = ?",
            (
                last.span_offset + last.span_length,
                sum(capture.records for capture in batch.captures),
                batch.segment,
            ),
        )
        db.executemany(
            "INSERT INTO captures (url_id, kind, segment, span_offset, span_length, records,"
            " record_offset, record_length, record_id, status, mime, payload_digest,"
            " payload_bytes, captured_at, truncated) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [_capture_row(capture, batch.segment) for capture in batch.captures],
        )
        done = [(DONE, c.url_id) for c in batch.captures if c.url_id is not None]
        db.executemany("UPDATE urls SET state = ?, reason = NULL WHERE id = ?", done)

    @staticmethod
    def _move_urls(db: sqlite3.Connection, batch: Batch) -> None:
        db.executemany(
            "UPDATE urls SET state = ? WHERE id = ? AND state = ?",
            [(IN_FLIGHT, url_id, QUEUED) for url_id in batch.in_flight],
        )
        db.executemany(
            "UPDATE urls SET state = ?, not_before = ?, reason = ?, tries = tries + 1 WHERE id = ?",
            [(QUEUED, when, reason, url_id) for url_id, when, reason in batch.retries],
        )
        db.executemany(
            "UPDATE urls SET state = ?, not_before = ? WHERE id = ?",
            [(QUEUED, when, url_id) for url_id, when in batch.postponed],
        )
        for state, moved in ((FAILED, batch.failed), (EXCLUDED, batch.excluded)):
            db.executemany(
                "UPDATE urls SET state = ?, reason = ?, tries = tries + 1 WHERE id = ?",
                [(state, reason, url_id) for url_id, reason in moved],
            )

    def _insert_found(self, db: sqlite3.Connection, found: Iterable[FoundUrl]) -> tuple[int, int]:
        """Queue what is new; a pattern's budget decides here, where newness is known."""
        new = excluded = 0
        grown: set[str] = set()
        for each in found:
            key = url_key(each.url)
            if db.execute("SELECT 1 FROM urls WHERE key = ?", (key,)).fetchone():
                continue
            reason = each.exclude or self._spend_budget(db, each, grown)
            self._insert(db, each, key, EXCLUDED if reason else QUEUED, reason or None)
            new += 1
            excluded += bool(reason)
        db.executemany(
            "INSERT OR REPLACE INTO patterns VALUES (?, ?)",
            [(pattern, self._patterns[pattern]) for pattern in grown],
        )
        return new, excluded

    def _insert(
        self, db: sqlite3.Connection, each: FoundUrl, key: bytes, state: int, reason: str | None
    ) -> int:
        host_id = self._host_id(db, each.origin)
        (url_id,) = db.execute(
            "INSERT INTO urls (url, key, host_id, state, kind, depth, hops, via_id, reason)"
            " VALUES (?,?,?,?,?,?,?,?,?) RETURNING id",
            (
                each.url,
                key,
                host_id,
                state,
                each.kind,
                each.depth,
                each.hops,
                each.via_id,
                reason,
            ),
        ).fetchone()
        return int(url_id)

    def _spend_budget(self, db: sqlite3.Connection, each: FoundUrl, grown: set[str]) -> str:
        if each.kind not in (Kind.PAGE, Kind.ASSET):
            return ""
        shape = pattern_of(each.url)
        if shape is None:
            return ""
        pattern, kind = shape
        if len(self._patterns) > 50_000:
            self._patterns = {known: self._patterns[known] for known in grown}
        if pattern not in self._patterns:
            row = db.execute("SELECT found FROM patterns WHERE pattern = ?", (pattern,)).fetchone()
            self._patterns[pattern] = row[0] if row else 0
        budget = budget_for(kind)
        if self._patterns[pattern] >= budget:
            return f"trap: more than {budget} URLs like {pattern}"
        self._patterns[pattern] += 1
        grown.add(pattern)
        return ""

    def _host_id(self, db: sqlite3.Connection, origin: str) -> int:
        if origin not in self._hosts:
            db.execute("INSERT OR IGNORE INTO hosts (origin) VALUES (?)", (origin,))
            row = db.execute("SELECT id FROM hosts WHERE origin = ?", (origin,)).fetchone()
            self._hosts[origin] = row[0]
        return self._hosts[origin]

    def _note_hosts(self, db: sqlite3.Connection, batch: Batch) -> None:
        for origin, status, body, at in batch.robots:
            db.execute(
                "UPDATE hosts SET robots_status = ?, robots_body = ?, robots_at = ? WHERE id = ?",
                (status, body, at, self._host_id(db, origin)),
            )
        for origin in batch.dns_recorded:
            host_id = self._host_id(db, origin)
            db.execute("UPDATE hosts SET dns_recorded = 1 WHERE id = ?", (host_id,))
        db.executemany(
            "INSERT INTO out_of_scope VALUES (?, ?, ?)"
            " ON CONFLICT (host, rule) DO UPDATE SET found = found + excluded.found",
            [(host, rule, count) for (host, rule), count in batch.out_of_scope.items()],
        )
        db.executemany(
            "INSERT INTO remarks VALUES (?, ?)"
            " ON CONFLICT (what) DO UPDATE SET found = found + excluded.found",
            batch.remarks.items(),
        )
        db.executemany("INSERT OR REPLACE INTO redirects VALUES (?, ?)", batch.redirects)

    def _add_counts(self, batch: Batch, found: int, excluded: int) -> None:
        done = sum(c.url_id is not None for c in batch.captures)
        revisits = sum(c.kind == "revisit" for c in batch.captures)
        gone = done + len(batch.failed) + len(batch.excluded)
        before = self.counts
        self.counts = Counts(
            found=before.found + found,
            queued=before.queued + found - excluded - gone,
            in_flight=0,
            done=before.done + done,
            failed=before.failed + len(batch.failed),
            excluded=before.excluded + excluded + len(batch.excluded),
            captures=before.captures + done - revisits,
            revisits=before.revisits + revisits,
            bytes_written=before.bytes_written + sum(c.span_length for c in batch.captures),
        )

    # -- questions -------------------------------------------------------------------------

    def ask(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question that another module of this room owns."""
        return self._reader.execute(query, values).fetchall()

    def count(self) -> Counts:
        """The counts as the tables hold them: the arithmetic that `complete` must pass."""
        states = dict(self._reader.execute("SELECT state, count(*) FROM urls GROUP BY state"))
        kinds = dict(
            self._reader.execute(
                "SELECT kind, count(*) FROM captures WHERE url_id IS NOT NULL GROUP BY kind"
            )
        )
        size = self._reader.execute("SELECT coalesce(sum(span_length), 0) FROM captures")
        return Counts(
            found=self._reader.execute("SELECT count(*) FROM urls").fetchone()[0],
            queued=states.get(QUEUED, 0),
            in_flight=states.get(IN_FLIGHT, 0),
            done=states.get(DONE, 0),
            failed=states.get(FAILED, 0),
            excluded=states.get(EXCLUDED, 0),
            captures=kinds.get("response", 0),
            revisits=kinds.get("revisit", 0),
            bytes_written=size.fetchone()[0],
        )

    def ready(self, origin: str, now: float, limit: int) -> list[QueuedUrl]:
        """The next URLs of a host that may be fetched now, best first."""
        rows = self._reader.execute(
            "SELECT urls.id, url, kind, depth, hops, tries FROM urls"
            " JOIN hosts ON hosts.id = host_id"
            " WHERE origin = ? AND state = 0 AND (not_before IS NULL OR not_before <= ?)"
            " ORDER BY kind, urls.id LIMIT ?",
            (origin, now, limit),
        )
        return [QueuedUrl(row[0], row[1], Kind(row[2]), *row[3:]) for row in rows]

    def waiting_origins(self) -> list[str]:
        """The hosts that have queued URLs, now or later."""
        rows = self._reader.execute(
            "SELECT origin FROM hosts WHERE EXISTS"
            " (SELECT 1 FROM urls WHERE host_id = hosts.id AND state = 0)"
        )
        return [row[0] for row in rows]

    def next_not_before(self) -> float | None:
        """When the earliest postponed URL may be fetched; None when nothing is queued."""
        row = self._reader.execute(
            "SELECT min(coalesce(not_before, 0)) FROM urls WHERE state = 0"
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def robots(self, origin: str) -> tuple[int | None, bytes, float] | None:
        """The host's robots.txt as it was last fetched: (status, body, when); None if never."""
        row = self._reader.execute(
            "SELECT robots_status, robots_body, robots_at FROM hosts"
            " WHERE origin = ? AND robots_at IS NOT NULL",
            (origin,),
        ).fetchone()
        return (row[0], row[1], row[2]) if row else None

    def dns_is_recorded(self, origin: str) -> bool:
        """Whether a DNS record of this host is in a confirmed part of a segment."""
        row = self._reader.execute(
            "SELECT dns_recorded FROM hosts WHERE origin = ?", (origin,)
        ).fetchone()
        return bool(row and row[0])

    def payload(self, digest: str) -> tuple[str, str, str | None] | None:
        """The first response with this payload: (URL, captured_at, record id), or None."""
        row = self._reader.execute(
            "SELECT urls.url, captured_at, record_id FROM captures JOIN urls ON urls.id = url_id"
            " WHERE payload_digest = ? AND captures.kind = 'response' LIMIT 1",
            (digest,),
        ).fetchone()
        return (row[0], row[1], row[2]) if row else None

    def excluded_reasons(self, limit: int = 100) -> list[tuple[str, int]]:
        """Why URLs were left out, with counts, most frequent first."""
        return self._reader.execute(
            "SELECT reason, count(*) AS n FROM urls WHERE state = 4"
            " GROUP BY reason ORDER BY n DESC LIMIT ?",
            (limit,),
        ).fetchall()


def url_key(url: str) -> bytes:
    """The first 16 bytes of the URL's SHA-256: what makes it unique in the frontier."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:16]


def _capture_row(capture: Capture, segment: str) -> tuple[object, ...]:
    return (
        capture.url_id,
        capture.kind,
        segment,
        capture.span_offset,
        capture.span_length,
        capture.records,
        capture.record_offset,
        capture.record_length,
        capture.record_id,
        capture.status,
        capture.mime,
        capture.payload_digest,
        capture.payload_bytes,
        capture.captured_at,
        capture.truncated,
    )


def _fenced(held: int, ours: int) -> LeaseLost:
    return LeaseLost(f"Attempt {held} has the frontier now; attempt {ours} writes nothing more.")
