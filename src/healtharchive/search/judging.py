"""How good a job is that has just been indexed: judged, stored, and told to the journal.

A judgement that cannot be made is one too: REFUSED. It never fails the indexing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from healtharchive.crawl.quality import Thresholds, Verdict, judge, refused
from healtharchive.crawl.survey import survey
from healtharchive.model.blame import classify
from healtharchive.model.captures import responses_with
from healtharchive.model.errors import DatabaseUnavailable, HealthArchiveError, NotFound
from healtharchive.model.holdings import copies_of
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.layout import FRONTIER_NAME, WARCS_NAME
from healtharchive.model.orders import IndexOrder
from healtharchive.model.sources import get_source
from healtharchive.model.states import Quality
from healtharchive.model.verdicts import store_verdict
from healtharchive.search.pipeline import Tools
from healtharchive.search.stored import Stored, fetch_in_child, find

logger = logging.getLogger(__name__)

ORIGINALS_TRIED = 3


def judge_job(order: IndexOrder, tools: Tools) -> Quality:
    """Judge the order's job, whose segments are all indexed; what it counts as from now on.

    LeaseLost when the job has another token by now; database errors pass through, and so does
    what `check` raises.
    """
    tools.check()
    verdict = _verdict(order, tools)
    tools.check()
    with tools.database.begin() as connection:
        return store_verdict(
            tools.database,
            connection,
            order.job_id,
            order.fence,
            verdict.word,
            verdict.reasons,
            actor=tools.actor,
        )


def _verdict(order: IndexOrder, tools: Tools) -> Verdict:
    path = Path(order.state_dir or order.output_dir) / FRONTIER_NAME

    def read(stored: Stored) -> bytes:
        tools.check()
        return record_bytes(stored)

    try:
        with tools.database.read() as connection:
            job = get_job(connection, order.job_id)
            source = get_source(connection, job.source)
            records = JobRecords(connection, job, read)
            evidence = survey(connection, job, source, path, records, indexed=True)
        return judge(evidence, Thresholds())
    except (SQLAlchemyError, DatabaseUnavailable):
        raise  # the attempt is repeated when the database is back
    except Exception as error:  # even our own mistake: what is indexed stays indexed
        tools.check()  # which raises again what it was that ended the reading
        if isinstance(error, HealthArchiveError):
            return refused(error.what)
        logger.exception("job %d cannot be judged", order.job_id)
        return refused(f"it cannot be judged: {classify(error).reason}")


@dataclass(frozen=True, slots=True)
class JobRecords:
    """The records of a job as `survey.Records`, read by `read` wherever they lie."""

    connection: Connection
    job: Job
    read: Callable[[Stored], bytes]

    def at(self, segment: str, offset: int, length: int) -> bytes:
        """See `survey.Records`."""
        path = f"{self.job.output_dir}/{WARCS_NAME}/{segment}"
        return self.read(Stored(path, offset, length, copies_of(self.connection, segment)))

    def holding(self, payload_digest: str) -> bytes:
        """See `survey.Records`."""
        trouble: HealthArchiveError = NotFound("no record of an earlier edition holds it")
        for place in responses_with(self.connection, payload_digest, ORIGINALS_TRIED):
            copies = copies_of(self.connection, Path(place.path).name)
            try:
                return self.read(Stored(place.path, place.offset, place.length, copies))
            except HealthArchiveError as error:
                trouble = error
        raise trouble


def record_bytes(stored: Stored) -> bytes:
    """A record's bytes, for a process that may hang on a dead mount. HealthArchiveError if none."""
    try:
        return b"".join(find(stored, fetch_in_child).raw())
    except OSError as error:
        raise NotFound(f"{Path(stored.path).name}: {classify(error).reason}") from error
