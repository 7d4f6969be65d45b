"""Hosts that refuse plain HTTP are fetched through the browser, or back for good if that fails."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from healtharchive.crawl.frontier_schema import DONE
from healtharchive.model.orders import CrawlOrder, Report
from healtharchive.warc.companions import TEXT_PREFIX
from tests.lab.archive import Archive
from tests.lab.crawling import USER_AGENT, CrawlChild
from tests.lab.refusing_site import RefusingSite, refusing
from tests.lab.truth import read_captures, warc_files, warcio_check

PAGES = 7
TO_BROWSER = "is fetched through the browser from now on"
TO_HTTP = "is crawled without a browser from now on"


def crawled(site: RefusingSite, directory: Path, **options: int) -> list[Report]:
    """All reports of one attempt, whose counts add up."""
    order = CrawlOrder(
        job_id=1,
        fence=1,
        source=site.source(**options),
        campaign="lab-2026",
        output_dir=str(directory),
        operator="The lab",
        user_agent=USER_AGENT,
        lease_seconds=600.0,
    )
    with CrawlChild(order) as child:
        reports = child.all_reports()
    assert reports[-1].counts is not None
    assert reports[-1].counts.add_up
    return reports


def changes(reports: list[Report]) -> list[str]:
    """What was told of changed engines, in order."""
    told = [each.what for each in reports if each.what.startswith("engine changed: ")]
    return [TO_BROWSER if each.endswith(TO_BROWSER) else TO_HTTP for each in told]


def statuses(directory: Path) -> dict[str, int]:
    """The status of each captured path of the site, each captured once and linked to its URL."""
    found = "SELECT url, status FROM captures JOIN urls ON urls.id = url_id WHERE urls.state = ?"
    path = directory / "frontier.sqlite"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as frontier:
        rows = frontier.execute(found, (DONE,)).fetchall()
    assert len(rows) == len({url for url, _ in rows})
    return {"/" + url.split("/", 3)[3]: status for url, status in rows}


def texts(directory: Path) -> dict[str, str]:
    """The rendered text of each page by its URL."""
    found = {}
    for path in warc_files(directory):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.conversion):
                url = str(record.headers["WARC-Target-URI"]).removeprefix(TEXT_PREFIX)
                found[url] = record.reader.read().decode()
    return found


@pytest.mark.parametrize("manner", ["answers 403", "hangs up"])
def test_a_host_that_refuses_its_only_seed_is_captured_through_the_browser(
    manner: str, tmp_path: Path
) -> None:
    with refusing(RefusingSite(manner, PAGES)) as site:  # type: ignore[arg-type]
        reports = crawled(site, tmp_path)
    assert reports[-1].outcome == "complete"
    assert changes(reports) == [TO_BROWSER]
    # Refused twice by plain HTTP; the last of its three tries was the browser's.
    resent = manner == "hangs up"  # on a new connection, as the kept one seemed to have ended
    assert (site.times("/", browser=False), site.times("/", browser=True)) == (2 + resent, 1)
    for path in site.paths():
        assert (site.times(path, browser=False), site.times(path, browser=True)) == (0, 1)
    # What no browser asked for while it rendered is fetched through it all the same.
    wanted = ["/", "/robots.txt", "/shown.gif", "/large.gif", *site.paths()]
    captured = statuses(tmp_path)
    assert {path: captured.get(path) for path in wanted} == dict.fromkeys(wanted, 200)
    # robots.txt is asked for as ever, and holds.
    assert site.times("/robots.txt", browser=True) == 0
    assert not [each for each in site.asked if each.path.startswith("/private/")]
    assert "words of /guarded/1" in texts(tmp_path)[f"{site.url}/guarded/1"]
    held = Counter(each.url for each in read_captures(warc_files(tmp_path)))
    assert [url for url, number in held.items() if number > 1] == []
    assert warcio_check(warc_files(tmp_path)) == []


@pytest.mark.parametrize("manner", ["answers 403", "hangs up"])
def test_so_many_refused_pages_in_a_row_change_the_engine_of_a_host(
    manner: str, tmp_path: Path
) -> None:
    limit = 3
    with refusing(RefusingSite(manner, PAGES, open_door=True)) as site:  # type: ignore[arg-type]
        reports = crawled(site, tmp_path, refusals=limit)
    assert changes(reports) == [TO_BROWSER]
    captured = statuses(tmp_path)
    refused = [path for path in site.paths() if captured[path] != 200]
    plain = {each.path for each in site.asked if not each.browser} & set(site.paths())
    assert limit <= len(plain) <= limit + 1  # one more may be under way
    # Before it was known that the host refuses them, answers were answers; no answer was none.
    assert len(refused) == (limit - 1 if manner == "answers 403" else 0)


def test_a_page_that_tests_for_browsers_is_what_it_shows_after_the_test(tmp_path: Path) -> None:
    with refusing(RefusingSite("tests", 2)) as site:
        crawled(site, tmp_path)
    assert site.times("/", browser=True) == 2
    captured = statuses(tmp_path)
    assert [captured[path] for path in ("/", *site.paths())] == [200, 200, 200]
    assert "One moment" not in " ".join(texts(tmp_path).values())


@pytest.mark.parametrize("manner", ["answers 403", "hangs up"])
def test_where_the_browser_is_refused_too_plain_http_is_kept_for_good(
    manner: str, tmp_path: Path
) -> None:
    limit, pages = 2, 12
    made = RefusingSite(manner, pages, open_door=True, nobody=True)  # type: ignore[arg-type]
    with refusing(made) as site:
        reports = crawled(site, tmp_path, refusals=limit, failures=limit)
    assert changes(reports) == [TO_BROWSER, TO_HTTP]
    browser = [each for each in site.asked if each.browser and each.path in site.paths()]
    assert limit <= len({each.path for each in browser}) <= limit + 5  # what was under way
    end = reports[-1]
    assert end.counts is not None
    if manner == "answers 403":
        settled = statuses(tmp_path)
        assert [settled.get(path) for path in site.paths()] == [403] * pages
    else:  # a host that is down: its pages wait for the next attempt
        assert (end.outcome, end.blame) == ("infra", "site")
        assert (end.counts.failed, end.counts.queued >= pages) == (0, True)


def test_the_journal_and_the_job_tell_how_a_host_is_fetched(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    with refusing(RefusingSite("answers 403", 2)) as site:
        archive.set_up(site.source_toml())
        archive.run("create-job", "--source", "refusing")
        archive.run("run-db-job", "--id", "1", "--until-settled")
        told = archive.run("why", "job", "1")
        assert f"engine changed: {site.url} {TO_BROWSER}" in told
        assert "plain HTTP was refused 2 times in a row; the last: answered 403" in told
        shown = archive.run("show-job", "--id", "1")
        assert f"fetched through the browser: {site.url} refuses plain HTTP" in shown
        assert archive.job()["quality"] == "COMPLETE"
