"""Other people's WARC readers on our segments: warcio, FastWARC, cdxj-indexer, gzip."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator
from warcio.checker import Checker

from healtharchive.warc.cdxj import write_cdxj
from healtharchive.warc.verify import verify_file
from tests.lab.recordings import Answer, Recording, record

PAGE = b"<p>a page of the site, \xc3\xa9</p>\n" * 100
ANSWERS = (
    Answer("/", PAGE),
    Answer("/chunked", PAGE + b"chunked", chunked=True),
    Answer("/gzip", gzip.compress(PAGE, mtime=0), coding="gzip"),
    Answer("/gzip-chunked", gzip.compress(PAGE * 2, mtime=0), chunked=True, coding="gzip"),
    Answer("/empty", b""),
    Answer("/empty-chunked", b"", chunked=True),
    Answer("/same", PAGE),
    Answer("/same-chunked", PAGE + b"chunked", chunked=True),
    Answer("/tls", b"secret", tls="TLSv1.3"),
    Answer("/cut", b"half of", truncated="length"),
    Answer("/b?c=d&e=%C3%A9", b"query"),
    Answer("/big", os.urandom(1 << 20) * 5),
)
REVISITS = 2
# What warcio, which knows no trailer after the last chunk, takes for content.
MISREAD_TRAILER = b"0\r\nTrailer: 1\r\n\r\n"


class Chosen:
    """What warcio's checker takes in place of its command line."""

    def __init__(self, path: Path) -> None:
        self.inputs = [str(path)]
        self.verbose = True


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("segment"), ANSWERS)


def test_warcio_finds_every_digest_right(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    checker = Checker(Chosen(recording.path))
    checker.process_all()
    told = capsys.readouterr().out
    assert checker.exit_value == 0, told
    assert "digest failed" not in told
    assert told.count("digest pass") == recording.records - REVISITS
    # The payload digest of a revisit speaks of another record.
    assert told.count("digest present but not checked") == REVISITS


def test_warcio_finds_a_wrong_digest_wrong(recording: Recording, tmp_path: Path) -> None:
    """The judge is awake: the same file with one changed byte of content does not pass."""
    whole = gzip.decompress(recording.path.read_bytes())
    damaged = tmp_path / "damaged.warc"
    damaged.write_bytes(whole.replace(b"half of", b"half if"))
    checker = Checker(Chosen(damaged))
    checker.process_all()
    assert checker.exit_value == 1


def test_warcio_reads_the_bodies_that_were_sent(recording: Recording) -> None:
    with recording.path.open("rb") as stream:
        bodies = [
            each.content_stream().read().removesuffix(MISREAD_TRAILER)
            for each in WarcioIterator(stream)
            if each.rec_type == "response"
        ]
    sent = [each.body for each in ANSWERS if not each.path.startswith("/same")]
    plain = [gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body for body in sent]
    assert bodies == plain


def test_fastwarc_counts_the_same_records_and_agrees_with_every_digest(
    recording: Recording,
) -> None:
    with recording.path.open("rb") as stream:
        kinds = []
        for each in ArchiveIterator(stream, parse_http=False):
            kinds.append(each.record_type)
            assert each.verify_block_digest(), each.headers.asdict()
    assert len(kinds) == recording.records
    assert kinds.count(WarcRecordType.revisit) == REVISITS
    assert kinds.count(WarcRecordType.request) == len(ANSWERS)
    with recording.path.open("rb") as stream:
        for each in ArchiveIterator(stream, record_types=WarcRecordType.response):
            if "WARC-Payload-Digest" in each.headers:
                assert each.verify_payload_digest(), each.headers.asdict()


def test_gzip_accepts_the_file_and_each_record_alone(recording: Recording) -> None:
    whole = recording.path.read_bytes()
    subprocess.run(["gzip", "-t"], input=whole, check=True)
    for span in recording.spans:
        alone = gzip.decompress(whole[span.offset : span.offset + span.length])
        assert alone.startswith(b"WARC/1.1\r\n")
        assert alone.endswith(b"\r\n\r\n")
        assert alone.count(b"\nWARC-Record-ID: ") == span.records


def test_our_own_verifier_agrees_with_the_judges(recording: Recording) -> None:
    report = verify_file(recording.path)
    assert report.problems == ()
    assert report.records == recording.records
    assert report.undigested == 0


def test_cdxj_indexer_finds_the_same_captures(recording: Recording, tmp_path: Path) -> None:
    out = tmp_path / "ours.cdxj"
    assert write_cdxj(recording.path, out) == len(ANSWERS) + 1
    run = subprocess.run(
        [sys.executable, "-m", "cdxj_indexer.main", str(recording.path)],
        check=True,
        capture_output=True,
        text=True,
    )
    theirs = sorted(run.stdout.splitlines())
    assert [_place(line) for line in out.read_text().splitlines()] == [
        _place(each) for each in theirs
    ]


def _place(line: str) -> tuple[str, ...]:
    """What replay needs of a line. The digest differs for chunked bodies on purpose."""
    key, timestamp, facts = line.split(" ", 2)
    known = json.loads(facts)
    names = ("url", "mime", "status", "length", "offset", "filename")
    return (key, timestamp, *(str(known.get(name)) for name in names))
