"""Reading WARC files: whole ones exactly, damaged ones as far as they can be read."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healtharchive.model.errors import BadInput
from healtharchive.warc.fields import parse
from healtharchive.warc.members import PIECE_BYTES
from healtharchive.warc.payload import Dechunker, http_head, payload_stream
from healtharchive.warc.reader import (
    BLOCK_KEEP_BYTES,
    BadRecord,
    WarcRecord,
    parse_date,
    read_record,
    read_records,
)
from tests.lab import warcs

NAMES = ("site.warc.gz", "site.warc")


def good(source: Path | io.BytesIO) -> list[WarcRecord]:
    return [each for each in read_records(source) if isinstance(each, WarcRecord)]


def bad(source: Path | io.BytesIO) -> list[BadRecord]:
    return [each for each in read_records(source) if isinstance(each, BadRecord)]


def blocks(source: Path | io.BytesIO) -> list[bytes]:
    return [each.block() for each in good(source)]


def from_members(*parts: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(parts))


def page(block: bytes = b"<p>hello</p>", name: str = "page") -> bytes:
    return warcs.record("resource", block, warcs.common(name, "http://e.org/", block, "text/html"))


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_read_with_its_place(tmp_path: Path, name: str) -> None:
    records = warcs.small_site()
    path = warcs.write(tmp_path / name, records)
    whole = path.read_bytes()
    read = list(read_records(path))
    assert len(read) == len(records)
    for record, raw in zip(read, records, strict=True):
        assert isinstance(record, WarcRecord)
        assert record.problems == ()
        assert raw.endswith(record.block() + b"\r\n\r\n")
        piece = whole[record.offset : record.offset + record.length]
        plain = raw.removesuffix(b"\r\n\r\n")
        assert piece == (warcs.member(raw) if name.endswith(".gz") else plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_read_alone_from_its_place(tmp_path: Path, name: str) -> None:
    path = warcs.write(tmp_path / name, warcs.small_site())
    for record in good(path):
        assert read_record(path, record.offset, record.length) == record
        assert read_record(path, record.offset) == record


def test_a_stream_reads_like_a_path(tmp_path: Path) -> None:
    path = warcs.write(tmp_path / "site.warc.gz", warcs.small_site())
    assert good(io.BytesIO(path.read_bytes())) == good(path)


def test_reading_can_start_at_a_later_record(tmp_path: Path) -> None:
    path = warcs.write(tmp_path / "site.warc.gz", warcs.small_site())
    records = good(path)
    assert list(read_records(path, start=records[3].offset)) == records[3:]


def test_a_records_facts_are_read() -> None:
    (record,) = good(from_members(warcs.member(page())))
    assert record.version == "WARC/1.1"
    assert record.record_type == "resource"
    assert record.record_id == warcs.record_id("page")
    assert record.target_uri == "http://e.org/"
    assert record.date == datetime(2026, 11, 23, 10, 11, 12, 345678, tzinfo=UTC)
    assert record.headers["CONTENT-type"] == "text/html"
    assert record.block(5) == b"<p>he"


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=6),
    st.booleans(),
    st.integers(min_value=0, max_value=9),
)
def test_any_blocks_are_read_back(contents: list[bytes], compressed: bool, level: int) -> None:
    records = [page(block, str(number)) for number, block in enumerate(contents)]
    parts = [warcs.member(each, level) for each in records] if compressed else records
    read = list(read_records(from_members(*parts)))
    assert [each.block() for each in read if isinstance(each, WarcRecord)] == contents
    assert not any(isinstance(each, BadRecord) or each.problems for each in read)


@pytest.mark.parametrize("difference", range(-6, 7))
def test_blocks_that_end_at_a_piece_of_the_inflater_are_whole(difference: int) -> None:
    head = len(page(b"x" * PIECE_BYTES)) - PIECE_BYTES
    block = b"x" * (2 * PIECE_BYTES - head + difference)
    records = [warcs.member(page(block)), warcs.member(page())]
    assert blocks(from_members(*records)) == [block, b"<p>hello</p>"]
    assert blocks(from_members(records[0])) == [block]


@pytest.mark.parametrize("compressed", [True, False])
def test_a_long_block_is_streamed(tmp_path: Path, compressed: bool) -> None:
    block = b"0123456789abcdef" * (BLOCK_KEEP_BYTES // 16) + b"end"
    path = warcs.write(
        tmp_path / ("a.warc.gz" if compressed else "a.warc"), [page(block), page(name="b")]
    )
    record, following = good(path)
    assert b"".join(record.block_stream()) == record.block() == block
    assert record.block(BLOCK_KEEP_BYTES + 1) == block[: BLOCK_KEEP_BYTES + 1]
    assert following.block() == b"<p>hello</p>"


MEASURE = """
import hashlib, re, sys
from pathlib import Path
from healtharchive.warc.reader import read_records
for record in read_records(sys.argv[1]):
    if not hasattr(record, "block_stream"):
        print("bad")
        continue
    digest = hashlib.sha256()
    for piece in record.block_stream():
        digest.update(piece)
    print(record.block_bytes, digest.hexdigest(), len(record.problems))
