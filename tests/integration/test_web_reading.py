"""Stored records read by children: a dead storage costs one child, never the server."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert

from healtharchive.model.holdings import get_holding, payload_holding
from healtharchive.model.tables import captures
from healtharchive.search.stored import Stored
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.web.reading import Readers, ReadOrder, StorageUnavailable
from healtharchive.web.turns import Busy
from tests.lab import warcs
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


def test_a_reader_who_hangs_up_does_not_keep_the_child(tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    sent = warcs.http_response(body, mime="image/png")
    fields = warcs.common("r", "http://a/", sent, "application/http; msgtype=response")
    warc = warcs.write(tmp_path / "a.warc.gz", [warcs.record("response", sent, fields)])
    readers = Readers(limit=1, deadline_seconds=5.0)
    try:
        for _ in range(3):
            left = readers.read(ReadOrder("page", stored(warc, 0), url="http://a/"))
            next(left.body)
            del left
        whole = readers.read(ReadOrder("page", stored(warc, 0), url="http://a/"))
        assert b"".join(whole.body) == body
    finally:
        readers.close()


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
