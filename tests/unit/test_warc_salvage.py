"""Salvage: what was confirmed is in the new file, and nothing that is damaged."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.salvage import Span, salvage, span_is_whole, take
from healtharchive.warc.verify import verify_file
from tests.lab import warcs
from tests.lab.recordings import Answer, Recording, record

ANSWERS = tuple(
    Answer(f"/{number}", f"<p>page {number}</p>".encode() * 50, chunked=number % 2 == 1)
    for number in range(6)
)


@pytest.fixture(scope="module")
def unsealed(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("unsealed"), ANSWERS, sealed=False)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def span_bytes(path: Path, span: Span) -> bytes:
    return path.read_bytes()[span.offset : span.offset + span.length]


def test_a_whole_file_is_salvaged_as_it_is(unsealed: Recording, tmp_path: Path) -> None:
    final = tmp_path / "new.warc.gz"
    salvaged = salvage(unsealed.path, final, unsealed.spans)
    assert final.read_bytes() == unsealed.path.read_bytes()
    assert salvaged.moved == unsealed.spans
    assert salvaged.lost == ()
    assert salvaged.records == unsealed.records
    assert salvaged.sha256 == hashlib.sha256(final.read_bytes()).hexdigest()
    assert list(tmp_path.iterdir()) == [final]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_torn_tail_costs_only_what_it_tore(
    unsealed: Recording, scratch: Path, data: st.DataObject
) -> None:
    whole = unsealed.path.read_bytes()
    length = data.draw(st.integers(0, len(whole)))
    old, final = scratch / "old", scratch / "torn.warc.gz"
    final.unlink(missing_ok=True)
    old.write_bytes(whole[:length])
    salvaged = salvage(old, final, unsealed.spans)
    kept = [each for each in unsealed.spans if each.offset + each.length <= length]
    assert [each.id for each in salvaged.moved] == [each.id for each in kept]
    assert final.read_bytes() == whole[: sum(each.length for each in kept)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_costs_only_the_span_it_hit(
    unsealed: Recording, scratch: Path, data: st.DataObject
) -> None:
    whole = bytearray(unsealed.path.read_bytes())
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    old, final = scratch / "old", scratch / "damaged.warc.gz"
    final.unlink(missing_ok=True)
    old.write_bytes(whole)
    salvaged = salvage(old, final, unsealed.spans)
    hit = next(each for each in unsealed.spans if position < each.offset + each.length)
    # A gzip header has bytes that say nothing about the content (its time, its system).
    assert set(salvaged.lost) <= {hit}
    for span in salvaged.moved:
        if span.id != hit.id:
            assert span_bytes(final, span) == span_bytes(unsealed.path, unsealed.spans[span.id])
    read = list(read_records(final))
    assert all(isinstance(each, WarcRecord) for each in read)
    assert len(read) == salvaged.records
    assert verify_file(final).problems == ()


def test_only_the_confirmed_spans_are_copied(unsealed: Recording, tmp_path: Path) -> None:
    final = tmp_path / "new.warc.gz"
    chosen = [unsealed.spans[0], unsealed.spans[5], unsealed.spans[3]]
    salvaged = salvage(unsealed.path, final, chosen)
    assert [each.id for each in salvaged.moved] == [0, 3, 5]
    for span in salvaged.moved:
        assert span_bytes(final, span) == span_bytes(unsealed.path, unsealed.spans[span.id])


def test_a_salvage_may_be_repeated_and_replaces_no_other_file(
    unsealed: Recording, tmp_path: Path
) -> None:
    final = tmp_path / "new.warc.gz"
    salvaged = salvage(unsealed.path, final, unsealed.spans)
    assert salvage(unsealed.path, final, unsealed.spans) == salvaged
    assert list(tmp_path.iterdir()) == [final]
    with pytest.raises(FileExistsError, match="not replaced"):
        salvage(unsealed.path, final, unsealed.spans[:1])
    assert final.stat().st_size == salvaged.size_bytes


def span_of(*members: bytes, records: int | None = None) -> bool:
    data = b"".join(members)
    span = Span(1, 0, len(data), len(members) if records is None else records)
    return span_is_whole(io.BytesIO(data), span)


def page(**fields: str) -> bytes:
    block = b"<p>hello</p>"
    given = {"WARC-Block-Digest": warcs.sha256(block), **fields}
    return warcs.record("resource", block, tuple(given.items()))


def test_a_span_is_whole_only_with_all_its_records_and_right_digests() -> None:
    good = warcs.member(page())
    assert span_of(good)
    assert span_of(good, good)
    assert not span_of(good, records=2)
    assert not span_of(good, good, records=1)
    assert not span_of(good, good[:-1])
    assert not span_of(good[1:])
    assert not span_of(warcs.member(page(**{"WARC-Block-Digest": "sha256:00"})))
    assert not span_of(warcs.member(page() + b"\r\n"))
    assert not span_of(warcs.member(page()[:-1]))
    assert not span_of(warcs.member(page() + page()))
    assert not span_of(warcs.member(b"WARC/1.1\r\nWARC-Type: resource\r\n\r\nhello\r\n\r\n"))
    assert not span_of(warcs.member(b"HTTP/1.1 200 OK\r\n\r\n"))
    assert not span_of(warcs.member(b"WARC/1.1\r\n" + bytes(2_000_000)))


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise(data: bytes, packed: bool) -> None:
    assert not span_of(warcs.member(data) if packed else data, records=1)


class SickDisk(io.BytesIO):
    """Reads fail with one error number."""

    def __init__(self, number: int) -> None:
        super().__init__(b"x" * 10)
        self._number = number

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(self._number, os.strerror(self._number))


def test_a_bad_sector_loses_its_records_but_a_lost_mount_is_raised() -> None:
    assert not span_is_whole(SickDisk(errno.EIO), Span(1, 0, 10, 1))
    with pytest.raises(OSError, match="endpoint"):
        span_is_whole(SickDisk(errno.ENOTCONN), Span(1, 0, 10, 1))


def test_taking_a_segment_away_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz.open").write_bytes(b"content")
    taken = take(tmp_path, "a.warc.gz")
    assert taken is not None
    assert taken.read_bytes() == b"content"
    assert take(tmp_path, "a.warc.gz") == taken
    assert take(tmp_path, "b.warc.gz") is None
