"""What a child is told: the job's own limits over its source's, and room left on the disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from healtharchive.model.attempts import Work
from healtharchive.model.clock import SystemClock
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import Job
from healtharchive.model.source import Limits
from healtharchive.work.means import DATABASE_VARIABLE, Means
from healtharchive.work.order import crawl_order, with_overrides
from tests.lab.queue import source_named
from tests.lab.workers import settings_for

SOURCE = dataclasses.replace(source_named("hc"), limits=Limits(pages=100, depth=9))


def job_with(config: dict[str, object]) -> Job:
    values: dict[str, object] = dict.fromkeys((each.name for each in dataclasses.fields(Job)), None)
    values |= {"id": 7, "source": "hc", "output_dir": "/jobs/hc/x", "config": config}
    return Job(**values)  # type: ignore[arg-type]


def test_a_jobs_own_limits_replace_those_of_its_source_one_by_one() -> None:
    limits = with_overrides(SOURCE, job_with({"limits": {"pages": 5}})).limits
    assert (limits.pages, limits.depth) == (5, 9)
    assert with_overrides(SOURCE, job_with({})) == SOURCE


def test_a_job_may_have_another_engine_than_its_source() -> None:
    assert with_overrides(SOURCE, job_with({"engine": "browser"})).engine == "browser"


def test_limits_that_are_no_numbers_name_the_job() -> None:
    with pytest.raises(BadInput, match="config of job 7"):
        with_overrides(SOURCE, job_with({"limits": {"pages": "many"}}))


def test_an_order_leaves_room_on_the_disk_and_shares_digests_between_editions(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, spool_full_percent=92)
    order = crawl_order(settings, job_with({}), SOURCE, 3)
    assert order.spool_full_percent == 92.0
    assert order.payload_index == str(tmp_path / "jobs" / "hc" / "payloads.sqlite")
    assert (order.fence, order.campaign) == (3, "")


def test_only_an_index_child_is_told_the_database(tmp_path: Path) -> None:
    url = "postgresql://archive:secret@localhost/archive"
    means = Means(
        settings=settings_for(tmp_path, database_url=url),
        database=Database(url),
        clock=SystemClock(),
    )
    assert DATABASE_VARIABLE not in means.environment(Work.CRAWL)
    assert "secret" in means.environment(Work.INDEX)[DATABASE_VARIABLE]
