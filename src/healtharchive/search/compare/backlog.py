"""The child that compares what was not compared after indexing: one job, at low priority.

It reads {"job_id": N} as one line on stdin, and says on stdout how far it is and how it ended, in
the words of the steward's children. Killed at any instant, the next one goes on where it was.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial

from healtharchive.model.blame import classify
from healtharchive.model.changes import require_unclaimed
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.jobs import get_job
from healtharchive.model.states import JobStatus
from healtharchive.search.compare.edition import Comparer
from healtharchive.search.index import SearchIndex
from healtharchive.settings import load, open_database

NICENESS = 19
SAY_SECONDS = 1.0


def catch_up(job_id: int, alive: Callable[[], None]) -> int:
    """Compare what is not compared yet of a job; how many changes were found.

    LeaseLost when somebody claims the job meanwhile: its own attempt compares it then.
    """
    settings = load()
    database = open_database(settings)
    try:
        if not SearchIndex.exists(settings.search_dir):
            raise SetupError(
                "Nothing can be compared: there is no search index.", "Run `healtharchive rebuild`."
            )
        with database.read() as connection:
            job = get_job(connection, job_id)
        if job.status is not JobStatus.INDEXED:
            raise SetupError(f"Job {job_id} is {job.status} by now.")
        guard = partial(require_unclaimed, job_id=job.id, fence=job.fence)
        comparer = Comparer(database, SearchIndex(settings.search_dir), alive, guard)
        return comparer.compare_job(job.id, job.source_id)
    finally:
        database.dispose()


def main() -> int:
    """Always 0 after its last line, which says how it went."""
    os.nice(NICENESS)
    said_at = float("-inf")

    def alive() -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= SAY_SECONDS:
            said_at = time.monotonic()
            _say(kind="progress", doing="compare")

    job_id = int(json.loads(sys.stdin.readline())["job_id"])
    try:
        _say(kind="done", facts={"changes": catch_up(job_id, alive)})
    except HealthArchiveError as error:
        _say(kind="failed", what=error.what, cure=error.cure)
    except Exception as error:  # the outermost loop of this process
        logging.getLogger(__name__).exception("job %d cannot be compared", job_id)
        _say(kind="failed", what=f"Job {job_id} cannot be compared: {classify(error).reason}.")
    return 0


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
