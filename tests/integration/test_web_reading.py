"""Stored records read by children: a dead storage costs one child, never the server."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import insert

from healtharchive.model.holdings import get_holding, payload_holding
from healtharchive.model.tables import captures
from healtharchive.search.stored import Stored
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.web.reading import Readers, ReadOrder, StorageUnavailable
from healtharchive.web.turns import Busy
from tests.lab import warcs
from tests.lab.processes import wait_for
from tests.lab.small_archive import MOMENT, Exchange, build

BODY = b"<p>Page of the site</p>"


def stored(path: Path, number: int) -> Stored:
    """Where the record of this number lies."""
    record = list(read_records(path))[number]
    assert isinstance(record, WarcRecord)
    return Stored(str(path), record.offset, record.length)


def test_a_storage_that_hangs_costs_a_deadline_and_the_next_reading_works(tmp_path: Path) -> None:
    warc = warcs.write(
        tmp_path / "a.warc.gz", [warcs.warcinfo(), *warcs.exchange("http://a/", BODY)]
    )
    hung = tmp_path / "hung.warc.gz"
    os.mkfifo(hung)  # opening it waits for ever, as a dead mount does
    readers = Readers(limit=1, deadline_seconds=3.0)
    try:
        with pytest.raises(StorageUnavailable, match="within the deadline"):
            readers.read(ReadOrder("page", Stored(str(hung), 0, 100)))
        reading = readers.read(ReadOrder("page", stored(warc, 2), url="http://a/"))
        assert b"Page of the site" in b"".join(reading.body)
    finally:
        readers.close()


def test_a_reader_who_hangs_up_does_not_keep_the_child(long_record: ReadOrder) -> None:
    readers = Readers(limit=1, deadline_seconds=60.0)
    try:
        for _ in range(3):
            left = readers.read(long_record)
            next(left.body)
            del left
        assert len(b"".join(readers.read(long_record).body)) == 3_000_000
    finally:
        readers.close()


@pytest.fixture
def long_record(tmp_path: Path) -> ReadOrder:
    """More than a pipe takes: it can be left in the middle."""
    sent = warcs.http_response(os.urandom(3_000_000), mime="image/png")
    fields = warcs.common("r", "http://a/", sent, "application/http; msgtype=response")
    warc = warcs.write(tmp_path / "long.warc.gz", [warcs.record("response", sent, fields)])
    return ReadOrder("page", stored(warc, 0), url="http://a/")


@pytest.fixture
def started() -> Iterator[Readers]:
    """Readers as the web server has them."""
    readers = Readers(limit=2, deadline_seconds=60.0)
    readers.start()
    yield readers
    readers.close()


def children() -> list[int]:
    """The reading children of this process that have not ended."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "reading_child" in child.cmdline()[-1]:
                found.append(child.pid)
    return sorted(found)


def wait_for_children(count: int) -> list[int]:
    wait_for(lambda: len(children()) == count, what=f"{count} children", seconds=30)
    return children()


def test_a_child_is_ready_before_anybody_asks(started: Readers, long_record: ReadOrder) -> None:
    first = wait_for_children(1)
    reading = started.read(long_record)
    spare = set(wait_for_children(2)) - set(first)
    assert spare, "the first reader was given the child that was there"
    again = started.read(long_record)
    assert set(children()) == {*first, *spare}, "no reader waits for a Python to start"
    reading.body.close()
    again.body.close()


def test_as_many_are_ready_as_are_wanted_within_the_limit(long_record: ReadOrder) -> None:
    readers = Readers(limit=3, deadline_seconds=60.0, ahead=2)
    readers.start()
    try:
        ready = wait_for_children(2)
        readings = [readers.read(long_record) for _ in range(2)]
        assert set(ready) < set(wait_for_children(3))
        for reading in readings:
            reading.body.close()
        wait_for_children(2)
    finally:
        readers.close()


def test_a_child_that_was_killed_is_replaced_before_the_next_reader_comes(
    started: Readers, long_record: ReadOrder
) -> None:
    wait_for_children(1)
    readings = [started.read(long_record) for _ in range(2)]
    killed = wait_for_children(2)
    for left in readings:
        next(left.body)
        left.body.close()
    new = wait_for_children(1)
    assert set(new).isdisjoint(killed)
    assert len(b"".join(started.read(long_record).body)) == 3_000_000
    assert set(new) <= set(children()), "it was that child which read"


def test_there_are_never_more_children_than_the_limit(
    started: Readers, long_record: ReadOrder
) -> None:
    for _ in range(4):
        readings = [started.read(long_record) for _ in range(2)]
        assert len(children()) <= 2
        for number, reading in enumerate(readings):
            next(reading.body)
            if number:
                reading.body.close()  # killed
            assert len(b"".join(reading.body)) in (0, 3_000_000 - (1 << 18))
            assert len(children()) <= 2


def test_no_child_outlives_the_end(started: Readers, long_record: ReadOrder) -> None:
    idle = started.read(long_record)
    at_work = started.read(long_record)
    b"".join(idle.body)
    started.close()
    assert len(children()) == 1
    assert len(b"".join(at_work.body)) == 3_000_000  # it may end what it is at
    assert children() == []


def test_only_a_few_wait_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warc = warcs.write(
        tmp_path / "a.warc.gz", [warcs.warcinfo(), *warcs.exchange("http://a/", BODY)]
    )
    order = ReadOrder("page", stored(warc, 2), url="http://a/")
    readers = Readers(limit=1)
    monkeypatch.setattr(readers._turns, "_queue_seconds", 600.0)
    ended: queue.Queue[bytes] = queue.Queue()

    def come() -> None:
        try:
            ended.put(b"".join(readers.read(order).body))
        except Busy:
            ended.put(b"sent away")

    at_work = readers.read(order)
    try:
        for _ in range(3):
            threading.Thread(target=come, daemon=True).start()
        assert ended.get(timeout=20) == b"sent away"
        at_work.body.close()
        assert all(BODY in ended.get(timeout=20) for _ in range(2))
    finally:
        readers.close()


def test_a_revisit_shows_the_body_it_refers_to(tmp_path: Path) -> None:
    archive = build(tmp_path, [Exchange("/0", BODY)])
    again = archive.warc.with_name("again.warc.gz")
    warcs.write(again, [warcs.revisit("http://example.org/again", "http://example.org/0", BODY)])
    place = stored(again, 0)
    with archive.database.begin() as connection:
        key = connection.execute(
            insert(captures).values(
                segment_id=1,
                job_id=1,
                source_id=1,
                record_offset=7,
                record_length=place.length,
                record_type="revisit",
                url="http://example.org/again",
                url_key="org,example)/again",
                captured_at=MOMENT,
                payload_digest=warcs.sha256(BODY),
            )
        ).inserted_primary_key
        assert key is not None
        original = payload_holding(connection, get_holding(connection, key[0]))
    assert original is not None
    assert original.url == "http://example.org/0"
    payload = Stored(original.segment_path, original.record_offset, original.record_length)
    readers = Readers(limit=1)
    try:
        order = ReadOrder("page", place, payload, "http://example.org/again", "2026")
        assert b"Page of the site" in b"".join(readers.read(order).body)
        lost = readers.read(ReadOrder("page", place, None, "http://example.org/again", "2026"))
        assert lost.answer.refused == "missing"
        assert b"".join(lost.body) == b""
    finally:
        readers.close()
