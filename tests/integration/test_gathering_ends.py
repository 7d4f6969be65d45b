"""A page's traffic when something is refused, breaks or ends: nothing is lost or left behind."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from healtharchive.crawl.batch import QueuedUrl
from healtharchive.crawl.browser.authority import Authority
from healtharchive.crawl.browser.gathering import AT_FAULT
from healtharchive.crawl.browser.proxy import RecordingProxy
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.frontier_schema import DONE, QUEUED
from healtharchive.crawl.transport import FetchFailed
from healtharchive.model.errors import LeaseLost
from tests.lab.gathering import (
    ANSWERS,
    FRAME,
    Attempt,
    accounted,
    body_of,
    holding,
    open_files,
    run,
)
from tests.lab.raw_site import HOST, RawSite, ok, until

# -- refusals and failures -------------------------------------------------------------------------


def test_the_top_frame_stays_where_it_is_and_the_wish_is_noted(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for path in ("/a", "/b?x=1", "/a"):
            assert await body_of(page, site.url + path, **FRAME) == b"204"
        assert await body_of(page, f"{site.url}/api", "POST", **FRAME) == b"204"
        assert page.navigations == [f"{site.url}/a", f"{site.url}/b?x=1"]
        assert site.asked == []
        inner = {**FRAME, "Sec_Fetch_Dest": "iframe"}
        assert await body_of(page, f"{site.url}/a", **inner) == ANSWERS["/a"]
        assert (page.traffic.stayed, page.traffic.recorded) == (4, 1)

    run(tmp_path, scenario)


def test_what_may_not_be_fetched_or_has_no_answer_has_failed_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering(may_fetch=lambda url: "a trap" if "trap" in url else "")
        wanted = {
            f"{site.url}/trap": ("refused", True),
            "http://127.0.0.2:9/": ("refused_address", True),
            f"http://{HOST}:9/": ("connect", False),
        }
        for url, (kind, permanent) in wanted.items():
            with pytest.raises(FetchFailed) as failed:
                await body_of(page, url)
            assert (failed.value.kind, failed.value.permanent) == (kind, permanent)
        with pytest.raises(FetchFailed, match="without an end"):
            await body_of(page, f"{site.url}/a", Accept="text/event-stream")
        assert site.asked == []
        assert (page.traffic.failed, page.fatal) == (4, None)
        assert (await parts.finish()).found == 1

    run(tmp_path, scenario)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), sqlite3.OperationalError("disk")])
def test_an_error_of_the_disk_reaches_whoever_renders(tmp_path: Path, error: Exception) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        def fails(*_: object) -> None:
            raise error

        page = parts.gathering(follow=fails)
        with pytest.raises(FetchFailed) as failed:
            await body_of(page, f"{site.url}/a")
        assert failed.value.kind == "archive"
        with pytest.raises(FetchFailed):
            await body_of(page, f"{site.url}/b")
        assert page.fatal is error
        with pytest.raises(type(error)):
            await page.settled(0.0, asyncio.get_running_loop().time() + 5)
        with pytest.raises(type(error)):
            await page.close()
        assert site.times() == {"GET /a": 1}

    run(tmp_path, scenario)


def test_a_full_disk_under_the_segment_is_fatal(tmp_path: Path) -> None:
    """The segment's file is closed under it, as a disk that fails does."""

    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        await body_of(page, f"{site.url}/a")
        await parts.ledger.commit([])
        segment = parts.ledger._segment
        assert segment is not None
        segment.close()
        with pytest.raises(FetchFailed) as failed:
            await body_of(page, f"{site.url}/b")
        assert failed.value.kind == "archive"
        with pytest.raises(OSError, match="Bad file descriptor"):
            await page.close()
        assert parts.frontier.count().done == 1

    run(tmp_path, scenario)


