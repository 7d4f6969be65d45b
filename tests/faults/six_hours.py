"""The incident's own night in six simulated hours: `make night`.

05:45Z all is well. 06:17:10Z the box's server goes, and with it the mount of phac and cihr.
06:28:02Z somebody's automation stops the worker. 12:20Z the server is back. Nobody does anything.
Printed: what people were told, what was done automatically, the claims of each hour, and the
drafted incident document.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from healtharchive import __version__
from healtharchive.steward import incident
from healtharchive.steward.incident_records import gather
from healtharchive.work.signals import StopSignal
from tests.lab import mounts
from tests.lab.processes import kill
from tests.lab.receiver import Receiver, receiving
from tests.lab.simulated_night import ON_BOX, SimulatedNight, simulated
from tests.lab.workers import settings_for

DAY = datetime(2026, 1, 24, tzinfo=UTC)
FAULT = DAY + timedelta(hours=6, minutes=17, seconds=10)
STOPPED = DAY + timedelta(hours=6, minutes=28, seconds=2)
BACK = DAY + timedelta(hours=12, minutes=20)
END = DAY + timedelta(hours=12, minutes=50)
TURN_SECONDS = 60.0
CLOSE_SECONDS = 15.0  # between turns where something happens
CLOSE = timedelta(minutes=3)
SOMEBODY = StopSignal(
    "SIGTERM",
    pid=4711,
    uid=0,
    user="root",
    command="systemctl stop healtharchive-worker.service",
    unit="healtharchive-storage-hotpath-auto-recover.service",
)
# How careful the product is by itself; only the looks are rarer, for the sake of real time, and
# how full this machine's own disk is does not matter.
SETTINGS = {
    "probe_every_seconds": 60,
    "lease_seconds": 300,
    "heartbeat_seconds": 10,
    "park_first_seconds": 30,
    "retry_delay_seconds": 60,
    "starts_per_hour": 6,
    "worker_jobs": 3,
    "spool_warn_percent": 98,
    "spool_soft_percent": 99,
    "spool_full_percent": 100,
    "spool_days_warn": 0.1,
}
DONE = """SELECT at, subject, subject_id, what, outcome, why FROM actions
          WHERE what NOT LIKE 'alert_%' AND at >= ? ORDER BY id"""
CLAIMS = """SELECT sources.code, strftime('%H', attempts.started_at) FROM attempts
            JOIN archive_jobs ON archive_jobs.id = attempts.job_id
            JOIN sources ON sources.id = archive_jobs.source_id"""
JOBS = """SELECT sources.code, status, retry_count, urls_done FROM archive_jobs
          JOIN sources ON sources.id = archive_jobs.source_id ORDER BY archive_jobs.id"""


@dataclass
class Course:
    """What the night left."""

    messages: list[dict[str, str]]
    done: list[tuple[str, ...]]
    claims: Counter[tuple[str, str]]
    jobs: list[tuple[str, str, int, int]]
    pages_at: dict[str, dict[str, int]] = field(default_factory=dict)
    worker_starts: list[datetime] = field(default_factory=list)
    stopped_at: datetime = STOPPED
    document: str = ""


def live(directory: Path) -> Course:
    """The night from its beginning to its end; nobody looks at it."""
    with receiving() as people, _night(directory, people) as night:
        pages_at = {}
        night.until(FAULT, TURN_SECONDS)
        pages_at["fault"] = _pages(night)
        night.server.end()
        kill(night.sshfs_pid())
        night.until(FAULT + CLOSE, CLOSE_SECONDS)
        night.until(STOPPED, TURN_SECONDS)
        night.worker.end(SOMEBODY)
        stopped_at = night.now
        night.until(stopped_at + CLOSE, CLOSE_SECONDS)
        night.until(BACK, TURN_SECONDS)
        pages_at["back"] = _pages(night)
        with mounts.again(night.server):
            night.until(END, TURN_SECONDS)
            pages_at["end"] = _pages(night)
            return replace(_course(night, people, pages_at), stopped_at=stopped_at)


def verdicts(course: Course) -> list[str]:
    """What must not have happened, and did."""
    wrong = []
    if len(course.messages) != 2:
        wrong.append(f"{len(course.messages)} messages were sent instead of 2")
    wrong += [
        f"{source} was claimed {number} times between {hour}:00 and {hour}:59"
        for (source, hour), number in course.claims.items()
        if number > SETTINGS["starts_per_hour"]
    ]
    wrong += [f"{code} spent {retries} retries" for code, _, retries, _ in course.jobs if retries]
    fault, back, end = (course.pages_at[each] for each in ("fault", "back", "end"))
    if back["hc"] - fault["hc"] < 15_000:
        wrong.append(f"hc only captured {back['hc'] - fault['hc']} pages while the box was away")
    wrong += [
        f"{code} did not go on when the box was back" for code in ON_BOX if end[code] <= back[code]
    ]
    again = course.worker_starts[1:]
    if len(again) != 1 or again[0] > course.stopped_at + timedelta(seconds=60):
        wrong.append(f"the worker was started again at {[f'{each:%H:%M:%S}' for each in again]}")
    for word in ("errno 107", SOMEBODY.unit, "4711", "Status: draft"):
        if word not in course.document:
            wrong.append(f"the document does not say {word!r}")
    return wrong


def text(course: Course) -> str:
    """All of it for a person."""
    hours = sorted({hour for _, hour in course.claims})
    sources = [code for code, *_ in course.jobs]
    told = [f"--- {each['title']}\n{each['message']}" for each in course.messages]
    return "\n\n".join(
        [
            f"{len(course.messages)} messages:",
            *told,
            f"{len(course.done)} automatic actions:",
            "\n".join("  ".join(str(part) for part in row) for row in course.done),
            "Claims in each hour:",
            _table(
                ["", *(f"{hour}:00" for hour in hours)],
                [[code, *(str(course.claims[code, hour]) for hour in hours)] for code in sources],
            ),
            "Pages:",
            _table(
                ["", *course.pages_at],
                [
                    [code, *(f"{each[code]:,}" for each in course.pages_at.values())]
                    for code in sources
                ],
            ),
            course.document,
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("".join(f"{cell:>9}" for cell in row) for row in (head, *rows))


@contextmanager
def _night(directory: Path, people: Receiver) -> Iterator[SimulatedNight]:
    settings = settings_for(
        directory,
        database_url=f"sqlite:///{directory / 'archive.sqlite'}",
        notify_urls=people.hook,
        **SETTINGS,
    )
    with simulated(directory, settings) as night:
        yield night


def _pages(night: SimulatedNight) -> dict[str, int]:
    return {code: done for code, _, _, done in night.ask(JOBS)}


def _course(night: SimulatedNight, people: Receiver, pages_at: dict[str, dict[str, int]]) -> Course:
    records = gather(
        night.database,
        night.settings,
        DAY + timedelta(hours=6),
        night.now,
        host="lab",
        version=__version__,
    )
    assert records is not None
    return Course(
        messages=[dict(each) for each in people.told],
        done=[tuple(row) for row in night.ask(DONE, f"{FAULT:%Y-%m-%d %H:%M:%S}")],
        claims=Counter((code, hour) for code, hour in night.ask(CLAIMS)),
        jobs=[tuple(row) for row in night.ask(JOBS)],
        pages_at=pages_at,
        worker_starts=list(night.worker.starts),
        document=incident.draft(records),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Live through the night, print it, and exit 1 when something happened that must not."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    directory = Path(tempfile.mkdtemp(prefix="lab-six-hours-"))
    try:
        directory.chmod(0o755)
        course = live(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(text(course))
    wrong = verdicts(course)
    for each in wrong:
        print(f"WRONG: {each}")
    print("The night was as it should be." if not wrong else f"{len(wrong)} things went wrong.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
