"""A job's segments in its frontier: opened, sealed, and salvaged after an attempt that died."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.frontier_schema import QUEUED
from healtharchive.model.layout import MANIFEST_NAME
from healtharchive.model.orders import SealedSegment
from healtharchive.model.states import SEGMENT_TRANSITIONS, SegmentEvent, SegmentState, step
from healtharchive.warc.digest import sha256_file
from healtharchive.warc.salvage import COPY_SUFFIX, TAKEN_SUFFIX, Salvaged, Span, salvage, take
from healtharchive.warc.segment import OPEN_SUFFIX, OpenSegment, fsync_directory


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of one segment that an earlier attempt left open."""

    name: str
    kept_records: int
    requeued_urls: int


class Segments:
    """The WARC files of a job: `directory` holds them and their manifest.

    Names are unique by attempt: `PREFIX-a{fence}-{serial}.warc.gz`. After a restored database an
    attempt may get a token that was given before: a name that a file or the manifest has is passed
    over. A line of the manifest stays for good: a frontier that was lost does not take it along.
    """

    def __init__(self, frontier: Frontier, directory: Path, prefix: str) -> None:
        self.frontier = frontier
        self.directory = directory
        self.prefix = prefix
        self._serial = 0
        directory.mkdir(parents=True, exist_ok=True)
        self._listed = _listed_in(directory / MANIFEST_NAME)

    def open_next(self) -> OpenSegment:
        """A new segment. The frontier knows of it before the file exists."""
        name = self._next_name()
        while self._is_taken(name):
            name = self._next_name()
        with self.frontier.fenced() as db:
            db.execute(
                "INSERT INTO segments (name, fence, serial, state) VALUES (?,?,?,?)",
                (name, self.frontier.fence, self._serial, SegmentState.OPEN),
            )
        return OpenSegment(self.directory, name)

    def _next_name(self) -> str:
        self._serial += 1
        return f"{self.prefix}-a{self.frontier.fence}-{self._serial:05d}.warc.gz"

    def _is_taken(self, name: str) -> bool:
        """Whether it names what another attempt wrote, though its file may be elsewhere by now."""
        if name in self._listed:
            return True
        ends = ("", OPEN_SUFFIX, TAKEN_SUFFIX, COPY_SUFFIX)
        return any(os.path.lexists(self.directory / f"{name}{end}") for end in ends)

    def seal(self, segment: OpenSegment, at: datetime) -> SealedSegment:
        """Seal a segment whose every record is confirmed.

        The rename happens inside the fenced transaction: a later attempt cannot take the frontier
        between the check and the rename. A crash after it is finished by `recover`.
        """
        with self.frontier.fenced() as db:
            sha256 = segment.publish()
            self._mark_sealed(db, segment.name, sha256, segment.size_bytes, segment.records, at)
        segment.close()
        self.write_manifest()
        return next(each for each in self.sealed() if each.name == segment.name)

    def sealed(self) -> tuple[SealedSegment, ...]:
        """Every sealed segment of the job, oldest first."""
        rows = self.frontier.ask(
            "SELECT name, fence, confirmed_bytes, sha256, records, sealed_at FROM segments"
            " WHERE state = 'sealed' ORDER BY fence, serial"
        )
        return tuple(
            SealedSegment(
                name=name,
                path=str(self.directory / name),
                fence=fence,
                size_bytes=size,
                sha256=sha256,
                records=records,
                sealed_at=sealed_at,
            )
            for name, fence, size, sha256, records, sealed_at in rows
        )

    def write_manifest(self) -> None:
        """Write the manifest anew: one JSON line a sealed segment, replaced atomically.

        Lines that the frontier knows nothing of are those of attempts before it: they come first.
        """
        lines = {**self._listed, **{each.name: _line(each) for each in self.sealed()}}
        path = self.directory / MANIFEST_NAME
        # The fence in the name keeps a stale attempt's half-written copy apart from ours.
        fresh = path.with_name(f"{MANIFEST_NAME}.a{self.frontier.fence}")
        with fresh.open("w", encoding="utf-8") as stream:
            stream.writelines(line + "\n" for line in lines.values())
            stream.flush()
            os.fsync(stream.fileno())
        with self.frontier.fenced():
            os.rename(fresh, path)
        fsync_directory(self.directory)

    # -- after an attempt that died ----------------------------------------------------------

    def recover(self, at: datetime) -> list[Recovery]:
        """Bring every segment that an earlier attempt left open to a sealed one, or to nothing.

        Idempotent: a recovery that is killed in the middle is finished by the next one.
        """
        left_open = self.frontier.ask(
            "SELECT name, confirmed_bytes FROM segments WHERE state = 'open' ORDER BY fence, serial"
        )
        recovered = [self._recover_one(name, confirmed, at) for name, confirmed in left_open]
        if recovered:
            self.write_manifest()
            self.frontier.counts = self.frontier.count()
        return recovered

    def _recover_one(self, name: str, confirmed_bytes: int, at: datetime) -> Recovery:
        final = self.directory / name
        taken = take(self.directory, name)
        spans = self._spans(name)
        if taken is None and spans and _has_size(final, confirmed_bytes):
            # Killed between the rename and the commit of a seal: nothing is missing.
            sha256, size = sha256_file(final)
            records = sum(span.records for span in spans)
            with self.frontier.fenced() as db:
                self._mark_sealed(db, name, sha256, size, records, at)
            return Recovery(name, records, 0)
        if taken is None or not spans:
            # What has its final name here is another's, and stays.
            return self._forget(name, taken, spans)
        result = salvage(taken, final, spans)
        requeued = self._keep_salvaged(name, result, at)
        taken.unlink(missing_ok=True)
        return Recovery(name, result.records, requeued)

    def _spans(self, name: str) -> list[Span]:
        rows = self.frontier.ask(
            "SELECT id, span_offset, span_length, records FROM captures"
            " WHERE segment = ? ORDER BY span_offset",
            (name,),
        )
        return [Span(*row) for row in rows]

    def _forget(self, name: str, taken: Path | None, spans: Sequence[Span]) -> Recovery:
        """The file is gone, or nothing in it was ever confirmed."""
        with self.frontier.fenced() as db:
            requeued = _requeue(db, spans)
            db.execute("DELETE FROM segments WHERE name = ?", (name,))
        if taken is not None:
            taken.unlink(missing_ok=True)
        return Recovery(name, 0, requeued)

    def _keep_salvaged(self, name: str, result: Salvaged, at: datetime) -> int:
        with self.frontier.fenced() as db:
            requeued = _requeue(db, result.lost)
            db.executemany(
                "UPDATE captures SET record_offset = record_offset - span_offset + ?,"
                " span_offset = ? WHERE id = ?",
                [(span.offset, span.offset, span.id) for span in result.moved],
            )
            self._mark_sealed(db, name, result.sha256, result.size_bytes, result.records, at)
        return requeued

    @staticmethod
    def _mark_sealed(
        db: sqlite3.Connection,
        name: str,
        sha256: str,
        size_bytes: int,
        records: int,
        at: datetime,
    ) -> None:
        (state,) = db.execute("SELECT state FROM segments WHERE name = ?", (name,)).fetchone()
        sealed = step(SEGMENT_TRANSITIONS, SegmentState(state), SegmentEvent.SEAL)
        db.execute(
            "UPDATE segments SET state = ?, sha256 = ?, confirmed_bytes = ?, records = ?,"
            " sealed_at = ? WHERE name = ?",
            (sealed, sha256, size_bytes, records, at.isoformat(), name),
        )


