"""A crawler in a container that misbehaves, for real: each fault leads to what the docs say."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from healtharchive.crawl.container import state
from healtharchive.crawl.frontier_schema import QUEUED
from healtharchive.model.orders import CrawlOrder, Report
from healtharchive.model.source import Politeness
from tests.faults import container_kills
from tests.lab.container import (
    EngineChild,
    attempt,
    containers,
    job,
    lab_options,
    notes,
    order_at,
    podman,
    source_at,
    tell,
)
from tests.lab.crawling import crawl
from tests.lab.processes import kill, wait_for
from tests.lab.site import Site, serving
from tests.lab.truth import compare, miscounts

PAGES = 8
SEED = 20260124


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A tidy site, small: most of these crawls are begun more than once."""
    with serving(PAGES, nasty=False) as running:
        yield running


@pytest.fixture
def order(site: Site, tmp_path: Path) -> Iterator[CrawlOrder]:
    """An order to crawl the site; its containers are removed in the end."""
    with job() as job_id:
        yield order_at(source_at(site.url), tmp_path / "job", job_id)


def actions(reports: list[Report]) -> list[tuple[object, object]]:
    """What the rules said about which trouble, in order."""
    told = [each.evidence for each in notes(reports) if "action" in each.evidence]
    return [(each["trouble"], each["action"]) for each in told]


def assert_right(order: CrawlOrder, site: Site, end: Report) -> None:
    """Complete: nothing is missing, wrong or twice, and no container is left."""
    assert (end.outcome, end.reason) == ("complete", ""), end
    assert end.counts is not None
    job_dir = Path(order.output_dir)
    assert compare(job_dir, site.truth) == []
    assert miscounts(job_dir, dataclasses.asdict(end.counts)) == []
    assert containers(order.job_id) == []


def test_a_stalled_crawler_goes_on_with_fewer_workers(site: Site, order: CrawlOrder) -> None:
    tell(order, once=True, stall_after=4)
    reports = attempt(order, lab_options(stall_seconds=6.0, stop_seconds=1.0))
    assert actions(reports) == [("stalled", "fewer_workers")]
    starts = [each.evidence["workers"] for each in notes(reports, "started the container")]
    assert starts == [2, 1]
    assert_right(order, site, reports[-1])


def test_a_crawler_that_always_stalls_is_given_up_for_the_other_engine(
    site: Site, order: CrawlOrder
) -> None:
    tell(order, stall_after=0)
    options = lab_options(stall_seconds=1.5, stop_seconds=0.0, workers=1, restarts=1)
    end = (reports := attempt(order, options))[-1]
    assert actions(reports) == [("stalled", "restart"), ("stalled", "other_engine")]
    assert end.outcome == "failed"
    assert end.evidence["next_engine"] == "http"
    assert containers(order.job_id) == []


@pytest.mark.parametrize(
    ("kind", "action", "outcome"),
    [
        ("network", "back_off", "infra"),
        ("timeout", "back_off", "infra"),
        ("http", "other_engine", "failed"),
    ],
)
def test_pages_that_fail_lead_to_what_is_written_of_their_kind(
    site: Site, order: CrawlOrder, kind: str, action: str, outcome: str
) -> None:
    tell(order, errors=kind, errors_after=3, delay_seconds=0.3)
    more: dict[str, Any] = {"back_offs": 0, "restarts": 0} if kind == "http" else {}
    # With three errors among the pages the rate is reached; the crawl itself would end later.
    limits = {f"{name}_errors": 3 for name in ("network", "timeout", "http")}
    end = (reports := attempt(order, lab_options(workers=1, **limits, **more)))[-1]
    assert actions(reports) == [(kind, action)]
    assert end.outcome == outcome
    assert end.blame == ("site" if outcome == "infra" else "browser")
    seen = end.evidence[f"{kind}_seen"]
    assert isinstance(seen, int)
    assert seen >= 3
    assert end.evidence.get("next_engine") == ("http" if outcome == "failed" else None)
    assert end.counts is not None
    assert end.counts.done > 0
    assert containers(order.job_id) == []


