"""A page's traffic: fetched once, recorded once, relayed as it came."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healtharchive.crawl.batch import FoundUrl, Kind, QueuedUrl
from healtharchive.crawl.browser.gathering import MOST_FETCHES, MOST_RELOADS
from healtharchive.crawl.browser.kept import Kept
from healtharchive.crawl.browser.proxy import ProxyRequest
from healtharchive.crawl.exchange import Exchange
from healtharchive.crawl.frontier_schema import DONE, EXCLUDED, QUEUED
from healtharchive.crawl.transport import FetchFailed
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
from tests.lab.raw_site import RawSite, ok, until


def test_what_the_browser_asks_for_is_captured_once_and_then_answered_from_what_is_kept(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        url = site.url
        first, second = parts.gathering(), parts.gathering()
        for _ in range(3):
            for path in ("/a", "/big", "/%61"):
                wire = await body_of(first, url + path, Accept="*/*")
                assert wire == site.answers[path.replace("%61", "a")]
        assert await body_of(second, f"{url}/a") == site.answers["/a"]
        assert await body_of(second, f"{url}/b") == site.answers["/b"]
        for each in (first, second):
            await each.close()
            assert accounted(each)
        assert site.times() == {"GET /a": 1, "GET /big": 1, "GET /b": 1}
        assert (first.traffic.recorded, first.traffic.kept) == (2, 7)
        assert first.traffic.bytes == len(site.answers["/a"]) + len(site.answers["/big"])
        counts = await parts.finish()
        assert (counts.done, counts.captures, counts.in_flight) == (3, 3, 1)
        recorded = parts.recorded()
        assert [(each.kind, each.url) for each in recorded] == [
            ("response", f"{url}/a"),
            ("response", f"{url}/big"),
            ("response", f"{url}/b"),
        ]
        assert [each.block for each in recorded] == [ANSWERS[p] for p in ("/a", "/big", "/b")]
        assert open_files(parts.spills) == 0

    run(tmp_path, scenario)


def test_a_url_is_fetched_by_one_of_all_who_ask_at_the_same_time(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        pages = [parts.gathering() for _ in range(3)]
        paths = ("/a", "/missing", "/big")
        asking = [
            asyncio.create_task(body_of(page, site.url + path))
            for path in paths
            for page in pages
            for _ in range(4)
        ]
        await until(lambda: len(site.asked) == 3)
        await asyncio.sleep(0.05)
        for path in paths:
            site.held[path].set()
        wires = await asyncio.gather(*asking)
        assert wires[:12] == [ANSWERS["/a"]] * 12
        assert all(wire.startswith(b"HTTP/1.1 404 ") for wire in wires[12:24])
        assert wires[24:] == [ANSWERS["/big"]] * 12
        assert set(site.times().values()) == {1}
        # What may change soon is for those who waited for it, not for later.
        for path in ("/missing", "/moved", "/moved"):
            await body_of(pages[0], site.url + path)
        assert (site.times()["GET /missing"], site.times()["GET /moved"]) == (1, 2)
        assert pages[0].traffic.repeated == 1
        assert all(accounted(page) for page in pages)
        assert (await parts.finish()).captures == 4
        assert open_files(parts.spills) == 0

    run(tmp_path, scenario, holding("/a", "/missing", "/big"))


def test_who_waits_for_a_fetch_that_was_given_up_fetches_himself(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        first, second = parts.gathering(), parts.gathering()
        one = asyncio.create_task(body_of(first, f"{site.url}/a"))
        await until(lambda: site.asked)
        other = asyncio.create_task(body_of(second, f"{site.url}/a"))
        await asyncio.sleep(0.05)
        await first.close(seconds=0)
        with pytest.raises(FetchFailed) as failed:
            await one
        assert failed.value.kind == "closed"
        site.held["/a"].set()
        assert await other == ANSWERS["/a"]
        assert (first.traffic.failed, second.traffic.recorded) == (1, 1)
        assert (await parts.finish()).captures == 1

    run(tmp_path, scenario, holding("/a"))


def test_an_answer_that_depends_on_who_asks_is_not_given_to_another(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for origin in ("https://a.example", "https://b.example", "https://b.example"):
            await body_of(page, f"{site.url}/by-origin", Origin=origin, Accept_Encoding="br")
        assert site.times() == {"GET /by-origin": 2}
        assert (page.traffic.recorded, page.traffic.repeated, page.traffic.kept) == (1, 1, 1)
        assert (await parts.finish()).captures == 1

    run(tmp_path, scenario)


def test_what_was_longest_unused_is_given_up_and_asked_for_again(tmp_path: Path) -> None:
    paths = [f"/n{number}" for number in range(9)]  # one more than there is room for

    async def scenario(parts: Attempt, site: RawSite) -> None:
        kept = Kept(parts.spills, limit_bytes=100_000)
        page = parts.gathering(kept=kept)
        request = ProxyRequest("GET", f"{site.url}/n1", (), b"")
        reading = [await page.answer(request) for _ in range(2)]
        for path in ("/n0", *paths[2:8], "/n0", "/n8", "/n0", "/big", "/big"):
            assert await body_of(page, site.url + path) == site.answers[path]
            sizes = [each.stat().st_size for each in parts.spills.glob("kept-*")]
            assert sum(sizes) == kept.bytes <= 100_000
        # What is being relayed can be read to its end, though it was given up.
        for answer in reading:
            assert isinstance(answer, Exchange)
            assert answer.response_head + answer.body.read() == site.answers["/n1"]
            answer.body.close()
        for path in ("/n1", "/n0"):
            assert await body_of(page, site.url + path) == site.answers[path]
        times = site.times()
        assert (times["GET /n0"], times["GET /n1"]) == (1, 2)
        assert times["GET /big"] == 2  # too large for this room
        assert (page.traffic.kept, page.traffic.repeated) == (4, 2)
        kept.clear()
        assert (kept.bytes, open_files(parts.spills)) == (0, 0)
        assert not list(parts.spills.iterdir())
        assert (await parts.finish()).captures == len(paths) + 1

    answers = {path: ok(path.encode() * 4_000) for path in paths}
    run(tmp_path, scenario, RawSite({**ANSWERS, **answers}))


def test_the_pages_own_exchange_is_given_each_time_and_is_the_callers(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        exchange = await parts.means.transport.fetch(parts.page.url)
        page = parts.gathering(exchange)
        assert await body_of(page, parts.page.url, **FRAME) == ANSWERS["/"]
        assert site.times() == {"GET /": 1}
        # A page that loads itself anew is what it was, whatever the site says now; not for ever.
        site.answers["/"] = ok(b"<p>another day</p>", "text/html")
        for _ in range(MOST_RELOADS):
            assert await body_of(page, parts.page.url, **FRAME) == ANSWERS["/"]
        assert await body_of(page, parts.page.url, **FRAME) == b"204"
        assert await body_of(page, parts.page.url, Accept="*/*") == ANSWERS["/"]
        assert site.times() == {"GET /": 1}
        await page.close()
        assert exchange.entity() == b"<p>the page</p>"
        assert (page.traffic.given, page.traffic.stayed) == (2 + MOST_RELOADS, 1)
        assert accounted(page)
        await parts.ledger.append(*parts.recorder.records(parts.page.id, exchange))
        exchange.body.close()
        assert (await parts.finish()).captures == 1

    run(tmp_path, scenario)


def test_a_page_that_nobody_fetched_before_is_fetched_once_and_left_to_the_caller(
    tmp_path: Path,
) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        assert page.exchange is None
        for _ in range(2):
            assert await body_of(page, parts.page.url, **FRAME) == ANSWERS["/"]
        await page.close()
        assert site.times() == {"GET /": 1}
        assert "Sec-Fetch-Mode: navigate" in site.of("/").lines()
        assert page.traffic.given == 2
        assert accounted(page)
        assert page.exchange is not None
        assert page.exchange.url == parts.page.url
        await parts.ledger.append(*parts.recorder.records(parts.page.id, page.exchange))
        page.exchange.body.close()
        counts = await parts.finish()
        assert (counts.found, counts.done, len(parts.recorded())) == (1, 1, 1)

    run(tmp_path, scenario)


def test_a_page_that_is_refused_may_load_itself_anew_and_its_last_answer_is_the_page(
    tmp_path: Path,
) -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"

    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for load in range(MOST_FETCHES + 1):
            site.answers["/"] = refusal if load < MOST_FETCHES - 1 else ANSWERS["/"]
            answer = await body_of(page, parts.page.url, **FRAME)
            assert answer == site.answers["/"]
        assert site.times() == {"GET /": MOST_FETCHES}
        await page.close()
        assert page.exchange is not None
        assert page.exchange.status == 200
        page.exchange.body.close()
        refused = parts.gathering()
        site.answers["/"] = refusal
        for _ in range(MOST_FETCHES + 2):
            assert await body_of(refused, parts.page.url, **FRAME) == refusal
        assert site.times() == {"GET /": 2 * MOST_FETCHES}
        await refused.close()
        assert refused.exchange is not None
        refused.exchange.body.close()
        assert open_files(parts.spills) == 0

    run(tmp_path, scenario)


def test_a_page_whose_host_hangs_up_says_why_there_is_no_answer(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        with pytest.raises(FetchFailed):
            await body_of(page, parts.page.url, **FRAME)
        await page.close()
        assert page.exchange is None
        assert page.page_failure is not None
        assert page.page_failure.kind == "disconnect"

    run(tmp_path, scenario, RawSite({"/": b""}, last=frozenset({"/"})))


def test_what_a_capture_leads_to_is_in_the_same_commit_and_the_row_is_the_frontiers(
    tmp_path: Path,
) -> None:
    """An asset the crawl has queued, and the browser asks for first, is the crawl's."""
    followed: list[QueuedUrl] = []

    async def scenario(parts: Attempt, site: RawSite) -> None:
        def follow(queued: QueuedUrl, exchange: Exchange) -> None:
            followed.append(queued)
            assert parts.ledger.batch.captures[-1].url_id == queued.id
            found = FoundUrl(f"{site.url}/from{queued.id}", site.url, Kind.PAGE, 9)
            parts.ledger.batch.found.append(found)

        introduced: list[str] = []

        async def introduce(origin: str) -> None:
            introduced.append(origin)

        queued = FoundUrl(f"{site.url}/a", site.url, Kind.ASSET, 4, hops=2)
        await parts.ledger.commit([])
        parts.ledger.batch.found.append(queued)
        await parts.ledger.commit([])
        page = parts.gathering(follow=follow, introduce=introduce)
        for path in ("/a", "/b"):
            await body_of(page, site.url + path)
        assert [(each.kind, each.depth, each.hops) for each in followed] == [
            (Kind.ASSET, 4, 2),
            (Kind.ASSET, parts.page.depth + 1, 0),
        ]
        assert introduced == [site.url] * 2
        counts = await parts.finish()
        assert (counts.done, counts.queued) == (2, 2)

    run(tmp_path, scenario)


