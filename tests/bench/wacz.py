"""The virtual WACZ of a 20 GB job: how soon its first byte comes, and how much memory it takes.

The segments are sparse files, so nothing of what is measured is their disk: `make bench ONLY=wacz`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from sqlalchemy import Connection, insert, update

from healtharchive.model import schema
from healtharchive.model.database import Database
from healtharchive.model.tables import archive_jobs, captures, segments, snapshots
from tests.lab.archive import Archive, tail
from tests.lab.captured import completed_job
from tests.lab.processes import wait_for
from tests.lab.reader import served

SEGMENTS = 20
SEGMENT_BYTES = 1_000_000_000
CAPTURES_A_SEGMENT = 10_000
PAGES_A_SEGMENT = 2_000
ASKED = 60
STREAMED_BYTES = 2_000_000_000
MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PREPARE_SECONDS = 300.0
# What is promised: the median of each kind of request, and memory that does not follow the size.
FIRST_BYTE_SECONDS = 0.1
FLAT_BYTES = 64_000_000  # more while gigabytes are streamed than before
JOB = "/api/wacz/job/1.wacz"


@dataclass(frozen=True)
class Measured:
    """Seconds to the first byte by what was asked for, and memory in bytes while it streamed."""

    prepare_seconds: float
    first_byte: dict[str, list[float]]
    idle_bytes: int
    most_bytes: int
    streamed_per_second: float
    size_bytes: int


def broken(found: Measured) -> str:
    """Which promise the figures break; empty when they keep all."""
    for name, each in found.first_byte.items():
        if statistics.median(each) >= FIRST_BYTE_SECONDS:
            return f"the first byte of {name} took {statistics.median(each):.3f} s in the median"
    more = found.most_bytes - found.idle_bytes
    return f"{more / 1e6:.0f} MB more memory while it streamed" if more > FLAT_BYTES else ""


def wacz_table(found: Measured) -> str:
    """The figures as a table."""
    rows = "".join(
        f"| first byte, {name} | {statistics.median(each) * 1000:.0f} ms "
        f"| {max(each) * 1000:.0f} ms |\n"
        for name, each in found.first_byte.items()
    )
    megabytes = found.idle_bytes / 1e6, found.most_bytes / 1e6
    return (
        f"One job of {SEGMENTS} sparse segments, {found.size_bytes / 1e9:.1f} GB in all, with "
        f"{SEGMENTS * CAPTURES_A_SEGMENT:,} index lines. Its WACZ was prepared, from the asking to "
        f"the first answer, in {found.prepare_seconds:.1f} s; once for each state of a job, and "
        "by the index child before anybody asks.\n\n"
        f"| | median of {ASKED} | worst |\n| --- | ---: | ---: |\n{rows}\n"
        f"Resident memory of the server and its reading children: {megabytes[0]:.0f} MB before, "
        f"at most {megabytes[1]:.0f} MB while {STREAMED_BYTES / 1e9:.0f} GB were streamed at "
        f"{found.streamed_per_second / 1e6:.0f} MB/s.\n"
    )


def measure() -> Measured:
    """Make the job, serve it, and ask."""
    with tempfile.TemporaryDirectory(prefix="bench-wacz-") as directory:
        archive = _archive(Path(directory))
        with (
            served(archive) as addresses,
            httpx.Client(base_url=addresses.site, timeout=60, trust_env=False) as client,
        ):
            began = time.monotonic()
            wait_for(
                lambda: client.head(JOB).status_code == 200,
                what="the WACZ is prepared",
                seconds=PREPARE_SECONDS,
                every=0.1,
            )
            prepared = time.monotonic() - began
            size = int(client.head(JOB).headers["Content-Length"])
            asked = {
                "the whole": None,
                "its directory": f"bytes=-{65_558}",
                "a record": f"bytes={size // 2}-{size // 2 + 50_000}",
            }
            first = {name: list(_first_bytes(client, header)) for name, header in asked.items()}
            idle = _memory()
            most, speed = _stream(client)
            assert speed, tail(archive.data_dir / "serve.log")
    return Measured(prepared, first, idle, most, speed, size)


def _first_bytes(client: httpx.Client, header: str | None) -> Iterator[float]:
    for _ in range(ASKED):
        began = time.monotonic()
        with client.stream("GET", JOB, headers={"Range": header} if header else {}) as answer:
            assert answer.status_code in (200, 206)
            next(answer.iter_raw())
            yield time.monotonic() - began


def _stream(client: httpx.Client) -> tuple[int, float]:
    """Most memory, and bytes a second."""
    got, most, began = 0, 0, time.monotonic()
    looked = 0.0
    with client.stream("GET", JOB) as answer:
        for piece in answer.iter_raw():
            got += len(piece)
            if time.monotonic() - looked > 0.2:
                looked = time.monotonic()
                most = max(most, _memory())
            if got >= STREAMED_BYTES:
                break
    return most, got / (time.monotonic() - began)


def _memory() -> int:
    """Resident bytes of every process below this one."""
    found = 0
    for process in psutil.Process().children(recursive=True):
        try:
            found += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return found


def _archive(directory: Path) -> Archive:
    archive = Archive(directory)
    (directory / "backend.env").touch()
    database = Database(archive.environment["HEALTHARCHIVE_DATABASE_URL"], "the bench")
    schema.upgrade(database)
    order = completed_job(database, directory / "jobs")
    output = Path(order.output_dir)
    (output / "cdx").mkdir()
    with database.begin() as connection:
        connection.execute(update(archive_jobs).values(status="indexed"))
        for number in range(SEGMENTS):
            name = f"lab-crawl-job1-a1-{number + 1:05}.warc.gz"
            with (output / "warcs" / name).open("wb") as sparse:
                sparse.truncate(SEGMENT_BYTES)
            row = {
                "job_id": order.job_id,
                "name": name,
                "state": "sealed",
                "path": str(output / "warcs" / name),
                "fence": 1,
                "size_bytes": SEGMENT_BYTES,
                "sha256": f"{number:064}",
                "crc32": number,
                "records": CAPTURES_A_SEGMENT,
                "sealed_at": MOMENT,
                "indexed_at": MOMENT,
            }
            made = connection.execute(insert(segments).values(**row)).inserted_primary_key
            assert made is not None
            _fill(connection, output, order.job_id, int(made[0]), name)
    database.dispose()
    return archive


def _fill(connection: Connection, output: Path, job_id: int, segment_id: int, name: str) -> None:
    """A segment's index file, and its captures and pages."""
    step = SEGMENT_BYTES // CAPTURES_A_SEGMENT
    lines, rows, pages = [], [], []
    for number in range(CAPTURES_A_SEGMENT):
        key = f"org,example)/{number:06}/{segment_id:04}"
        url = f"https://example.org/{number:06}/{segment_id:04}"
        facts = (
            f'{{"url": "{url}", "mime": "text/html", "status": "200", "digest": "sha256:'
            f'{number:064}", "length": "{step}", "offset": "{number * step}", '
            f'"filename": "{name}"}}'
        )
        lines.append(f"{key} 20260301120000 {facts}\n")
        shared = {"job_id": job_id, "source_id": 1, "url": url, "url_key": key}
        if number < PAGES_A_SEGMENT:
            capture = (segment_id - 1) * CAPTURES_A_SEGMENT + number + 1
            pages.append(
                {**shared, "capture_id": capture, "captured_at": MOMENT, "title": f"Page {number}"}
            )
        rows.append(
            {
                **shared,
                "id": (segment_id - 1) * CAPTURES_A_SEGMENT + number + 1,
                "segment_id": segment_id,
                "record_offset": number * step,
                "record_length": step,
                "record_type": "response",
                "captured_at": MOMENT,
                "status_code": 200,
            }
        )
    (output / "cdx" / name.replace(".warc.gz", ".cdxj")).write_text("".join(lines))
    connection.execute(insert(captures), rows)
    connection.execute(insert(snapshots), pages)