def test_the_other_engine_finds_all_that_the_crawler_knew_and_finishes_the_crawl(
    site: Site, order: CrawlOrder
) -> None:
    alone = Politeness(delay_seconds=0.0, robots="ignore")  # or it would ask for robots.txt too
    order = dataclasses.replace(order, source=dataclasses.replace(order.source, politeness=alone))
    tell(order, stall_after=4, lose_after=2)
    options = lab_options(stall_seconds=5.0, stop_seconds=0.0, workers=1, restarts=0)
    end = attempt(order, options)[-1]
    assert end.evidence["next_engine"] == "http"
    assert end.counts is not None
    assert end.counts.add_up
    saved = state.load(Path(order.output_dir) / state.COPY_NAME)
    with closing(sqlite3.connect(Path(order.output_dir) / "frontier.sqlite")) as db:
        states = dict(db.execute("SELECT url, state FROM urls"))
    assert len(saved.queued) > 1
    assert {*saved.finished, *saved.queued_urls} <= states.keys()
    # One of the pages that it finished left no record: it is as queued as those it never began.
    assert [states[url] for url in saved.finished].count(QUEUED) == 1
    again = dataclasses.replace(order, fence=2)
    assert_right(again, site, crawl(again))


def test_a_torn_record_is_dropped_and_the_crawl_loses_nothing(
    site: Site, order: CrawlOrder
) -> None:
    tell(order, once=True, torn_after=4)
    reports = attempt(order, lab_options())
    (torn,) = notes(reports, "was torn or damaged")
    assert isinstance(torn.evidence["torn_bytes"], int)
    assert torn.evidence["torn_bytes"] > 0
    assert actions(reports) == [("crashed", "restart")]
    assert_right(order, site, reports[-1])


def test_a_broken_state_is_set_aside_and_the_one_before_is_used(
    site: Site, order: CrawlOrder
) -> None:
    tell(order, delay_seconds=0.2)
    with EngineChild(order, lab_options()) as child:
        copy = Path(order.output_dir) / "crawler-state.yaml"
        wait_for(copy.exists, what="the copy of the crawler's state", seconds=30)
        kill(child.process.pid)
        podman("kill", "--signal", "KILL", *containers(order.job_id))
        child.process.wait(10)
    crawls = Path(order.output_dir).glob("container/.tmp*/collections/*/crawls")
    broken = next(crawls) / "crawl-99991231235959-broken.yaml"
    broken.write_text('state:\n  queued:\n    - \'{"url":\n  : [ {')
    tell(order)
    again = dataclasses.replace(order, fence=2)
    reports = attempt(again, lab_options())
    (aside,) = notes(reports, "set aside crawl-99991231235959-broken.yaml")
    assert aside.evidence["reason"]
    assert notes(reports, "started the container")[0].evidence["resumed"] is True
    assert_right(again, site, reports[-1])


def test_a_page_without_a_record_is_crawled_again(site: Site, order: CrawlOrder) -> None:
    tell(order, once=True, lose_after=3)
    reports = attempt(order, lab_options())
    assert notes(reports, "pages have no record yet")
    assert_right(order, site, reports[-1])


def test_a_crawl_whose_counts_do_not_add_up_is_not_called_complete(
    site: Site, order: CrawlOrder
) -> None:
    tell(order, lose_after=3)
    strict = dataclasses.replace(order, source=source_at(site.url, tries=1))
    end = attempt(strict, lab_options())[-1]
    assert end.outcome == "failed"
    assert "the counts do not add up" in end.reason
    finished, adopted = end.evidence["crawler_finished"], end.evidence["adopted_pages"]
    assert f"finished {finished} pages, and {adopted} of them" in end.reason
    assert end.evidence["without_record"] == 1


