"""The container engine under podman: a crawler that really crawls the lab's site, and its WARCs."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from healtharchive.crawl.container.command import relax_words, work_directory
from healtharchive.crawl.container.runner import Runner
from healtharchive.model.orders import Command, CrawlOrder, Report
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
from tests.lab.crawling import committed_urls
from tests.lab.processes import child_running, is_alive, kill, wait_for
from tests.lab.site import Site, serving
from tests.lab.truth import compare, miscounts, warc_files, warcio_check

PAGES = 15
PATIENCE_SECONDS = 3.0  # of the worker after a deadline, before it kills the child


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A tidy site: every page of it is in a right archive."""
    with serving(PAGES, nasty=False) as running:
        yield running


@pytest.fixture
def job_id() -> Iterator[int]:
    """A job's id; its containers are removed in the end."""
    with job() as number:
        yield number


def order_of(site: Site, tmp_path: Path, job_id: int, fence: int = 1) -> CrawlOrder:
    """An order to crawl the site."""
    return order_at(source_at(site.url), tmp_path / "job", job_id, fence)


def frontier_of(order: CrawlOrder) -> Path:
    return Path(order.output_dir) / "frontier.sqlite"


def wait_for_urls(order: CrawlOrder, number: int) -> None:
    """Until so many URLs are done."""
    wait_for(
        lambda: committed_urls(frontier_of(order)) >= number,
        what=f"{number} captured URLs",
        every=0.02,
    )


def assert_right(order: CrawlOrder, site: Site, end: Report) -> None:
    """The job is complete, and its archive is the site: nothing is missing, wrong or twice."""
    assert (end.outcome, end.reason) == ("complete", ""), end
    assert end.counts is not None
    job_dir = Path(order.output_dir)
    assert compare(job_dir, site.truth) == []
    assert miscounts(job_dir, dataclasses.asdict(end.counts)) == []
    assert warcio_check(warc_files(job_dir)) == []
    assert containers(order.job_id) == []