# Not getrusage: its peak includes the parent's memory at the time of the fork.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def measured(path: Path) -> tuple[list[str], int]:
    """What a child says about the file, and its peak memory in KiB."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    *lines, peak = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120
    ).stdout.splitlines()
    return lines, int(peak)


def test_a_record_of_200_mb_is_read_in_constant_memory(tmp_path: Path) -> None:
    block = b"\0" * 200_000_000
    path = tmp_path / "a.warc.gz"
    path.write_bytes(warcs.member(page(block), 1))
    lines, peak = measured(path)
    assert lines == [f"200000000 {hashlib.sha256(block).hexdigest()} 0"]
    assert peak < 100_000


def test_a_gzip_bomb_takes_no_memory_and_hides_nothing_after_it(tmp_path: Path) -> None:
    filler = b"x" * 100_000_000
    after = page().replace(b"Content-Length: 12", b"Content-Length: 2") + filler
    header = b"WARC/1.1\r\nX-Long: " + filler + b"\r\n\r\n"
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(warcs.member(each, 1) for each in (after, header, page())))
    lines, peak = measured(path)
    assert [line.split()[0] for line in lines] == ["2", "bad", "12"]
    assert peak < 100_000


@given(st.data())
def test_a_torn_tail_is_reported_and_the_rest_is_read(data: st.DataObject) -> None:
    compressed = data.draw(st.booleans())
    records = [page(name=str(number)) for number in range(3)]
    parts = [warcs.member(each) if compressed else each for each in records]
    # A plain record is whole once its block is: the two line breaks may be cut off.
    rest = data.draw(st.integers(1, len(parts[2]) - (1 if compressed else 5)))
    read = list(read_records(from_members(*parts[:2], parts[2][:rest])))
    assert len(read) == 3
    assert isinstance(read[2], BadRecord)
    assert read[2].torn
    assert read[2].offset + read[2].length == len(parts[0] + parts[1]) + rest


def test_a_torn_record_is_named_when_its_header_is_whole() -> None:
    whole = warcs.member(page(random.Random(1).randbytes(50_000)))
    (torn,) = bad(from_members(whole[: len(whole) // 2]))
    assert torn.record_id == warcs.record_id("page")
    assert torn.target_uri == "http://e.org/"


@pytest.mark.parametrize("position", [0, 1, 2, 12, 100, -1, -5, -9])
def test_damage_costs_one_record_only(position: int) -> None:
    parts = [bytearray(warcs.member(page(name=str(number)))) for number in range(3)]
    parts[1][position] ^= 0x55
    read = list(read_records(from_members(*parts)))
    assert [type(each) for each in read] == [WarcRecord, BadRecord, WarcRecord]
    assert (read[1].offset, read[1].length) == (len(parts[0]), len(parts[1]))
    assert isinstance(read[1], BadRecord)
    assert not read[1].torn


@pytest.mark.parametrize("garbage", [b"\0" * 512, b"garbage", b"\x1f\x8b\x08" * 200, b"\n"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_garbage_between_members_is_skipped(garbage: bytes, place: int) -> None:
    parts = [warcs.member(page(name="1")), warcs.member(page(name="2"))]
    parts.insert(place, garbage)
    (skipped,) = bad(from_members(*parts))
    assert (skipped.offset, skipped.length) == (len(b"".join(parts[:place])), len(garbage))
    assert len(good(from_members(*parts))) == 2


@pytest.mark.parametrize("length", ["11", "5", "300", "999999999", "-1", "1e1", "", "²"])
def test_a_plain_record_with_a_wrong_length_costs_one_record_only(length: str) -> None:
    wrong = page().replace(b"Content-Length: 12", f"Content-Length: {length}".encode())
    read = list(read_records(from_members(page(name="1"), wrong, page(name="3"), page(name="4"))))
    assert [type(each) for each in read] == [WarcRecord, BadRecord, WarcRecord, WarcRecord]
    assert read[1].record_id == warcs.record_id("page")


def test_a_length_that_takes_in_a_line_break_leaves_the_record_readable() -> None:
    wrong = page().replace(b"Content-Length: 12", b"Content-Length: 13")
    (first, second) = good(from_members(wrong, page(name="2")))
    assert first.problems[0].startswith("after its block come 3 bytes")
    assert second.problems == ()


@pytest.mark.parametrize("length", ["17", "300", "999999999", "-1", ""])
def test_a_member_with_a_wrong_length_costs_one_record_only(length: str) -> None:
    wrong = page().replace(b"Content-Length: 12", f"Content-Length: {length}".encode())
    parts = [warcs.member(each) for each in (page(name="1"), wrong, page(name="3"))]
    assert [type(each) for each in read_records(from_members(*parts))] == [
        WarcRecord,
        BadRecord,
        WarcRecord,
    ]


def test_a_second_record_in_a_member_is_a_problem_of_the_first() -> None:
    first, other = good(from_members(warcs.member(page() + page(name="2")), warcs.member(page())))
    assert "more than one record" in first.problems[0]
    assert other.problems == ()


def test_a_header_without_a_length_or_with_two_is_bad() -> None:
    without = page().replace(b"Content-Length: 12\r\n", b"")
    twice = page().replace(b"Content-Length", b"Content-Length: 11\r\nContent-Length")
    reasons = [
        each.reason for each in bad(from_members(warcs.member(without), warcs.member(twice)))
    ]
    assert reasons[0] == "Content-Length is missing"
    assert reasons[1].endswith("is not one number")


def test_faults_that_leave_a_record_readable_are_its_problems() -> None:
    odd = b"WARC/0.9\r\nWARC-Date: yesterday\r\nnonsense\r\nContent-Length: 1\n\nx\n"
    (record,) = good(from_members(warcs.member(odd)))
    assert record.block() == b"x"
    told = " ".join(record.problems)
    for fault in ("WARC/0.9", "CR LF", "WARC-Type", "WARC-Record-ID", "nonsense", "yesterday"):
        assert fault in told


@pytest.mark.parametrize("data", [b"", b"WARC/1.1\r\n", b"\x1f\x8b", b"\x28\xb5\x2f\xfd" * 9, b"?"])
def test_a_file_without_records_has_none(data: bytes) -> None:
    assert good(io.BytesIO(data)) == []
    assert len(bad(io.BytesIO(data))) == (1 if data else 0)


def test_a_file_made_to_waste_time_is_given_up() -> None:
    crafted = warcs.member(page()) + b"\x1f\x8b\x08" * 1_500_000
    (given_up,) = bad(io.BytesIO(crafted))
    assert "too much of the file is damaged" in given_up.reason


def test_nested_members_that_all_break_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healtharchive.warc.members.PATIENCE_BYTES", 1 << 20)
    monkeypatch.setattr("healtharchive.warc.members.PATIENCE_FACTOR", 1)
    start = warcs.member(page(bytes(200)), 0)[:180]
    assert "too much" in bad(io.BytesIO(start * 3000))[-1].reason


def test_asking_for_a_damaged_record_is_one_clear_sentence(tmp_path: Path) -> None:
    path = warcs.write(tmp_path / "a.warc.gz", [page()])
    with pytest.raises(BadInput, match=r"record at byte 7 of .*a\.warc\.gz cannot be read"):
        read_record(path, 7)
    with pytest.raises(BadInput, match="the file has only"):
        read_record(path, 1 << 40, 1 << 60)


def test_a_missing_file_is_an_operating_system_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "none.warc.gz"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T10:11:12Z", datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC)),
        ("2026-11-23T10:11:12.5Z", datetime(2026, 11, 23, 10, 11, 12, 500000, tzinfo=UTC)),
        ("2026-11-23T10:11:12.123456789Z", datetime(2026, 11, 23, 10, 11, 12, 123456, tzinfo=UTC)),
        ("2026-11-23T12:11:12+02:00", datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC)),
        ("2026-11-23T10:11:12", datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC)),
        ("2026-11", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-13-01", None),
        ("", None),
    ],
)
def test_dates_of_every_precision_are_read(text: str, moment: datetime | None) -> None:
    assert parse_date(text) == moment


def test_fields_keep_their_order_and_repetitions() -> None:
    line, fields = parse(
        b"WARC/1.1\r\nA: 1\r\nb: 2\r\n more\r\na:3\r\nC: caf\xe9\r\nD: \xc3\xa9\r\n"
    )
    assert line == "WARC/1.1"
    assert fields.pairs == (("A", "1"), ("b", "2 more"), ("a", "3"), ("C", "café"), ("D", "é"))
    assert fields.all("A") == ("1", "3")
    assert (fields["a"], fields.get("B"), fields.get("none")) == ("1", "2 more", None)
    assert list(fields) == ["a", "b", "c", "d"]
    assert len(fields) == 4


@given(st.binary(max_size=500), st.integers(1, 40), st.integers(1, 60))
def test_chunks_come_off_whatever_the_pieces(body: bytes, chunk: int, step: int) -> None:
    framed = warcs.in_chunks(body, chunk)
    dechunker = Dechunker()
    pieces = [dechunker.feed(framed[at : at + step]) for at in range(0, len(framed), step)]
    assert b"".join(pieces) == body
    assert dechunker.finished
    assert not dechunker.malformed


@given(st.binary(max_size=80))
@example(b"5\r\nhelloX\r\n")
@example(b"fffffffffffffffff\r\n")
@example(b"-1\r\n")
@example(b"0x5\r\nhello")
def test_broken_chunks_end_the_body(framed: bytes) -> None:
    assert len(Dechunker().feed(framed)) <= len(framed)


def test_the_http_head_is_read() -> None:
    request, response = warcs.exchange("http://e.org/", b"hello" * 50, chunked=True)
    asked, sent = good(from_members(warcs.member(request), warcs.member(response)))
    asked_head, sent_head = http_head(asked), http_head(sent)
    assert asked_head is not None
    assert sent_head is not None
    assert (asked_head.status, sent_head.status) == (None, 200)
    assert sent_head.headers["content-type"] == "text/html"
    assert sent_head.chunked
    assert b"".join(payload_stream(sent)) == b"hello" * 50