def test_what_the_engine_visits_itself_or_will_try_again_is_left_to_it(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        def why(exchange: Exchange) -> str:
            return "later" if exchange.status == 503 or exchange.truncated else ""

        page = parts.gathering(claim=lambda url_id: False, why_again=why)
        for path in ("/a", "/later", "/cut"):
            assert await body_of(page, site.url + path) == ANSWERS[path]
        assert (page.traffic.recorded, page.traffic.repeated, page.traffic.queued) == (0, 1, 2)
        assert accounted(page)
        counts = await parts.finish()
        assert counts.captures == 0
        states = parts.states()
        assert (states["/later"], states["/cut"]) == (QUEUED, QUEUED)

    run(tmp_path, scenario)


def test_what_is_in_the_archive_already_is_not_recorded_again(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        url = f"{site.url}/a"
        await body_of(parts.gathering(), url)
        parts.means.kept.clear()
        parts.ledger.batch.found.append(
            FoundUrl(f"{site.url}/b", site.url, Kind.PAGE, 1, exclude="a trap")
        )
        await parts.ledger.commit([])
        page = parts.gathering()
        assert await body_of(page, url) == ANSWERS["/a"]
        assert (page.traffic.recorded, page.traffic.repeated) == (0, 1)
        # But what the crawl gave up has no capture: it is recorded as nobody's.
        assert await body_of(page, f"{site.url}/b") == ANSWERS["/b"]
        parts.means.kept.clear()
        assert await body_of(page, f"{site.url}/b") == ANSWERS["/b"]
        assert (page.traffic.recorded, page.traffic.repeated) == (1, 2)
        counts = await parts.finish()
        assert (counts.captures, counts.excluded) == (1, 1)
        assert parts.states()["/a"] == DONE
        assert parts.states()["/b"] == EXCLUDED
        assert [each.url for each in parts.recorded()] == [url, f"{site.url}/b"]

    run(tmp_path, scenario)


def test_other_methods_and_parts_are_recorded_as_no_urls_capture(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        url = f"{site.url}/api"

        async def post(body: bytes) -> None:
            answer = await page.answer(ProxyRequest("POST", url, (("Origin", "null"),), body))
            assert isinstance(answer, Exchange)
            assert answer.entity() == b'{"posted": true}'
            answer.body.close()

        for body in (b"one", b"two", b"one"):
            await post(body)
        for _ in range(2):
            await body_of(page, url, "OPTIONS")
            await body_of(page, f"{site.url}/a", "HEAD")
            await body_of(page, f"{site.url}/ranged", Range="bytes=0-3")
        assert await body_of(page, f"{site.url}/a", Range="bytes=0-3") == ANSWERS["/a"]
        assert await body_of(page, f"{site.url}/a") == ANSWERS["/a"]
        times = site.times()
        assert (times["POST /api"], times["GET /ranged"], times["GET /a"]) == (3, 2, 2)
        assert (page.traffic.recorded, page.traffic.repeated) == (6, 5)
        assert (page.traffic.kept, page.traffic.failed) == (0, 0)
        counts = await parts.finish()
        assert (counts.captures, counts.done) == (1, 1)
        # Of what was asked for in parts only, the crawl fetches the whole.
        assert parts.states() == {"/": 1, "/a": DONE, "/ranged": QUEUED}
        head = ANSWERS["/a"].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert [(each.kind, each.method, each.block) for each in parts.recorded()] == [
            ("response", "POST", ANSWERS["POST /api"]),
            ("response", "POST", ANSWERS["POST /api"]),
            ("response", "OPTIONS", ANSWERS["OPTIONS /api"]),
            ("response", "HEAD", head),
            ("response", "GET", ANSWERS["/ranged"]),
            ("response", "GET", ANSWERS["/a"]),
        ]

    run(tmp_path, scenario)


def test_a_payload_that_was_recorded_under_another_url_is_a_revisit(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for path in ("/a", "/twin"):
            assert await body_of(page, site.url + path) == ANSWERS["/a"]
        # Not so where the answer is no URL's: nobody would look for the original there.
        assert await body_of(page, f"{site.url}/echo", "POST") == ANSWERS["/a"]
        counts = await parts.finish()
        assert (counts.captures, counts.revisits) == (1, 1)
        assert [each.kind for each in parts.recorded()] == ["response", "revisit", "response"]

    same = dict.fromkeys(("/a", "/twin", "POST /echo"), ANSWERS["/a"])
    run(tmp_path, scenario, RawSite(same))


def test_a_redirect_is_a_capture_and_the_browser_follows_it(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        page = parts.gathering()
        for _ in range(2):
            assert await body_of(page, f"{site.url}/moved") == ANSWERS["/moved"]
        assert site.times() == {"GET /moved": 2}
        assert (page.traffic.recorded, page.traffic.repeated) == (1, 1)
        assert (await parts.finish()).captures == 1

    run(tmp_path, scenario)


def test_conditions_are_not_asked_of_the_site(tmp_path: Path) -> None:
    async def scenario(parts: Attempt, site: RawSite) -> None:
        wire = await body_of(parts.gathering(), f"{site.url}/a", If_None_Match='"x"', Accept="*/*")
        assert wire == ANSWERS["/a"]
        assert b"None-Match" not in site.of("/a").head
        assert b"\r\nAccept: */*\r\n" in site.of("/a").head

    run(tmp_path, scenario)
