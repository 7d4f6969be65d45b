"""Bodies on their way: taken in whole, bounded, and given up when their reader is gone."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from healtharchive.web.outgoing import MEMORY_BYTES, Outgoing, Sent
from healtharchive.web.turns import Busy

LARGE = MEMORY_BYTES + 1
SCOPE = {"type": "http", "method": "GET", "path": "/raw/1", "headers": [], "query_string": b""}
FOR_EVER_SECONDS = 600.0


def body(size_bytes: int, ended: list[str] | None = None) -> Generator[bytes, None, None]:
    """A body in pieces, which notes how it ended."""
    try:
        for start in range(0, size_bytes, 100_000):
            yield b"x" * min(100_000, size_bytes - start)
    finally:
        if ended is not None:
            ended.append("closed")


def sent(answer: Sent, take: Callable[[Message], None] | None = None) -> list[Message]:
    """What an answer sends to a reader who takes it, or does with each message as `take` says."""
    messages: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(FOR_EVER_SECONDS)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)
        if take is not None:
            take(message)

    asyncio.run(answer(dict(SCOPE), receive, send))
    return messages


def test_a_body_is_sent_whole_and_its_room_is_given_back() -> None:
    outgoing = Outgoing(most_bytes=LARGE)
    for size_bytes in (0, 1, MEMORY_BYTES, LARGE, LARGE):
        messages = sent(Sent(outgoing.spool(body(size_bytes), "a"), {"Content-Type": "x/y"}))
        assert b"".join(each.get("body", b"") for each in messages) == b"x" * size_bytes
        assert (b"content-length", str(size_bytes).encode()) in messages[0]["headers"]
        assert not messages[-1]["more_body"]


def test_no_more_than_so_many_bytes_are_on_the_disk() -> None:
    outgoing = Outgoing(most_bytes=LARGE + 1)
    first = outgoing.spool(body(LARGE), "a")
    ended: list[str] = []
    with pytest.raises(Busy):
        outgoing.spool(body(LARGE, ended), "b")
    assert ended == ["closed"]
    outgoing.spool(body(MEMORY_BYTES), "b").close()  # a small one takes none of it
    first.close()
    second = outgoing.spool(body(LARGE), "b")
    del second  # forgotten, it gives its room back, too
    outgoing.spool(body(LARGE), "c").close()


def test_one_client_has_a_few_large_bodies_at_a_time() -> None:
    outgoing = Outgoing(most_a_client=2)
    held = [outgoing.spool(body(LARGE), "a") for _ in range(2)]
    with pytest.raises(Busy, match="on their way to a"):
        outgoing.spool(body(LARGE), "a")
    others = [outgoing.spool(body(LARGE), name) for name in ("b", "", "", "")]
    held.pop().close()
    held.append(outgoing.spool(body(LARGE), "a"))
    for each in (*held, *others):
        each.close()


def test_a_body_that_breaks_off_leaves_nothing_behind() -> None:
    outgoing = Outgoing(most_bytes=LARGE)

    def broken() -> Generator[bytes, None, None]:
        yield b"x" * LARGE
        raise EOFError("the reader ended")

    with pytest.raises(EOFError):
        outgoing.spool(broken(), "a")
    outgoing.spool(body(LARGE), "a").close()


def test_a_reader_who_takes_nothing_is_given_up() -> None:
    outgoing = Outgoing(most_bytes=LARGE)
    answer = Sent(outgoing.spool(body(LARGE), "a"), {}, send_seconds=0.05)

    async def never(message: Message | None = None) -> Message:
        if message is not None and message["type"] == "http.response.start":
            return message
        await asyncio.sleep(FOR_EVER_SECONDS)
        raise AssertionError

    async def run() -> None:
        async with asyncio.timeout(20):
            await answer(dict(SCOPE), never, never)  # type: ignore[arg-type]

    asyncio.run(run())
    outgoing.spool(body(LARGE), "a").close()


def test_a_reader_who_hangs_up_ends_the_answer() -> None:
    outgoing = Outgoing(most_bytes=3 * LARGE)

    def hang_up(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("broken pipe")

    with pytest.raises(ClientDisconnect):
        sent(Sent(outgoing.spool(body(3 * LARGE), "a"), {}), hang_up)
    outgoing.spool(body(3 * LARGE), "a").close()


def test_nothing_of_it_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spooled = Outgoing().spool(body(LARGE), "a")
    assert os.listdir(tmp_path) == []
    spooled.close()
