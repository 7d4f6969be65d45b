"""What a replayed sample came to is part of a job's verdict, until its segments change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from healtharchive.crawl.quality import Thresholds, judge
from healtharchive.model.campaigns import readiness
from healtharchive.model.database import Database
from healtharchive.model.jobs import get_job
from healtharchive.model.journal import read
from healtharchive.model.orders import Counts
from healtharchive.model.replays import Replays, last_replays, segments_digest, store_replays
from healtharchive.model.states import Quality, SegmentState
from healtharchive.model.tables import segments
from healtharchive.model.verdicts import accept_verdict, restate_verdict, store_verdict
from tests.lab.captured import claim_index, completed_job, finish_index
from tests.lab.queue import ACTOR
from tests.unit.test_quality import sound

CAMPAIGN = "annual-2026"
ILL = Replays(10, 7, 0, "https://a.example/ill \0 (text 0.12)")
REASON = "3 of 10 (30.0 %) pages of a sample do not replay, the worst https://a.example/ill"


def indexed(database: Database, root: Path) -> int:
    """An indexed job with a segment, found to be complete; its number."""
    held, order = claim_index(database, completed_job(database, root, campaign=CAMPAIGN))
    with database.begin() as connection:
        store_verdict(
            database, connection, order.job_id, order.fence, Quality.COMPLETE, (), actor=ACTOR
        )
    add_segment(database, order.job_id, "one")
    finish_index(database, held)
    return order.job_id


def add_segment(database: Database, job_id: int, name: str) -> None:
    with database.begin() as connection:
        connection.execute(
            insert(segments).values(
                job_id=job_id,
                name=name,
                state=SegmentState.SEALED,
                path=f"/nowhere/{name}",
                fence=1,
                size_bytes=1,
                sha256=name.ljust(64, "0"),
                records=1,
            )
        )


def keep(database: Database, job_id: int, found: Replays) -> None:
    with database.begin() as connection:
        digest = segments_digest(connection, job_id)
        store_replays(database, connection, job_id, found, digest, actor=ACTOR)


def last(database: Database, job_id: int) -> Replays | None:
    with database.read() as connection:
        return last_replays(connection, job_id)


def restate(database: Database, job_id: int) -> Quality | None:
    """Judge a job that is sound but for its last sample, and store it."""
    verdict = judge(sound(Counts(), replays=last(database, job_id)), Thresholds())
    with database.begin() as connection:
        return restate_verdict(
            database, connection, job_id, verdict.word, verdict.reasons, actor=ACTOR
        )


def is_ready(database: Database) -> bool:
    with database.read() as connection:
        return readiness(connection, CAMPAIGN).ready


def test_a_sample_that_replays_badly_keeps_its_campaign_from_being_ready(
    database: Database, tmp_path: Path
) -> None:
    job_id = indexed(database, tmp_path)
    assert is_ready(database)
    keep(database, job_id, ILL)
    assert restate(database, job_id) is Quality.INCOMPLETE
    with database.read() as connection:
        (reason,) = get_job(connection, job_id).quality_reasons
        told = read(connection, subject="job", subject_id=job_id)[-2:]
    assert reason.startswith(REASON)
    assert [each.what for each in told] == ["replayed", "judged"]
    assert told[0].why.startswith("of 10 pages sampled 7 replay, the worst https://a.example/ill")
    assert not is_ready(database)
    with database.begin() as connection:
        accept_verdict(database, connection, job_id, actor=ACTOR, why="nobody looks there")
    assert is_ready(database)
    assert restate(database, job_id) is Quality.ACCEPTED
    keep(database, job_id, Replays(10, 10))
    assert restate(database, job_id) is Quality.COMPLETE


def test_the_last_sample_counts_until_the_segments_change(
    database: Database, tmp_path: Path
) -> None:
    job_id = indexed(database, tmp_path)
    assert last(database, job_id) is None
    keep(database, job_id, Replays(9, 9))
    keep(database, job_id, ILL)
    kept = last(database, job_id)
    assert kept == replace(ILL, worst=ILL.worst.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    # One of which nothing is known changes nothing, nor does a segment's way to a target.
    keep(database, job_id, Replays(5, 0, 5))
    with database.begin() as connection:
        connection.execute(update(segments).values(state=SegmentState.RELEASED))
    assert last(database, job_id) == kept
    assert last(database, job_id + 1) is None
    add_segment(database, job_id, "two")
    assert last(database, job_id) is None


@pytest.mark.parametrize("held", [True, False])
def test_only_of_an_indexed_job_the_verdict_is_stored_again(
    database: Database, tmp_path: Path, held: bool
) -> None:
    order = completed_job(database, tmp_path, campaign=CAMPAIGN)
    if held:
        claim_index(database, order)
    keep(database, order.job_id, ILL)
    assert restate(database, order.job_id) is None
    with database.read() as connection:
        assert get_job(connection, order.job_id).quality is None
    # Its indexing will go by the sample.
    assert last(database, order.job_id) is not None
