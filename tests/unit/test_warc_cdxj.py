"""The CDXJ index: one line a capture, sorted, each leading to its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healtharchive.warc.cdxj import cdxj_lines, url_key, write_cdxj
from healtharchive.warc.reader import BadRecord, WarcRecord, read_record
from tests.lab import warcs


def test_every_capture_has_a_line_that_leads_to_it(tmp_path: Path) -> None:
    path = warcs.write(tmp_path / "a.warc.gz", warcs.small_site())
    lines = list(cdxj_lines(path))
    kinds = [line.record_type for line in lines]
    assert kinds == ["resource", *["response"] * 4, "revisit"]
    for line in lines:
        record = read_record(path, line.offset)
        assert isinstance(record, WarcRecord)
        assert (record.target_uri, record.length) == (line.url, line.length)
        assert line.timestamp14 == "20261123101112"
    assert lines[1].to_text() == (
        'org,example)/0 20261123101112 {"url": "http://example.org/0", "mime": "text/html", '
        f'"status": "200", "digest": "{lines[1].digest}", "length": "{lines[1].length}", '
        f'"offset": "{lines[1].offset}", "filename": "a.warc.gz"}}'
    )


def test_a_chunked_response_has_the_digest_of_its_body(tmp_path: Path) -> None:
    body = b"hello" * 100
    chunked = warcs.exchange("http://e.org/c", body, chunked=True)
    whole = warcs.exchange("http://e.org/w", body)
    path = warcs.write(tmp_path / "a.warc.gz", [*chunked, *whole])
    assert [line.digest for line in cdxj_lines(path)] == [warcs.sha256(body)] * 2


def test_the_written_index_is_sorted_and_whole(tmp_path: Path) -> None:
    path = warcs.write(tmp_path / "a.warc.gz", warcs.small_site(12))
    out = tmp_path / "a.cdxj"
    assert write_cdxj(path, out) == 14
    lines = out.read_bytes().splitlines()
    assert lines == sorted(lines)
    assert all(json.loads(line.split(b" ", 2)[2])["filename"] == path.name for line in lines)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.cdxj", "a.warc.gz"]


def test_damage_is_reported_and_the_rest_is_indexed(tmp_path: Path) -> None:
    members = [warcs.member(each) for each in warcs.small_site()]
    members[3] = members[3][:-8] + bytes(8)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(members))
    heard: list[BadRecord] = []
    lines = list(cdxj_lines(path, on_bad=heard.append))
    assert len(lines) == 5
    assert [each.offset for each in heard] == [sum(len(each) for each in members[:3])]


@pytest.mark.parametrize("lacking", ["WARC-Target-URI", "WARC-Date"])
def test_a_record_that_cannot_be_indexed_is_reported(tmp_path: Path, lacking: str) -> None:
    fields = warcs.common("a", "http://e.org/", b"x", "text/html")
    record = warcs.record("resource", b"x", tuple(each for each in fields if each[0] != lacking))
    path = warcs.write(tmp_path / "a.warc.gz", [record])
    heard: list[BadRecord] = []
    assert list(cdxj_lines(path, on_bad=heard.append)) == []
    assert lacking in heard[0].reason


@given(st.text(max_size=50))
@example(" ")
@example("\t\n")
def test_a_key_is_one_word_whatever_the_url(text: str) -> None:
    key = url_key(text)
    assert key.split() in ([key], [])
