"""A source captured twice: the second job has a page of its own, and revisits of the first."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.orders import IndexOrder
from healtharchive.model.tables import archive_jobs
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.settings import Settings, load
from healtharchive.warc.reader import read_record
from tests.lab import warcs
from tests.lab.captured import (
    FIRST_MOMENT,
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.queue import ACTOR

MEASLES = html_page("Measles", "Children should be vaccinated against measles when they are one.")
IMAGE = random.Random(1).randbytes(700_000)
LATER = FIRST_MOMENT + timedelta(days=300)


@dataclass(frozen=True)
class Editions:
    """Two jobs of the source `lab`, the second in the campaign `annual-2026`, both indexed."""

    settings: Settings
    database: Database
    first: IndexOrder
    second: IndexOrder

    def segments(self, order: IndexOrder) -> list[Path]:
        """A job's WARC files."""
        return sorted((Path(order.output_dir) / "warcs").glob("*.warc.gz"))

    def add(self, order: IndexOrder, path: str) -> Path:
        """One more sealed segment with one page, not indexed yet."""
        serial = len(self.segments(order)) + 1
        page = Page(path, html_page("More", f"Added as {path}."), moment=LATER)
        return add_segment(order, [page_record(page)], serial)

    def index(self, order: IndexOrder) -> None:
        """Index what is not indexed of a job."""
        with self.database.begin() as connection:
            again = update(archive_jobs).where(archive_jobs.c.id == order.job_id)
            connection.execute(again.values(status="completed"))
        index = SearchIndex(self.settings.search_dir)
        held, order = claim_index(self.database, order)
        index_job(order, Tools(self.database, index, ACTOR, lambda _: None, lambda: None))
        finish_index(self.database, held)

    @property
    def environ(self) -> dict[str, str]:
        """For commands: the environment of this archive."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEALTHARCHIVE_")}
        return kept | {
            "HEALTHARCHIVE_DATA_DIR": str(self.settings.data_dir),
            "HEALTHARCHIVE_DATABASE_URL": self.settings.database_url,
            "HEALTHARCHIVE_ENV_FILE": os.devnull,
        }


def editions(database: Database, database_url: str, directory: Path) -> Editions:
    """The two jobs: two segments of the first, one of the second."""
    settings = load(
        {"HEALTHARCHIVE_DATA_DIR": str(directory), "HEALTHARCHIVE_DATABASE_URL": database_url}
    )
    first = completed_job(database, settings.jobs_root, "lab")
    second = completed_job(database, settings.jobs_root, "lab", "annual-2026")
    made = Editions(database=database, settings=settings, first=first, second=second)
    add_segment(first, [page_record(Page("/en/measles", MEASLES))], 1)
    image = Page("/map.png", IMAGE, mime="image/png")
    front = Page("/", html_page("Front", "Welcome to the laboratory."))
    add_segment(first, [page_record(image), page_record(front)], 2)
    revisit = Page("/en/measles", MEASLES, moment=LATER, revisit=True)
    own = Page("/en/mumps", html_page("Mumps", "Mumps is caused by a virus."), moment=LATER)
    again = Page("/en/mumps?again", own.body, moment=LATER, revisit=True)
    add_segment(second, [_refers(revisit), page_record(own), _refers(again, own)], 1)
    for order in (first, second):
        made.index(order)
    return made


def on_sqlite(directory: Path) -> Editions:
    """The same in a new SQLite database."""
    url = f"sqlite:///{directory / 'archive.sqlite'}"
    database = Database(url, "the test")
    schema.upgrade(database)
    return editions(database, url, directory)


def index_of(wacz: zipfile.ZipFile) -> list[tuple[str, str, dict[str, str]]]:
    """Every line of a WACZ's index: its key, moment and facts."""
    found = []
    for line in gzip.decompress(wacz.read("indexes/index.cdx.gz")).decode().splitlines():
        key, moment, facts = line.split(" ", 2)
        found.append((key, moment, json.loads(facts)))
    return found


def expect_right(wacz: zipfile.ZipFile) -> None:
    """Checksums, the digests of the data package, and where the index says that records lie."""
    assert wacz.testzip() is None
    package = json.loads(wacz.read("datapackage.json"))
    listed = {each["path"]: each for each in package["resources"]}
    assert set(listed) == set(wacz.namelist()) - {"datapackage.json", "datapackage-digest.json"}
    for name, each in listed.items():
        data = wacz.read(name)
        assert each["bytes"] == len(data)
        assert each["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    lines = index_of(wacz)
    assert lines == sorted(lines, key=lambda line: line[:2])
    for _, _, facts in lines:
        whole = io.BytesIO(wacz.read(f"archive/{facts['filename']}"))
        record = read_record(whole, int(facts["offset"]), int(facts["length"]))
        assert record.target_uri == facts["url"]


def _refers(page: Page, original: Page | None = None) -> bytes:
    """A revisit that says what it refers to, as our recorder writes it."""
    to = original or Page(page.path, page.body)
    block = f"HTTP/1.1 200 OK\r\nContent-Type: {page.mime}\r\n\r\n".encode()
    about: warcs.Fields = (
        ("WARC-Record-ID", warcs.record_id(f"{page.url} {page.moment}")),
        ("WARC-Date", page.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        ("WARC-Target-URI", page.url),
        ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
        ("WARC-Refers-To-Target-URI", to.url),
        ("WARC-Refers-To-Date", to.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        ("WARC-Block-Digest", warcs.sha256(block)),
        ("WARC-Payload-Digest", warcs.sha256(page.body)),
        ("Content-Type", "application/http; msgtype=response"),
    )
    return warcs.record("revisit", block, about)
