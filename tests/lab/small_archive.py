"""A whole small archive: a SQLite database, one campaign, and a WARC file made by hand."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, update

from healtharchive.model import schema
from healtharchive.model.campaigns import create_campaign
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor
from healtharchive.model.source import ScopeRules, Seed, SourceDefinition
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, captures, segments, snapshots
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.query import microseconds
from healtharchive.settings import Settings, load
from healtharchive.warc.cdxj import CdxLine, cdxj_lines
from tests.lab import warcs

ACTOR = Actor("lab", os.getpid(), "lab")
SITE = "http://example.org"
CAMPAIGN = "annual-2026"
MOMENT = datetime(2026, 11, 23, 10, 11, 12, 345678, tzinfo=UTC)  # as in `warcs`


@dataclass(frozen=True, slots=True)
class Exchange:
    """One capture to write: what was asked for and what came back."""

    path: str
    body: bytes
    mime: str = "text/html; charset=utf-8"
    status: str = "200 OK"
    more: warcs.Fields = ()  # header fields of the response
    title: str = ""  # a page with a title is indexed
    language: str = ""
    text: str = ""

    @property
    def url(self) -> str:
        return SITE + self.path


@dataclass(frozen=True, slots=True)
class SmallArchive:
    """The archive, and the capture's id by the path it was asked for."""

    settings: Settings
    database: Database
    warc: Path
    job_id: int
    ids: dict[str, int]


def build(directory: Path, exchanges: list[Exchange], database_url: str = "") -> SmallArchive:
    """An archive of these exchanges in a job that is captured and indexed; on SQLite by default."""
    settings = load(
        {
            "HEALTHARCHIVE_DATA_DIR": str(directory),
            "HEALTHARCHIVE_DATABASE_URL": database_url
            or f"sqlite:///{directory / 'archive.sqlite'}",
        }
    )
    database = Database(settings.database_url)
    schema.upgrade(database)
    job_id = _job(database, directory)
    warc = directory / f"lab-{CAMPAIGN}-job{job_id}-a1-00001.warc.gz"
    warcs.write(warc, [warcs.warcinfo(), *(_record(each) for each in exchanges)])
    lines = list(cdxj_lines(warc))
    ids = _store(database, job_id, warc, exchanges, lines)
    _index(settings, exchanges, lines, ids)
    return SmallArchive(settings, database, warc, job_id, ids)


def _job(database: Database, directory: Path) -> int:
    source = SourceDefinition(
        code="lab",
        name="The Lab & Friends",
        seeds=(Seed(SITE + "/", "en"),),
        scope=ScopeRules(hosts=("example.org",)),
    )
    with database.begin() as connection:
        upsert_source(database, connection, source, actor=ACTOR)
        _, jobs = create_campaign(
            database,
            connection,
            "annual",
            2026,
            jobs_root=str(directory / "jobs"),
            actor=ACTOR,
            sources=["lab"],
        )
        connection.execute(
            update(archive_jobs)
            .where(archive_jobs.c.id == jobs[0].id)
            .values(
                status=JobStatus.INDEXED,
                urls_done=8,
                urls_failed=1,
                urls_queued=1,
                captures_written=8,
                bytes_written=51_240_000,
            )
        )
    return jobs[0].id


def _record(exchange: Exchange) -> bytes:
    fields = (("Content-Type", exchange.mime), *exchange.more)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    block = f"HTTP/1.1 {exchange.status}\r\n{head}\r\n".encode() + exchange.body
    kind = "application/http; msgtype=response"
    digest = (("WARC-Payload-Digest", warcs.sha256(exchange.body)),)
    return warcs.record(
        "response", block, warcs.common(exchange.url, exchange.url, block, kind) + digest
    )


def _store(
    database: Database, job_id: int, warc: Path, exchanges: list[Exchange], lines: list[CdxLine]
) -> dict[str, int]:
    with database.begin() as connection:
        segment = connection.execute(
            insert(segments).values(
                job_id=job_id,
                name=warc.name,
                state="sealed",
                path=str(warc),
                fence=1,
                size_bytes=warc.stat().st_size,
                sha256=hashlib.sha256(warc.read_bytes()).hexdigest(),
                records=1 + len(exchanges),
                sealed_at=MOMENT,
                unreadable_records=0,
            )
        ).inserted_primary_key
        assert segment is not None
        ids: dict[str, int] = {}
        for exchange, line in zip(exchanges, lines, strict=True):
            key = connection.execute(
                insert(captures).values(segment_id=segment[0], **_capture(job_id, exchange, line))
            ).inserted_primary_key
            assert key is not None
            ids[exchange.path] = int(key[0])
            if exchange.title:
                connection.execute(
                    insert(snapshots).values(capture_id=key[0], **_snapshot(job_id, exchange, line))
                )
    return ids


def _capture(job_id: int, exchange: Exchange, line: CdxLine) -> dict[str, object]:
    return {
        "job_id": job_id,
        "source_id": 1,
        "record_offset": line.offset,
        "record_length": line.length,
        "record_type": line.record_type,
        "url": line.url,
        "url_key": line.url_key,
        "captured_at": MOMENT,
        "status_code": line.status,
        "mime": line.mime,
        "payload_digest": line.digest,
        "payload_bytes": len(exchange.body),
    }


def _snapshot(job_id: int, exchange: Exchange, line: CdxLine) -> dict[str, object]:
    return {
        "job_id": job_id,
        "source_id": 1,
        "campaign_id": 1,
        "url": line.url,
        "url_key": line.url_key,
        "captured_at": MOMENT,
        "status_code": line.status,
        "mime": line.mime,
        "title": exchange.title,
        "language": exchange.language or None,
        "text_chars": len(exchange.body),
        "payload_digest": line.digest,
    }


def _index(
    settings: Settings, exchanges: list[Exchange], lines: list[CdxLine], ids: dict[str, int]
) -> None:
    """Make what has a title searchable."""
    SearchIndex(settings.search_dir).put(
        IndexedPage(
            key=f"{line.filename}:{line.offset}",
            page=f"lab {line.url_key}",
            edition=f"{CAMPAIGN} lab {line.url_key}",
            url=line.url,
            source="lab",
            campaign=CAMPAIGN,
            language=exchange.language,
            kind="html",
            mime=line.mime or "",
            status=line.status or 0,
            digest=line.digest or "",
            captured=microseconds(MOMENT),
            capture_id=ids[exchange.path],
            snapshot_id=ids[exchange.path],
            title=exchange.title,
            text=exchange.text,
        )
        for exchange, line in zip(exchanges, lines, strict=True)
        if exchange.title
    )