def test_junk_in_the_log_disturbs_nobody(site: Site, order: CrawlOrder) -> None:
    tell(order, garbage=True)
    assert_right(order, site, attempt(order, lab_options())[-1])


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    """A file system of that size in the place of a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    subprocess.run(mount, check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=10)


def test_a_crawler_that_fills_the_disk_parks_the_job(site: Site, order: CrawlOrder) -> None:
    work = Path(order.output_dir) / "container"
    with small_disk(work, "6m"):
        tell(order, once=True, fill_after=3)
        end = attempt(order, lab_options())[-1]
        assert (end.outcome, end.blame) == ("infra", "host")
        assert "the disk is full" in end.reason
        assert containers(order.job_id) == []
        for filled in work.glob(".tmp*/fill"):
            filled.unlink()
        again = dataclasses.replace(order, fence=2)
        assert_right(again, site, attempt(again, lab_options())[-1])


@pytest.mark.parametrize(
    ("code", "outcome", "blame"),
    [(14, "limit", ""), (16, "infra", "host")],
)
def test_an_exit_code_means_what_the_table_says(
    site: Site, order: CrawlOrder, code: int, outcome: str, blame: str
) -> None:
    tell(order, exit_after=2, exit_code=code)
    end = attempt(order, lab_options())[-1]
    assert (end.outcome, end.blame, end.evidence["exit_code"]) == (outcome, blame, code)
    assert containers(order.job_id) == []


def test_refused_options_are_the_jobs_fault_in_the_crawlers_own_words(
    site: Site, order: CrawlOrder
) -> None:
    end = attempt(order, lab_options(arguments=("--zim-flavour", "none")))[-1]
    assert (end.outcome, end.blame) == ("failed", "job")
    assert "invalid warc2zim params" in end.reason


def test_random_kills_lose_nothing_and_double_nothing() -> None:
    """Each part of a crawl with a real worker is killed once; then it is left alone."""
    assert container_kills.run(len(container_kills.ContainerKillLoop.victims), SEED) == []


def test_a_crawler_that_died_after_its_conmon_is_restarted_at_once(
    site: Site, order: CrawlOrder
) -> None:
    """Found by the loop: podman calls such a container running for ever."""
    tell(order, delay_seconds=0.3)
    with EngineChild(order, lab_options(stall_seconds=60.0)) as child:
        state = Path(order.output_dir)
        (seen,) = wait_for(lambda: container_kills.containers_of(state), what="a container")
        assert seen.conmon is not None
        seen.conmon.kill()
        reports = child.all_reports()
    assert actions(reports) == [("crashed", "restart")]
    assert_right(order, site, reports[-1])


# Says what it is asked; what is to start a container waits until it is told to go on.
SLOW_PODMAN = """#!/bin/sh
echo "$*" >> "{directory}/asked"
case " $* " in *" run "*)
    for each in $(seq 600); do [ -e "{directory}/go" ] && break; sleep 0.1; done
esac
exec {podman} "$@"
"""
LOOK_SECONDS = 2.0  # in which an attempt would look for containers and start its own


def test_a_container_that_a_killed_child_had_begun_to_start_is_adopted(
    site: Site, order: CrawlOrder, tmp_path: Path
) -> None:
    """Or there would be two crawlers, one of them nobody's, even after the end of the crawl."""
    slow = tmp_path / "podman"
    slow.write_text(SLOW_PODMAN.format(directory=tmp_path, podman=shutil.which("podman")))
    slow.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    tell(order, delay_seconds=0.2)

    def asked(word: str, times: int) -> None:
        said = tmp_path / "asked"
        wait_for(lambda: said.exists() and said.read_text().split().count(word) >= times, what=word)

    try:
        with EngineChild(order, lab_options(), env=env) as child:
            asked("run", 1)
            kill(child.process.pid)  # and nobody below it
            child.process.wait(10)
        with EngineChild(dataclasses.replace(order, fence=2), lab_options(), env=env) as child:
            asked("version", 2)
            time.sleep(LOOK_SECONDS)
            (tmp_path / "go").touch()
            reports = child.all_reports()
    finally:
        (tmp_path / "go").touch()
    (adopted,) = notes(reports, "adopted the container")
    assert adopted.evidence["started_by_attempt"] == 1
    assert not notes(reports, "started the container")
    assert_right(order, site, reports[-1])
