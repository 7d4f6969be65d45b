"""Verifying: every fault is named at its record, and a sound file has none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.warc import verify
from healtharchive.warc.claims import broken_claims, digest_claims
from healtharchive.warc.digest import sha256_hex
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.verify import FileReport, verify_file, verify_many
from tests.lab import warcs

NAMES = ("site.warc.gz", "site.warc")


def verified(path: Path, *records: bytes) -> FileReport:
    return verify_file(warcs.write(path / "a.warc.gz", records))


def reasons(path: Path, *records: bytes) -> list[str]:
    return [each.reason for each in verified(path, *records).problems]


def page(name: str = "page", *extra: tuple[str, str], block: bytes = b"hello") -> bytes:
    fields = warcs.common(name, "http://e.org/", block, "text/html") + extra
    return warcs.record("resource", block, fields)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_file_has_no_problems(tmp_path: Path, name: str) -> None:
    records = warcs.small_site()
    path = warcs.write(tmp_path / name, records)
    report = verify_file(path)
    assert report == FileReport(
        path, len(records), path.stat().st_size, sha256_hex(path.read_bytes()), ()
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_changed_content_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    records = warcs.small_site(2)
    chosen = data.draw(st.integers(0, len(records) - 1))
    broken = bytearray(records[chosen])
    block = broken.index(b"\r\n\r\n") + 4
    position = data.draw(st.integers(block, len(broken) - 5))
    broken[position] ^= data.draw(st.integers(1, 255))
    records[chosen] = bytes(broken)
    path = warcs.write(tmp_path_factory.getbasetemp() / "changed.warc.gz", records)
    report = verify_file(path)
    offset = sum(len(warcs.member(each)) for each in records[:chosen])
    assert {each.offset for each in report.problems} == {offset}
    assert "WARC-Block-Digest does not match the bytes" in [e.reason for e in report.problems]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_file_is_called_torn_at_its_last_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    members = [warcs.member(each) for each in warcs.small_site(2)]
    last = data.draw(st.integers(0, len(members) - 1))
    cut = data.draw(st.integers(1, len(members[last]) - 1))
    path = tmp_path_factory.getbasetemp() / "torn.warc.gz"
    path.write_bytes(b"".join(members[:last]) + members[last][:cut])
    problems = verify_file(path).problems
    offset = sum(len(each) for each in members[:last])
    assert [each.offset for each in problems if not each.reason.startswith(verify.CONCURRENT)] == [
        offset
    ]


def test_faults_of_structure_are_named(tmp_path: Path) -> None:
    assert reasons(tmp_path, page(), page()) == ["its WARC-Record-ID was used before"]
    assert reasons(tmp_path, page("a", ("WARC-Payload-Digest", "sha256:00"))) == [
        "WARC-Payload-Digest does not match the bytes"
    ]
    assert reasons(tmp_path, page("a", ("WARC-Payload-Digest", "crc:00"))) == [
        "WARC-Payload-Digest has an unknown algorithm"
    ]
    bare = warcs.record("response", b"x", (("WARC-Record-ID", "<a:b>"), ("WARC-Date", warcs.DATE)))
    assert reasons(tmp_path, bare) == ["WARC-Target-URI is missing"]
    profileless = warcs.record("revisit", b"", warcs.common("r", "http://e.org/", b"", "x/y"))
    assert reasons(tmp_path, profileless) == ["WARC-Profile is missing"]
    assert verified(tmp_path, bare).undigested == 1


def test_references_to_missing_and_to_foreign_records_are_named(tmp_path: Path) -> None:
    missing = ("WARC-Concurrent-To", warcs.record_id("nobody"))
    (reason,) = reasons(tmp_path, page("a", missing))
    assert reason == f"{verify.CONCURRENT} {missing[1]}, which is not in this file"
    other = warcs.record("resource", b"", warcs.common("other", "http://o.org/", b"", "x/y"))
    foreign = page("a", ("WARC-Concurrent-To", warcs.record_id("other")))
    for order in ([foreign, other], [other, foreign]):
        assert reasons(tmp_path, *order) == [f"{verify.CONCURRENT} a record of another URL"]


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000), b"\x1f\x8b\x08"])
def test_a_file_without_records_is_not_sound(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(content)
    report = verify_file(path)
    assert report.records == 0
    assert report.problems


def test_an_unreadable_file_is_a_problem_among_others(tmp_path: Path) -> None:
    sound = warcs.write(tmp_path / "a.warc.gz", warcs.small_site())
    missing, after = verify_many([tmp_path / "missing.warc.gz", sound])
    assert "cannot be read: No such file" in missing.problems[0].reason
    assert after.problems == ()


def test_a_sample_reads_each_chosen_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "STRETCH_BYTES", 1000)
    records = [page(f"page {number}", block=b"%d" % number * 50) for number in range(60)]
    path = warcs.write(tmp_path / "a.warc.gz", records)
    assert verify_file(path, sample=99).records > verify_file(path, sample=20).records > 0
    assert verify_file(path, sample=20, seed=1) == verify_file(path, sample=20, seed=1)
    assert verify_file(path, sample=99).problems == ()
    assert verify_file(path, sample=100).records == len(records)


@pytest.mark.parametrize("digest", [warcs.sha1, warcs.sha256])
def test_digests_of_other_tools_are_understood(digest: object) -> None:
    assert callable(digest)
    block = warcs.http_response(b"hello" * 100, chunked=True)
    framed = block.partition(b"\r\n\r\n")[2]
    for body in (framed, b"hello" * 100):
        fields = (("WARC-Target-URI", "http://e.org/"), ("WARC-Payload-Digest", digest(body)))
        (record,) = read_records(io.BytesIO(warcs.member(warcs.record("response", block, fields))))
        assert isinstance(record, WarcRecord)
        assert broken_claims(record, digest_claims(record)) == []