def _requeue(db: sqlite3.Connection, lost: Sequence[Span]) -> int:
    """Send the URLs of lost records back to the queue, and those that only refer to them."""
    requeued = 0
    for span in lost:
        row = db.execute(
            "SELECT url_id, payload_digest FROM captures WHERE id = ? AND kind = 'response'",
            (span.id,),
        ).fetchone()
        doomed = [(span.id,)]
        if row and row[1]:
            doomed += db.execute(
                "SELECT id FROM captures WHERE kind = 'revisit' AND payload_digest = ?", (row[1],)
            ).fetchall()
        for (capture_id,) in doomed:
            changed = db.execute(
                "UPDATE urls SET state = ? WHERE id ="
                " (SELECT url_id FROM captures WHERE id = ? AND url_id IS NOT NULL)",
                (QUEUED, capture_id),
            )
            requeued += changed.rowcount
            db.execute("DELETE FROM captures WHERE id = ?", (capture_id,))
    return requeued


def _line(sealed: SealedSegment) -> str:
    """What the manifest says of a segment."""
    return json.dumps(
        {
            "name": sealed.name,
            "size_bytes": sealed.size_bytes,
            "sha256": sealed.sha256,
            "records": sealed.records,
            "sealed_at": sealed.sealed_at,
            "fence": sealed.fence,
        }
    )


def _listed_in(manifest: Path) -> dict[str, str]:
    """The lines that a manifest has, by the names in them; none when it is not there."""
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {str(json.loads(line)["name"]): line for line in lines}


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.exists() and path.stat().st_size == size_bytes
