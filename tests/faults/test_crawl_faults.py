"""The crawl child under kill -9, a full disk and a failing fsync: same captured set at the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.model.orders import CrawlOrder
from tests.lab.crawling import CrawlChild, committed_urls, crawl, order_for
from tests.lab.injection import Failure, command, injected
from tests.lab.mounts import resize, tmpfs
from tests.lab.processes import kill
from tests.lab.site import Site, serving
from tests.lab.truth import compare, warc_files, warcio_check

PAGES = 60
KILLS = 12
SEED = 20260124


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES) as running:
        yield running


def finish(order: CrawlOrder, site: Site) -> None:
    """Let the next attempt complete the crawl, and compare."""
    end = crawl(order)
    assert (end.outcome, end.reason) == ("complete", "")
    assert compare(Path(order.output_dir), site.truth) == []
    assert warcio_check(warc_files(Path(order.output_dir))) == []


def test_killed_at_random_moments_it_loses_no_url_and_records_none_twice(
    site: Site, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    order = order_for(site, tmp_path / "job", commit_seconds=0.05)
    for fence in range(1, KILLS + 1):
        with CrawlChild(replace(order, fence=fence)) as child:
            time.sleep(chance.uniform(0.2, 1.2))
            kill(child.process.pid)
            child.process.wait(10)
    finish(replace(order, fence=KILLS + 1), site)


def test_row_19_a_full_disk_ends_the_attempt_as_the_hosts_fault_and_loses_nothing(
    site: Site, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with tmpfs(spool, "2m"):
        order = order_for(site, spool / "job")
        end = crawl(order)
        assert end.outcome == "infra"
        assert end.errno == 28
        resize(spool, "200m")
        finish(replace(order, fence=2), site)


def test_row_18_a_share_of_the_disk_is_left_free(site: Site, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with tmpfs(spool, "20m"):
        order = order_for(site, spool / "job", spool_full_percent=5.0)
        end = crawl(order)
        assert (end.outcome, end.errno) == ("infra", 28)
        finish(replace(order, fence=2, spool_full_percent=100.0), site)


@pytest.mark.parametrize("when", ["3", "9+", "13"])
def test_row_20_a_failing_fsync_is_never_trusted_again(
    site: Site, tmp_path: Path, when: str
) -> None:
    order = order_for(site, tmp_path / "job", commit_seconds=0.05)
    log = tmp_path / "strace.log"
    end = crawl(order, prefix=command(Failure("fsync", "EIO", when), (), log))
    assert injected(log) > 0
    assert end.outcome == "infra"
    assert end.errno == 5
    frontier = Path(order.output_dir) / "frontier.sqlite"
    confirmed = committed_urls(frontier)
    finish(replace(order, fence=2), site)
    assert confirmed < committed_urls(frontier)  # what was not confirmed was fetched again


def test_a_stopped_attempt_that_wakes_up_late_writes_nothing(site: Site, tmp_path: Path) -> None:
    """SIGSTOP past the lease: the later attempt ends the old process and finishes the job."""
    order = order_for(site, tmp_path / "job", commit_seconds=0.05)
    with CrawlChild(order) as stopped:
        stopped.wait_for_urls(10)
        kill(stopped.process.pid, 19)
        finish(replace(order, fence=2), site)
        files = {path.name: path.stat().st_mtime_ns for path in warc_files(tmp_path / "job")}
        kill(stopped.process.pid, 18)
        assert stopped.process.wait(10) != 0
    assert {p.name: p.stat().st_mtime_ns for p in warc_files(tmp_path / "job")} == files
    assert compare(tmp_path / "job", site.truth) == []
