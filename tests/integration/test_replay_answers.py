"""What a replayed page is answered: the records that a gathering has made, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from healtharchive.crawl.browser.proxy import Canned, ProxyRequest
from healtharchive.crawl.browser.recorded import Recorded, SampledPage
from healtharchive.crawl.survey import KeptFrontier
from healtharchive.crawl.transport import FetchFailed
from tests.lab.gathering import ANSWERS, BIG, Attempt, run
from tests.lab.proxied import CHUNKED, CHUNKS
from tests.lab.raw_site import OK, RawSite, ok
from tests.lab.replaying import OnDisk

SENT = b'{"words": "fever"}'
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
SITE = ANSWERS | {
    "/letters": ok(LETTERS),
    "/chunked": CHUNKED + CHUNKS,
    "/first": ok(b"the first asset", "text/x-first"),
    "/same": ok(b"the first asset", "text/plain", "X-Other: 1"),
    "/same-chunked": OK
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\nthe f\r\na\r\nirst asset\r\n0\r\n\r\n",
}


def request(url: str, method: str = "GET", body: bytes = b"", **fields: str) -> ProxyRequest:
    named = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return ProxyRequest(method, url, named, body)


async def said(answerer: Recorded, asked: ProxyRequest) -> bytes:
    """The answer, head and body; of one of our own, its status."""
    answer = await answerer.answer(asked)
    if isinstance(answer, Canned):
        return str(answer.status).encode()
    with closing(answer.body):
        return answer.response_head + answer.body.read()


Check = Callable[[Recorded, RawSite, OnDisk], Awaitable[None]]


def _as_it_is(_: OnDisk) -> None:
    return


def replaying(
    directory: Path,
    recorded: list[tuple[str, str, bytes, str]],
    check: Check,
    spoil: Callable[[OnDisk], None] = _as_it_is,
) -> None:
    """Have these requests (method, path, content, range) recorded, end the site, then check.

    `spoil` comes between, with the job's files in its hands.
    """
    site = RawSite(dict(SITE))

    async def record(parts: Attempt, _: RawSite) -> None:
        gathering = parts.gathering()
        for method, path, body, part in [*recorded, ("GET", "/", b"", "")]:
            fields = {"Range": part} if part else {}
            answer = await gathering.answer(request(site.url + path, method, body, **fields))
            if not isinstance(answer, Canned):
                answer.body.close()
        await gathering.close()
        page = gathering.exchange  # which is left to whoever visits the page
        assert page is not None
        await parts.ledger.append(*parts.recorder.records(parts.page.id, page))
        page.body.close()
        await parts.finish()

    run(directory, record, site)
    asked = len(site.asked)
    records = OnDisk(directory / "warcs")
    spoil(records)

    async def main() -> None:
        with closing(KeptFrontier(directory / "frontier.sqlite")) as frontier:
            (row,) = frontier.ask(
                "SELECT url, captures.id, segment, span_offset, record_offset FROM captures"
                " JOIN urls ON urls.id = url_id WHERE url = ?",
                (f"{site.url}/",),
            )
            async with asyncio.timeout(30):
                answerer = Recorded(SampledPage(*row), frontier, records, directory)
                await check(answerer, site, records)
        assert len(site.asked) == asked

    asyncio.run(main())


def test_what_was_recorded_is_answered_byte_for_byte(tmp_path: Path) -> None:
    paths = ("/a", "/big", "/chunked", "/moved", "/letters")

    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        for path in (*paths, "/"):
            assert await said(answerer, request(site.url + path)) == SITE[path]
        assert len(SITE["/big"]) > len(BIG) > 1_000_000
        # Another spelling of the same URL, and a browser that would know it already.
        assert await said(answerer, request(f"{site.url}/%61", If_None_Match="x")) == SITE["/a"]
        assert answerer.missing == {}

    replaying(tmp_path, [("GET", path, b"", "") for path in paths], check)


def test_a_revisit_is_answered_with_its_own_head_and_the_payload_of_its_original(
    tmp_path: Path,
) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        assert await said(answerer, request(f"{site.url}/same")) == SITE["/same"]
        chunked = await said(answerer, request(f"{site.url}/same-chunked"))
        head = SITE["/same-chunked"].partition(b"\r\n\r\n")[0]
        assert chunked == head + b"\r\n\r\nf\r\nthe first asset\r\n0\r\n\r\n"
        assert answerer.missing == {}

    asked = [("GET", path, b"", "") for path in ("/a", "/same", "/same-chunked")]
    replaying(tmp_path, asked, check)


def test_a_revisit_of_an_earlier_edition_is_answered_where_that_is_at_hand(tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}

    def forget(records: OnDisk) -> None:
        """As if the first of the two were a capture of another job."""
        with closing(sqlite3.connect(records.directory.parent / "frontier.sqlite")) as database:
            query = "FROM captures WHERE mime = 'text/x-first'"
            columns = "payload_digest, segment, record_offset, record_length"
            digest, *place = database.execute(f"SELECT {columns} {query}").fetchone()
            kept[digest] = records.at(*place)
            database.execute(f"DELETE {query}")
            database.commit()

    async def check(answerer: Recorded, site: RawSite, records: OnDisk) -> None:
        assert await said(answerer, request(f"{site.url}/same")) == b"503"
        assert "earlier edition" in answerer.out_of_reach
        assert answerer.missing == {}
        records.elsewhere.update(kept)
        assert await said(answerer, request(f"{site.url}/same")) == SITE["/same"]

    asked = [("GET", "/first", b"", ""), ("GET", "/same", b"", "")]
    replaying(tmp_path, asked, check, forget)


def test_a_post_is_answered_by_the_record_of_the_same_post_only(tmp_path: Path) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        api = f"{site.url}/api"
        assert await said(answerer, request(api, "POST", SENT)) == SITE["POST /api"]
        for other in (
            request(api, "POST", b"{}"),
            request(api, "PUT", SENT),
            request(f"{api}?x", "POST", SENT),
        ):
            assert await said(answerer, other) == b"404"
        assert [each.method for each in answerer.missing.values()] == ["POST", "PUT", "POST"]
        assert {each.why for each in answerer.missing.values()} == {"no such request was recorded"}

    replaying(tmp_path, [("POST", "/api", SENT, "")], check)


@pytest.mark.parametrize(
    ("part", "expected", "span"),
    [
        ("bytes=0-", LETTERS, "0-25/26"),
        ("bytes=3-5", b"def", "3-5/26"),
        ("bytes=20-99", b"uvwxyz", "20-25/26"),
        ("bytes=-2", b"yz", "24-25/26"),
    ],
)
def test_a_part_is_cut_from_the_whole(
    tmp_path: Path, part: str, expected: bytes, span: str
) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        head, _, body = (
            await said(answerer, request(f"{site.url}/letters", Range=part))
        ).partition(b"\r\n\r\n")
        assert body == expected
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 206 Partial Content"
        assert f"Content-Range: bytes {span}".encode() in lines
        assert f"Content-Length: {len(expected)}".encode() in lines
        assert answerer.missing == {}

    replaying(tmp_path, [("GET", "/letters", b"", "")], check)


def test_a_part_of_what_came_in_chunks_and_a_part_that_is_not_there(tmp_path: Path) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        part = await said(answerer, request(f"{site.url}/chunked", Range="bytes=4-6"))
        assert part.endswith(b"\r\n\r\no w")
        assert b"chunked" not in part
        for beyond in ("bytes=99-", "bytes=9-2", "bytes=-0"):
            assert await said(answerer, request(f"{site.url}/letters", Range=beyond)) == b"416"
        several = await said(answerer, request(f"{site.url}/letters", Range="bytes=0-1,4-5"))
        assert several == SITE["/letters"]

    asked = [("GET", "/chunked", b"", ""), ("GET", "/letters", b"", "")]
    replaying(tmp_path, asked, check)


def test_a_part_that_was_recorded_is_answered_as_it_was(tmp_path: Path) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        known = await said(answerer, request(f"{site.url}/ranged", Range="bytes=0-3"))
        assert known == SITE["/ranged"]
        assert await said(answerer, request(f"{site.url}/ranged", Range="bytes=4-")) == b"404"

    replaying(tmp_path, [("GET", "/ranged", b"", "bytes=0-3")], check)


def test_what_is_not_recorded_is_counted_once_with_what_became_of_it(tmp_path: Path) -> None:
    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        for _times in range(2):
            asked = request(f"{site.url}/b", Sec_Fetch_Dest="script")
            assert await said(answerer, asked) == b"404"
        assert answerer.missing_count == 1
        (missing,) = answerer.missing.values()
        assert (missing.url, missing.purpose) == (f"{site.url}/b", "script")
        assert missing.why == "never found"

    replaying(tmp_path, [], check)


def test_a_record_that_is_damaged_is_missing_and_one_that_is_away_is_not(tmp_path: Path) -> None:
    def damage(records: OnDisk) -> None:
        (segment,) = records.directory.glob("*.warc.gz")
        with closing(sqlite3.connect(records.directory.parent / "frontier.sqlite")) as database:
            offset, length = database.execute(
                "SELECT record_offset, record_length FROM captures JOIN urls ON urls.id = url_id"
                " WHERE url LIKE '%/a'"
            ).fetchone()
        raw = bytearray(segment.read_bytes())
        raw[offset + length // 2] ^= 0xFF
        segment.write_bytes(raw)

    async def check(answerer: Recorded, site: RawSite, records: OnDisk) -> None:
        assert await said(answerer, request(f"{site.url}/a")) == b"404"
        (missing,) = answerer.missing.values()
        assert "its record cannot be used" in missing.why
        assert await said(answerer, request(f"{site.url}/b")) == SITE["/b"]
        assert answerer.out_of_reach == ""
        for segment in records.directory.glob("*.warc.gz"):
            segment.unlink()
        assert await said(answerer, request(f"{site.url}/b")) == b"503"
        assert answerer.missing_count == 1
        assert "is not here" in answerer.out_of_reach

    asked = [("GET", "/a", b"", ""), ("GET", "/b", b"", "")]
    replaying(tmp_path, asked, check, damage)


def test_the_page_stays_where_it_is_and_no_stream_begins(tmp_path: Path) -> None:
    frame = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}

    async def check(answerer: Recorded, site: RawSite, _: OnDisk) -> None:
        assert await said(answerer, request(f"{site.url}/a", **frame)) == b"204"
        answers = [await said(answerer, request(f"{site.url}/", **frame)) for _times in range(5)]
        assert answers == [SITE["/"]] * 4 + [b"204"]
        with pytest.raises(FetchFailed):
            await answerer.answer(request(f"{site.url}/events", Accept="text/event-stream"))
        assert answerer.missing == {}

    replaying(tmp_path, [("GET", "/a", b"", "")], check)
