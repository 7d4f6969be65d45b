"""What pages in a browser share is kept for them; what only one of them asked for goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from healtharchive.crawl.browser.kept import Kept
from healtharchive.crawl.exchange import Exchange, SpooledBody


def answer(directory: Path, body: bytes) -> Exchange:
    spooled = SpooledBody(directory)
    spooled.write(body)
    now = datetime(2026, 11, 26, tzinfo=UTC)
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    return Exchange(
        url="http://site.test/",
        request=b"",
        response_head=head,
        body=spooled,
        status=200,
        headers=(),
        chunked=False,
        entity_digest="",
        entity_bytes=len(body),
        block_digest="",
        ip="",
        tls="",
        cipher="",
        started_at=now,
        elapsed_seconds=0.0,
        truncated="",
    )


def test_of_very_many_answers_those_that_are_asked_for_stay(tmp_path: Path) -> None:
    async def keep() -> None:
        kept = Kept(tmp_path, most=5)
        shared = "http://site.test/style.css"
        await kept.put(shared, (), answer(tmp_path, b"body {}"), lasting=True)
        for number in range(20):
            url = f"http://site.test/api/{number}"
            await kept.put(url, (), answer(tmp_path, b"{}"), lasting=True)
            found = kept.get(shared, (), kept.now())
            assert found is not None
            assert found.body.read() == b"body {}"
            found.body.close()
        assert kept.get("http://site.test/api/0", (), kept.now()) is None
        assert len(list(tmp_path.glob("kept-*"))) == 5
        assert kept.bytes == 7 + 4 * 2

    asyncio.run(keep())