def test_a_lost_lease_is_fatal_and_admits_nothing(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        def lost() -> None:
            raise LeaseLost("Somebody else has the job.")

        page = parts.gathering()
        parts.ledger._guard = lost
        with pytest.raises(FetchFailed):
            await body_of(page, f"{site.url}/a")
        with pytest.raises(LeaseLost):
            await page.close()
        assert parts.frontier.count().found == 1

    run(tmp_path, scenario)


def test_a_name_that_nothing_can_encode_has_no_address(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for host in ("a..b", "x" * 64 + ".example"):
            with pytest.raises(FetchFailed) as failed:
                await body_of(page, f"http://{host}/x")
            assert (failed.value.kind, failed.value.permanent) == ("dns", True)
        await page.close()
        assert (page.traffic.failed, page.fatal) == (2, None)

    run(tmp_path, scenario)


def test_a_bug_costs_one_request_and_the_crawl_fetches_what_has_no_capture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        async def introduce(origin: str) -> None:
            raise KeyError("before the capture")

        def follow(queued: QueuedUrl, exchange: Exchange) -> None:
            raise KeyError("after the capture")

        page = parts.gathering(introduce=introduce)
        other = parts.gathering(follow=follow)
        for each, path in ((page, "/a"), (other, "/b")):
            with pytest.raises(FetchFailed) as failed:
                await body_of(each, site.url + path)
            assert failed.value.kind == "bug"
        page._means = parts.means
        assert await body_of(page, f"{site.url}/big") == ANSWERS["/big"]
        await page.close()
        await other.close()
        assert (page.fatal, other.fatal) == (None, None)
        assert accounted(page)
        await parts.finish()
        states = parts.states()
        assert (states["/a"], states["/b"], states["/big"]) == (QUEUED, DONE, DONE)
        ((number,),) = parts.frontier.ask("SELECT found FROM remarks WHERE what = ?", (AT_FAULT,))
        assert number == 2

    run(tmp_path, scenario)
    assert "before the capture" in caplog.text
    assert "after the capture" in caplog.text


def test_records_that_were_never_written_are_referred_to_by_no_other(tmp_path: Path) -> None:
    """As when the append is cancelled that they were made for."""

    async def scenario(parts: Attempt, site: RawSite) -> None:
        exchange = await parts.means.transport.fetch(f"{site.url}/a")
        parts.recorder.records(parts.page.id, exchange)
        exchange.body.close()
        page = parts.gathering()
        for path in ("/a", "/twin"):
            await body_of(page, site.url + path)
        await parts.finish()
        assert [each.kind for each in parts.recorded()] == ["response", "revisit"]

    run(tmp_path, scenario, RawSite({**ANSWERS, "/twin": ANSWERS["/a"]}))


# -- ends ------------------------------------------------------------------------------------------


def test_who_asked_may_go_and_the_answer_is_recorded_all_the_same(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        asking = [
            asyncio.create_task(body_of(page, site.url + path)) for path in ("/big", "/big", "/a")
        ]
        await until(lambda: len(site.asked) == 2)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        for event in site.held.values():
            event.set()
        await page.close()
        assert (page.traffic.recorded, page.traffic.kept) == (2, 1)
        assert (await parts.finish()).captures == 2
        assert open_files(parts.spills) == 0

    run(tmp_path, scenario, holding("/big", "/a"))


def test_a_browser_that_dies_in_the_middle_loses_no_capture(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        proxy = RecordingProxy(Authority.create(), page)
        port = await proxy.start()
        for path in ("/a", "/big"):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"GET {site.url}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await until(lambda path=path: f"GET {path}" in site.times())
            writer.transport.abort()
        await proxy.close()
        for event in site.held.values():
            event.set()
        await page.close()
        counts = await parts.finish()
        assert (counts.captures, page.traffic.recorded) == (2, 2)
        blocks = {each.url[len(site.url) :]: each.block for each in parts.recorded()}
        assert blocks == {path: ANSWERS[path] for path in ("/a", "/big")}
        assert open_files(parts.spills) == 0

    run(tmp_path, scenario, holding("/a"))


def test_after_its_end_nothing_is_fetched_and_what_is_late_is_given_up(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        late = asyncio.create_task(body_of(page, f"{site.url}/a"))
        await until(lambda: site.asked)
        await page.close(seconds=0.05)
        for url in (f"{site.url}/a", f"{site.url}/b"):
            with pytest.raises(FetchFailed) as failed:
                await (late if url.endswith("a") else body_of(page, url))
            assert failed.value.kind == "closed"
        assert site.times() == {"GET /a": 1}
        assert accounted(page)
        counts = await parts.finish()
        assert (counts.found, counts.captures) == (1, 0)

    run(tmp_path, scenario, holding("/a"))


def test_a_cancelled_end_waits_for_what_is_being_written_and_for_nothing_else(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        async with parts.ledger._lock:  # as while a commit is at the disk
            writing = asyncio.create_task(body_of(page, f"{site.url}/b"))
            fetching = asyncio.create_task(body_of(page, f"{site.url}/a"))
            await until(lambda: len(site.asked) == 2 and page._writing)
            closing = asyncio.create_task(page.close(seconds=30))
            await asyncio.sleep(0.05)
            for _ in range(3):  # whoever wants to stop may say it more than once
                closing.cancel()
                await asyncio.sleep(0.05)
            assert not closing.done()
            assert not writing.done()
            with pytest.raises(FetchFailed):
                await fetching
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (page.traffic.recorded, page.traffic.failed) == (1, 1)
        assert not page._tasks
        assert await writing == ANSWERS["/b"]
        counts = await parts.finish()
        assert (counts.captures, counts.found) == (1, 2)

    run(tmp_path, scenario, holding("/a"))


def test_it_is_settled_when_nothing_was_under_way_for_a_while(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        loop = asyncio.get_running_loop()
        page = parts.gathering()
        assert await page.settled(0.0, loop.time() + 9)
        asking = asyncio.create_task(body_of(page, f"{site.url}/a"))
        await until(lambda: site.asked)
        assert not await page.settled(0.0, loop.time() + 0.1)
        waiting = asyncio.create_task(page.settled(0.2, loop.time() + 30))
        site.held["/a"].set()
        ended = loop.time()
        await asking
        assert await waiting
        assert loop.time() - ended >= 0.2

    run(tmp_path, scenario, holding("/a"))


def test_no_more_than_six_requests_to_one_origin_are_under_way(tmp_path: Path) -> None:
    paths = [f"/n{number}" for number in range(15)]
    answers = {path: ok(path.encode()) for path in paths}

    async def scenario(parts: Attempt, site: RawSite) -> None:
        pages = (parts.gathering(), parts.gathering())
        asking = [
            asyncio.create_task(body_of(pages[n % 2], site.url + path))
            for n, path in enumerate(paths)
        ]
        await until(lambda: len(site.asked) == 6)
        await asyncio.sleep(0.1)
        assert len(site.asked) == 6
        for event in site.held.values():
            event.set()
        assert await asyncio.gather(*asking) == list(answers.values())
        assert (await parts.finish()).captures == 15

    run(tmp_path, scenario, holding(*paths, answers=answers))
