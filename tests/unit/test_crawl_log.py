"""A crawl's own log: what is in it, that it stays small, and that no secret is."""

from __future__ import annotations

import io
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from healtharchive.crawl.crawl_log import KEPT_BYTES, LONGEST_LINE, CrawlLog, listening
from healtharchive.model.masking import masked
from healtharchive.model.orders import Counts, Report, SealedSegment, Wait
from tests.lab.queue import SetClock

COUNTS = Counts(found=4, queued=2, in_flight=1, done=1, captures=1, bytes_written=700)


@pytest.fixture
def log(tmp_path: Path) -> CrawlLog:
    made = CrawlLog(SetClock())
    made.open(tmp_path / "crawl.log")
    return made


def lines(tmp_path: Path) -> list[str]:
    """What the log has, without the moments, which must be there."""
    found = (tmp_path / "crawl.log").read_text(encoding="utf-8").splitlines()
    for each in found:
        assert datetime.fromisoformat(each.partition(" ")[0]).tzinfo == UTC
    return [each.partition(" ")[2] for each in found]


def test_every_report_but_fast_progress_is_a_line_and_still_reaches_the_worker(
    tmp_path: Path,
) -> None:
    clock, sent = SetClock(), list[Report]()
    log = CrawlLog(clock)
    report = log.beside(sent.append)
    log.say("attempt 3 of job 7 (hc)")  # before anybody knows where
    log.open(tmp_path / "crawl.log")
    sealed = SealedSegment("a.warc.gz", "/x", 3, 900, "0" * 64, 4, "2026-01-24T06:00:00Z")
    wait = Wait("example.org", "2026-01-24T07:00:00Z", "Retry-After")
    reports = [
        Report("started", counts=COUNTS),
        Report("progress", counts=COUNTS),
        Report("progress", counts=COUNTS),
        Report("segment", segment=sealed),
        Report("note", what="repaired it", evidence={"kept_records": 2}),
        Report("end", outcome="infra", blame="target", reason="stale mount (errno 107)"),
    ]
    for each in reports:
        report(each)
    clock.advance(10.0)
    report(Report("progress", counts=COUNTS, waiting=wait))
    assert sent[:-1] == reports
    counted = "2 queued, 1 in flight, 1 done, 0 failed, 0 excluded, 700 bytes"
    assert lines(tmp_path) == [
        "attempt 3 of job 7 (hc)",
        f"begins: {counted}",
        f"goes on: {counted}",
        "sealed a.warc.gz: 4 records, 900 bytes",
        "repaired it (kept_records: 2)",
        "ends as infra, blamed on target (stale mount (errno 107))",
        f"waits for example.org until 2026-01-24T07:00:00Z (Retry-After): {counted}",
    ]


def test_what_goes_to_stderr_and_the_trace_of_a_bug_are_in_the_log_and_still_on_stderr(
    tmp_path: Path, log: CrawlLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with listening(log):
        try:
            raise ZeroDivisionError("a bug")
        except ZeroDivisionError as error:
            traceback.print_exception(error)
        print("half a line", end="", file=sys.stderr)
        print(" and the rest", file=sys.stderr)
    assert sys.stderr is stderr
    found = lines(tmp_path)
    assert found[0] == "Traceback (most recent call last):"
    assert "ZeroDivisionError: a bug" in found
    assert "half a line and the rest" in found
    assert "ZeroDivisionError: a bug" in stderr.getvalue()


def test_the_log_stays_small_and_keeps_the_end(tmp_path: Path, log: CrawlLog) -> None:
    for number in range(2 * KEPT_BYTES // 1000 + 1500):
        log.say(f"{number} " + "x" * 980)
    kept = tmp_path / "crawl.log"
    old = tmp_path / "crawl.log.1"
    assert sorted(each.name for each in tmp_path.iterdir()) == [kept.name, old.name]
    assert kept.stat().st_size + old.stat().st_size < 2 * KEPT_BYTES + 5000
    last = 2 * KEPT_BYTES // 1000 + 1499
    assert any(f"Z {last} x" in path.read_text() for path in (kept, old))


def test_a_disk_that_takes_nothing_ends_no_crawl(tmp_path: Path) -> None:
    log = CrawlLog(SetClock())
    log.open(tmp_path / "nowhere" / "crawl.log")
    log.say("it goes on")
    assert list(tmp_path.iterdir()) == []


def test_what_a_site_sends_is_no_order_to_a_terminal(tmp_path: Path, log: CrawlLog) -> None:
    log.say("title \x1b[2J\u202e and \ud800 half a character")
    (line,) = lines(tmp_path)
    assert line.startswith("title \ufffd[2J\ufffd and ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:p4ss@a.example/x?y=1", "https://***@a.example/x?y=1"),
        (
            "see sftp://u@box:22/a and http://b.example/@c",
            "see sftp://***@box:22/a and http://b.example/@c",
        ),
        ("/login?user=ada&password=p4ss&page=2", "/login?user=ada&password=***&page=2"),
        ("/?api_key=p4ss", "/?api_key=***"),
        ("/?x-amz-signature=p4ss&b=1", "/?x-amz-signature=***&b=1"),
        ("Authorization: Bearer p4ss", "Authorization: ***"),
        ("set-cookie: id=p4ss; Path=/", "set-cookie: ***"),
        ("session_id=p4ss", "session_id=***"),
        ("the token of the page is long", "the token of the page is long"),
        ("https://a.example/passwords/secret-garden", "https://a.example/passwords/secret-garden"),
        ("AWS_SECRET='p4ss word' x", "AWS_SECRET=*** x"),
        ("postgresql://ada:p4@ss@box/db", "postgresql://***@box/db"),
        ("HEALTHARCHIVE_S3_SECRET=p4ss x", "HEALTHARCHIVE_S3_SECRET=*** x"),
        ("PGPASSWORD=p4ss", "PGPASSWORD=***"),
        ("aws_secret_access_key = p4ss", "aws_secret_access_key = ***"),
        ('{"password": "p4ss", "a": 1}', '{"password": ***, "a": 1}'),
        ("{'Authorization': 'Bearer p4ss'}", "{'Authorization': ***"),
        ("[('Set-Cookie', 'id=p4ss')]", "[('Set-Cookie', ***"),
        ("/a;jsessionid=p4ss;b", "/a;jsessionid=***;b"),
        ("/?sv=1&sig=p4ss%3D&x=1", "/?sv=1&sig=***&x=1"),
        ("it sent Bearer abcdefghijklmnop1234", "it sent Bearer ***"),
        ("the cookie, as its tokenizer: says", "the cookie, as its tokenizer: says"),
    ],
)  # fmt: skip
def test_secrets_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_no_half_of_a_secret_is_left_at_a_lines_end(tmp_path: Path, log: CrawlLog) -> None:
    begin = "x" * (LONGEST_LINE - 12)
    log.say(f"{begin} ftp://ada:p4ss@box.example/")
    with listening(log):
        sys.stderr.write(f"password={'p4ss' * LONGEST_LINE}")
        sys.stderr.write("\n")
    assert "p4ss" not in "".join(lines(tmp_path))