def test_a_whole_crawl_is_the_site_and_the_counts_agree(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    reports = attempt(order, lab_options())
    end = reports[-1]
    assert_right(order, site, end)
    assert end.counts is not None
    assert end.counts.done == len(site.truth.required)
    assert end.evidence["crawler_crawled"] == end.evidence["adopted_pages"]
    assert notes(reports, "found the crawler's directory .tmp")
    assert not (Path(order.output_dir) / "container").exists()


def test_records_are_adopted_readable_and_let_go_while_the_crawler_runs(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = dataclasses.replace(order_of(site, tmp_path, job_id), segment_bytes=60_000)
    tell(order, delay_seconds=0.3)
    work = Path(order.output_dir) / "container"
    modes: set[bool] = set()
    names: set[str] = set()
    captured = []
    options = lab_options(delete_adopted=True, rollover_bytes=60_000)
    with EngineChild(order, options) as child:
        for report in child.stream():
            if report.kind == "progress" and report.counts is not None:
                captured.append(report.counts.done)
                here = list(work.glob(".tmp*/collections/*/archive/*.warc.gz"))
                names.update(path.name for path in here)
                everything = [*work.glob(".tmp*"), *work.glob(".tmp*/collections/*/archive")]
                modes.update(bool(path.stat().st_mode & stat.S_IROTH) for path in everything)
                left = {path.name for path in here}
    assert max(captured) > 0, "nothing was adopted while the crawler ran"
    assert captured == sorted(captured)
    assert True in modes
    assert names - left, "no adopted file was removed while the crawler ran"
    assert_right(order, site, report)


def test_a_stop_keeps_the_deadline_and_the_next_attempt_continues(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.5)
    with EngineChild(order, lab_options()) as child:
        wait_for_urls(order, 10)
        child.tell(Command("stop", reason="the operator asked", deadline_seconds=6.0))
        asked_at = time.monotonic()
        reports = child.all_reports()
        took = time.monotonic() - asked_at
    assert reports[-1].outcome == "stopped"
    assert reports[-1].reason == "the operator asked"
    assert took < 6.0 + PATIENCE_SECONDS
    assert containers(job_id) == []
    before = committed_urls(frontier_of(order))
    assert 10 <= before < len(site.truth.expected)
    tell(order)
    again = dataclasses.replace(order, fence=2)
    reports = attempt(again, lab_options())
    assert notes(reports, "started the container")[0].evidence["resumed"] is True
    assert_right(again, site, reports[-1])


def test_a_crawler_that_ignores_the_signal_is_killed_before_the_deadline(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.2, ignore_term=True)
    with EngineChild(order, lab_options(stop_seconds=90.0)) as child:
        wait_for_urls(order, 3)
        child.tell(Command("stop", reason="enough", deadline_seconds=5.0))
        asked_at = time.monotonic()
        end = child.all_reports()[-1]
    assert end.outcome == "stopped"
    assert time.monotonic() - asked_at < 5.0 + PATIENCE_SECONDS
    assert containers(job_id) == []


def test_the_next_attempt_adopts_the_container_of_a_child_that_was_killed(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.6)
    with EngineChild(order, lab_options()) as child:
        wait_for_urls(order, 5)
        (started,) = containers(job_id)
        kill(child.process.pid)
        child.process.wait(10)
    assert containers(job_id) == [started]
    again = dataclasses.replace(order, fence=2)
    with EngineChild(again, lab_options()) as child:
        reports = child.all_reports()
    adopted = notes(reports, "adopted the container")
    assert [each.evidence["container"] for each in adopted] == [started[:12]]
    assert adopted[0].evidence["started_by_attempt"] == 1
    assert not notes(reports, "started the container")
    assert_right(again, site, reports[-1])


def test_a_crawl_that_was_done_while_nobody_watched_is_harvested(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.1)
    with EngineChild(order, lab_options()) as child:
        (started,) = wait_for(lambda: containers(job_id), what="the container", every=0.02)
        kill(child.process.pid)
        child.process.wait(10)
    ask = ("container", "inspect", "--format", "{{.State.Status}}", started)
    wait_for(lambda: podman(*ask) == "exited", what="the crawler's end")
    again = dataclasses.replace(order, fence=2)
    reports = attempt(again, lab_options())
    assert notes(reports, "which has ended")
    assert not notes(reports, "started the container")
    assert_right(again, site, reports[-1])


def test_a_killed_container_loses_nothing_and_is_continued_in_the_same_attempt(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.6)
    with EngineChild(order, lab_options()) as child:
        wait_for_urls(order, 8)
        (started,) = containers(job_id)
        podman("kill", "--signal", "KILL", started)
        reports = child.all_reports()
    assert [each.evidence["exit_code"] for each in notes(reports, "it was killed")][:1] == [137]
    actions = [each.evidence["action"] for each in notes(reports) if "action" in each.evidence]
    assert actions == ["restart"]
    assert_right(order, site, reports[-1])


def test_child_and_container_killed_together_are_continued_by_the_next_attempt(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, delay_seconds=0.6)
    options = lab_options(save_state_seconds=600)  # it never comes to saving one
    with EngineChild(order, options) as child:
        wait_for_urls(order, 8)
        kill(child.process.pid)
        podman("kill", "--signal", "KILL", *containers(job_id))
        child.process.wait(10)
    again = dataclasses.replace(order, fence=2)
    reports = attempt(again, lab_options())
    assert_right(again, site, reports[-1])


def test_a_lost_lease_leaves_the_container_to_the_next_attempt(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    order = dataclasses.replace(order_of(site, tmp_path, job_id), lease_seconds=8.0)
    tell(order, delay_seconds=1.0)
    end = attempt(order, lab_options())[-1]
    assert end.outcome == "fenced"
    (left,) = containers(job_id)
    assert podman("container", "inspect", "--format", "{{.State.Status}}", left) == "running"


def test_the_limit_of_pages_ends_the_crawl(site: Site, tmp_path: Path, job_id: int) -> None:
    source = source_at(site.url, pages=5)
    order = order_at(source, tmp_path / "job", job_id)
    end = attempt(order, lab_options())[-1]
    assert end.outcome == "limit", end
    assert "limit of" in end.reason
    assert end.counts is not None
    assert 5 <= end.counts.done < len(site.truth.expected)
    assert containers(job_id) == []


def test_an_image_that_is_not_there_is_one_sentence_with_its_cure(
    site: Site, tmp_path: Path, job_id: int
) -> None:
    options = dataclasses.replace(lab_options(), image="localhost/not-there:1")
    end = attempt(order_of(site, tmp_path, job_id), options)[-1]
    assert (end.outcome, end.blame) == ("infra", "host")
    assert "The image localhost/not-there:1 is not there" in end.reason
    assert "podman pull localhost/not-there:1" in end.reason


def test_another_users_files_are_made_readable_by_a_container(tmp_path: Path, job_id: int) -> None:
    order = order_at(source_at("http://127.0.0.1:1"), tmp_path / "job", job_id)
    options = lab_options()
    hidden = work_directory(order) / ".tmpx" / "rec.warc.gz"
    hidden.parent.mkdir(parents=True)
    hidden.touch(0o600)
    hidden.parent.chmod(0o700)
    runner = Runner("podman", "podman", options.runtime)
    said = asyncio.run(runner.relax(None, relax_words(order, options, "podman")))
    assert said.status == 0, said
    assert hidden.stat().st_mode & 0o777 == 0o644
    assert hidden.parent.stat().st_mode & 0o777 == 0o755


def test_no_process_outlives_a_killed_child(site: Site, tmp_path: Path, job_id: int) -> None:
    order = order_of(site, tmp_path, job_id)
    tell(order, stall_after=0, silent=True)  # nothing is written that would end who follows it
    with EngineChild(order, lab_options()) as child:
        log = Path(order.output_dir) / "crawler.log"
        wait_for(
            lambda: log.exists() and log.read_text().count("Stalling as told") == 1,
            what="the silence of the crawler",
        )
        follower = wait_for(lambda: _follower(child.process.pid), what="the log's follower")
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait(10)
        wait_for(lambda: not is_alive(follower), what="the end of the follower", seconds=10)


def _follower(pid: int) -> int | None:
    return child_running(pid, "logs", "--follow")
