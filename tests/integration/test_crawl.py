"""The captured set equals what the site serves: the crawl child against the lab's whole site."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.model.orders import Command, CrawlOrder
from healtharchive.model.source import ScopeRules
from tests.lab.crawling import CrawlChild, crawl, order_for, source_of
from tests.lab.site import OUTSIDE_HOST, Site, serving
from tests.lab.truth import compare, count_with_fastwarc, miscounts, warc_files, warcio_check

PAGES = 60


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(PAGES) as running:
        yield running


@pytest.fixture(scope="module")
def crawled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> CrawlOrder:
    """One whole crawl, which several tests look at."""
    order = order_for(site, tmp_path_factory.mktemp("crawl") / "job")
    end = crawl(order)
    assert (end.outcome, end.reason) == ("complete", "")
    return order


def test_the_captured_set_equals_what_the_site_serves(site: Site, crawled: CrawlOrder) -> None:
    assert compare(Path(crawled.output_dir), site.truth) == []


def test_nothing_outside_the_scope_was_asked_for(site: Site, crawled: CrawlOrder) -> None:
    hosts = {host for *_, host in site.requests()}
    assert hosts
    assert not any(host.startswith(OUTSIDE_HOST) for host in hosts)
    assert not [row for row in site.requests() if row[2].startswith(("/private/", "/excluded/"))]


def test_other_readers_find_nothing_wrong(crawled: CrawlOrder) -> None:
    files = warc_files(Path(crawled.output_dir))
    assert len(files) > 1
    assert warcio_check(files) == []
    counts = count_with_fastwarc(files)
    assert counts["warcinfo"] == len(files)
    assert counts["request"] == counts["response"] + counts["revisit"]
    assert counts["revisit"] > 0


def test_a_second_reader_agrees_with_the_manifest_and_the_jobs_counts(
    crawled: CrawlOrder, tmp_path: Path
) -> None:
    end = crawl(replace(crawled, fence=2))
    assert end.counts is not None
    counts = asdict(end.counts)
    assert miscounts(Path(crawled.output_dir), counts) == []
    assert miscounts(Path(crawled.output_dir), {**counts, "revisits": counts["revisits"] + 1})
    copied = shutil.copytree(Path(crawled.output_dir) / "warcs", tmp_path / "warcs")
    lost = sorted(copied.glob("*.warc.gz"))[0]
    lost.unlink()
    assert any(
        each.startswith(f"{lost.name}: None records") for each in miscounts(tmp_path, counts)
    )


def test_a_second_attempt_of_a_complete_crawl_fetches_nothing(
    site: Site, crawled: CrawlOrder
) -> None:
    before = len(site.requests())
    end = crawl(replace(crawled, fence=3))
    assert end.outcome == "complete"
    assert len(site.requests()) == before
    assert end.counts is not None
    assert end.counts.add_up


def test_a_crawl_asked_to_stop_commits_and_continues_where_it_was(
    site: Site, tmp_path: Path
) -> None:
    order = order_for(site, tmp_path / "job")
    with CrawlChild(order) as child:
        child.wait_for_urls(30)
        child.tell(Command("stop", reason="a test", deadline_seconds=10.0))
        stopped = child.end()
    assert stopped.outcome == "stopped"
    assert stopped.reason == "a test"
    assert stopped.counts is not None
    assert stopped.counts.queued > 0
    assert crawl(replace(order, fence=2)).outcome == "complete"
    assert compare(Path(order.output_dir), site.truth) == []


def test_a_crawl_whose_worker_is_gone_ends_by_itself(site: Site, tmp_path: Path) -> None:
    with CrawlChild(order_for(site, tmp_path / "job")) as child:
        child.wait_for_urls(10)
        child.hang_up()
        end = child.end()
    assert (end.outcome, end.reason) == ("stopped", "the worker is gone")


def test_a_crawl_without_a_renewed_lease_writes_no_more(site: Site, tmp_path: Path) -> None:
    order = order_for(site, tmp_path / "job", lease_seconds=0.5)
    end = crawl(order)
    assert end.outcome == "fenced"
    assert crawl(replace(order, fence=2, lease_seconds=600.0)).outcome == "complete"
    assert compare(Path(order.output_dir), site.truth) == []


def test_a_page_limit_ends_the_crawl_at_that_many_pages(site: Site, tmp_path: Path) -> None:
    order = order_for(site, tmp_path / "job", source=source_of(site.url, pages=10))
    end = crawl(order)
    assert end.outcome == "limit"
    assert "10 pages" in end.reason
    assert end.counts is not None
    assert end.counts.add_up
    assert end.counts.queued > 0


def test_traps_are_bounded_and_reported(crawled: CrawlOrder) -> None:
    end = crawl(replace(crawled, fence=4))
    reasons = [name for name in end.evidence if name.startswith("excluded: ")]
    assert any("trap" in reason for reason in reasons), reasons
    assert any("robots.txt" in reason for reason in reasons), reasons
    assert any(name.startswith("out of scope: ") for name in end.evidence)


def test_a_site_that_does_not_answer_is_the_worlds_fault(tmp_path: Path, site: Site) -> None:
    source = source_of("http://127.0.0.1:9")
    end = crawl(order_for(site, tmp_path / "job", source=source))
    assert end.outcome == "infra"
    assert "does not answer" in end.reason or "robots.txt" in end.reason


def test_a_private_address_is_refused_unless_it_is_allowed_by_name(
    tmp_path: Path, site: Site
) -> None:
    source = replace(source_of(site.url), allow_private_hosts=())
    before = len(site.requests())
    order = order_for(site, tmp_path / "job", source=source)
    for fence in (1, 2):
        end = crawl(replace(order, fence=fence))
        assert end.outcome == "failed"
        assert "a loopback address" in end.reason
        assert end.counts is not None
        assert end.counts.done == 0
    assert len(site.requests()) == before


def test_a_host_name_is_recorded_with_what_it_resolved_to(site: Site, tmp_path: Path) -> None:
    url = site.url.replace("127.0.0.1", "localhost")
    source = replace(
        source_of(url, pages=5),
        scope=ScopeRules(hosts=("localhost",)),
        allow_private_hosts=("localhost",),
    )
    crawl(order_for(site, tmp_path / "job", source=source))
    records = [
        (record.headers["WARC-Target-URI"], record.reader.read())
        for path in warc_files(tmp_path / "job")
        for record in ArchiveIterator(path.open("rb"), record_types=WarcRecordType.resource)
    ]
    assert [uri for uri, _ in records] == ["dns:localhost"]
    assert b"\tIN\tA\t127.0.0.1" in records[0][1]
