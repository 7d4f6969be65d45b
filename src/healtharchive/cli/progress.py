"""How far long work is: a bar on a terminal, plain lines otherwise, both on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from healtharchive.cli import messages
from healtharchive.cli.session import Session

if TYPE_CHECKING:
    from healtharchive.model.jobs import Job

LOOK_SECONDS = 1.0
SAY_SECONDS = 10.0
END_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the work is: in words, and as `settled` of `total` (None: nobody knows yet)."""

    sentence: str
    settled: float = 0
    total: float | None = None


Look = Callable[[], Standing | None]


@contextmanager
def shown(look: Look) -> Iterator[None]:
    """While the block runs, what `look` sees every second is shown; None shows nothing new.

    `look` is asked in a thread of its own.
    """
    ended = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    thread = threading.Thread(target=show, args=(look, ended), daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(END_SECONDS)


def of_job(session: Session, job_id: int) -> Look:
    """How far a job is, as the database knows it."""

    def look() -> Standing | None:
        job = _job(session, job_id)
        if job is None:
            return None
        counts = job.counts
        settled = counts.found - counts.queued - counts.in_flight
        return Standing(sentence(job), settled, counts.found or None)

    return look


def sentence(job: Job) -> str:
    """Where a job stands, in one line."""
    counts = job.counts
    size = messages.size(counts.bytes_written)
    why = f" ({job.parked_reason})" if job.parked_reason else ""
    return f"job {job.id} {job.status}{why}: {counts.done} of {counts.found} URLs, {size}"


def _job(session: Session, job_id: int) -> Job | None:
    from sqlalchemy.exc import DBAPIError

    from healtharchive.model.errors import HealthArchiveError
    from healtharchive.model.jobs import get_job

    try:
        with session.database.read() as connection:
            return get_job(connection, job_id)
    except (HealthArchiveError, DBAPIError):
        return None  # the worker deals with it; a bar can wait


def _bar(look: Look, ended: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        while not ended.wait(LOOK_SECONDS):
            standing = look()
            if standing is not None:
                bar.update(
                    task,
                    description=standing.sentence,
                    total=standing.total,
                    completed=standing.settled,
                )


def _lines(look: Look, ended: threading.Event) -> None:
    said = ""
    while not ended.wait(SAY_SECONDS if said else LOOK_SECONDS):
        standing = look()
        if standing is not None and standing.sentence != said:
            said = standing.sentence
            print(said, file=sys.stderr, flush=True)
