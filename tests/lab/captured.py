"""A job that was captured: its row, and WARC files with a manifest as a crawl leaves them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, select, update

from healtharchive.model.attempts import Ending, Work
from healtharchive.model.database import Database
from healtharchive.model.jobs import create_job
from healtharchive.model.leases import Claim, ClaimTerms, claim, finish
from healtharchive.model.orders import IndexOrder
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JobEvent, JobStatus
from healtharchive.model.tables import archive_jobs, campaigns
from tests.lab import warcs
from tests.lab.queue import ACTOR, source_named

SITE = "https://www.example.org"
FIRST_MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """One response as a server sends it; `body` with its content codings on."""

    path: str
    body: bytes
    mime: str = "text/html; charset=utf-8"
    status: str = "200 OK"
    moment: datetime = FIRST_MOMENT
    more: warcs.Fields = ()
    revisit: bool = False

    @property
    def url(self) -> str:
        return SITE + self.path


def html_page(title: str, text: str, language: str = "en") -> bytes:
    """A small page with a menu and a footer, in UTF-8."""
    return (
        f'<!doctype html><html lang="{language}"><head><title>{title}</title></head><body>'
        f"<nav>Menu Home Contact</nav><main><h1>{title}</h1><p>{text}</p></main>"
        "<footer>Terms of the site</footer></body></html>"
    ).encode()


def page_record(page: Page) -> bytes:
    """The response (or revisit) record of a page."""
    fields = (("Content-Type", page.mime), *page.more) if page.mime else page.more
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    block = f"HTTP/1.1 {page.status}\r\n{head}\r\n".encode()
    block += b"" if page.revisit else page.body
    about: warcs.Fields = (
        ("WARC-Record-ID", warcs.record_id(f"{page.url} {page.moment}")),
        ("WARC-Date", page.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        ("WARC-Target-URI", page.url),
        ("WARC-Block-Digest", warcs.sha256(block)),
        ("WARC-Payload-Digest", warcs.sha256(page.body)),
        ("Content-Type", "application/http; msgtype=response"),
    )
    if not page.revisit:
        return warcs.record("response", block, about)
    refers: warcs.Fields = (
        ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
        ("WARC-Refers-To-Target-URI", page.url),
    )
    return warcs.record("revisit", block, about + refers)


def completed_job(
    database: Database, root: Path, source: str = "lab", campaign: str | None = None
) -> IndexOrder:
    """A job that is captured and waits to be indexed. The order has no token yet."""
    with database.begin() as connection:
        upsert_source(database, connection, source_named(source), actor=ACTOR)
        if campaign is not None:
            known = select(campaigns.c.id).where(campaigns.c.name == campaign)
            if connection.execute(known).scalar() is None:
                now = database.now(connection)
                connection.execute(
                    insert(campaigns).values(name=campaign, kind="annual", created_at=now)
                )
        job = create_job(
            database,
            connection,
            source=source,
            jobs_root=str(root),
            actor=ACTOR,
            campaign=campaign,
        )
        connection.execute(
            update(archive_jobs)
            .where(archive_jobs.c.id == job.id)
            .values(status=JobStatus.COMPLETED)
        )
    (Path(job.output_dir) / "warcs").mkdir(parents=True)
    return IndexOrder(job.id, 0, job.output_dir)


def add_segment(order: IndexOrder, records: Sequence[bytes], serial: int = 1) -> Path:
    """Another sealed segment, in the directory and the manifest of the job."""
    directory = Path(order.output_dir) / "warcs"
    edition = Path(order.output_dir).name.partition("__")[2]
    name = f"{edition}-job{order.job_id}-a1-{serial:05d}.warc.gz"
    path = warcs.write(directory / name, [warcs.warcinfo(), *records])
    list_segment(path, len(records) + 1)
    return path


def list_segment(path: Path, records: int) -> None:
    """Add a file to its directory's manifest."""
    facts = {
        "name": path.name,
        "size_bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "records": records,
        "sealed_at": FIRST_MOMENT.isoformat(),
        "fence": 1,
    }
    with (path.parent / "manifest.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(facts) + "\n")


def claim_index(database: Database, order: IndexOrder) -> tuple[Claim, IndexOrder]:
    """Claim the indexing of a job; the order with its token."""
    terms = ClaimTerms("lab", ACTOR, 600.0, 1000, order.job_id)
    with database.begin() as connection:
        held = claim(database, connection, Work.INDEX, terms)
    assert held is not None
    return held, IndexOrder(order.job_id, held.fence, order.output_dir)


def finish_index(database: Database, held: Claim) -> None:
    """The attempt succeeded."""
    with database.begin() as connection:
        finish(database, connection, held, Ending(JobEvent.INDEX_DONE, "complete"), actor=ACTOR)
