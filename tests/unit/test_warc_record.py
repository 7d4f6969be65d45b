"""Writing records: what is written is what is read, whatever the content."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.warc.claims import broken_claims, digest_claims
from healtharchive.warc.digest import label, sha256_hex
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.record import (
    dns_record,
    header,
    member,
    member_stream,
    new_record_id,
    warc_date,
    warcinfo,
)

MOMENT = datetime(2026, 11, 23, 10, 11, 12, 345678, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def read_one(data: bytes) -> WarcRecord:
    (only,) = read_records(io.BytesIO(data))
    assert isinstance(only, WarcRecord)
    return only


def head(block: bytes, uri: str = "http://e.org/") -> bytes:
    fields = [
        ("WARC-Record-ID", new_record_id()),
        ("WARC-Date", warc_date(MOMENT)),
        ("WARC-Target-URI", uri),
        ("WARC-Block-Digest", label(sha256_hex(block))),
    ]
    return header("resource", fields, len(block))


@given(st.binary(max_size=2000))
def test_any_block_is_read_back(block: bytes) -> None:
    record = read_one(member(head(block), block))
    assert record.block() == block
    assert record.problems == ()
    assert record.date == MOMENT
    assert broken_claims(record, digest_claims(record)) == []


@given(st.lists(st.binary(max_size=5000), max_size=20))
def test_a_streamed_record_equals_a_whole_one(chunks: list[bytes]) -> None:
    block = b"".join(chunks)
    record = read_one(b"".join(member_stream(head(block), chunks)))
    assert record.block() == block
    assert record.problems == ()


@given(TEXT)
def test_a_field_value_from_outside_cannot_forge_a_header(value: str) -> None:
    record = read_one(member(head(b"x", f"http://e.org/{value}\r\nWARC-Type: forged"), b"x"))
    assert record.record_type == "resource"
    assert record.headers.all("WARC-Type") == ("resource",)
    assert record.block() == b"x"


def test_warcinfo_and_dns_say_what_they_are() -> None:
    info = read_one(warcinfo("a.warc.gz", MOMENT, [("software", "x\r\nforged: y"), ("é", "ü")]))
    assert info.record_type == "warcinfo"
    assert info.block().decode() == "software: x forged: y\r\né: ü\r\n"
    dns = read_one(dns_record("e.org", ["127.0.0.1", "::1"], 60, MOMENT))
    assert dns.target_uri == "dns:e.org"
    assert dns.block().decode().split("\r\n")[1:3] == [
        "e.org.\t60\tIN\tA\t127.0.0.1",
        "e.org.\t60\tIN\tAAAA\t::1",
    ]
    for record in (info, dns):
        assert record.problems == ()
        assert broken_claims(record, digest_claims(record)) == []
