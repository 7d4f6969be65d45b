"""What a crawler recorded becomes ours: exact, once, and in whichever step somebody is killed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from healtharchive.crawl.batch import FoundUrl, Kind
from healtharchive.crawl.container.files import scan
from healtharchive.crawl.container.harvest import DAMAGED, LONELY, Harvest
from healtharchive.crawl.container.memory import Memory
from healtharchive.crawl.container.settlement import Settlement
from healtharchive.crawl.frontier import Frontier
from healtharchive.crawl.ledger import Ledger
from healtharchive.crawl.scope import Scope
from healtharchive.crawl.segments import Segments
from healtharchive.model.clock import SystemClock
from healtharchive.model.errors import LeaseLost
from healtharchive.model.orders import Report
from healtharchive.model.source import ScopeRules
from healtharchive.warc.reader import WarcRecord, read_records
from healtharchive.warc.verify import verify_file
from tests.lab import warcs

URL = "http://example.org/0"
BODY = b"<p>A page of the site</p>" * 20


@dataclass
class House:
    """A job's frontier, its ledger and its harvest, of one attempt."""

    root: Path
    frontier: Frontier
    segments: Segments
    ledger: Ledger
    harvest: Harvest
    reports: list[Report]

    def gather(self, *, ended: bool = True, quiet_seconds: float = 1000.0) -> bool:
        """Adopt what is there."""
        found = scan(self.root / "work")
        return asyncio.run(
            self.harvest.gather(found, ended=ended, quiet_seconds=quiet_seconds, halt=lambda: False)
        )

    def records(self) -> list[WarcRecord]:
        """What the segments hold, but for the record that opens each."""
        asyncio.run(self.ledger.seal())
        found: list[WarcRecord] = []
        for path in sorted((self.root / "warcs").glob("*.warc.gz")):
            assert verify_file(path).problems == ()
            read = [each for each in read_records(path) if isinstance(each, WarcRecord)]
            found += read[1:]
        return found

    def states(self) -> dict[str, int]:
        """Every URL with the number of its state."""
        return dict(self.frontier.ask("SELECT url, state FROM urls"))


@contextmanager
def house(root: Path, fence: int = 1, guard: Callable[[], None] = lambda: None) -> Iterator[House]:
    """The parts, real ones, in a directory."""
    frontier = Frontier(root / "frontier.sqlite", fence)
    segments = Segments(frontier, root / "warcs", "lab")
    clock = SystemClock()
    segments.recover(clock.now())
    ledger = Ledger(frontier, segments, clock, facts=[], segment_bytes=10**9, guard=guard)
    reports: list[Report] = []
    scope = Scope(ScopeRules(hosts=("example.org",)))
    harvest = Harvest(root / "work", ledger, Memory(frontier), scope, clock, reports.append)
    try:
        yield House(root, frontier, segments, ledger, harvest, reports)
        counts = frontier.count()
        assert counts.add_up, counts
    finally:
        ledger.abandon()
        frontier.close()


def crawler_file(root: Path, data: bytes, worker: int = 0, serial: int = 1) -> Path:
    """A WARC file where the crawler would have written it."""
    archive = root / "work" / ".tmpx" / "collections" / "c" / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    path = archive / f"rec-h-2026012406171000{serial}-{worker}.warc.gz"
    path.write_bytes(data)
    return path


def packed(*records: bytes) -> bytes:
    return b"".join(map(warcs.member, records))


def types(records: list[WarcRecord]) -> list[str]:
    return [each.record_type for each in records]


def response(name: str, url: str, body: bytes, status: str = "200 OK", **more: str) -> bytes:
    """A response by itself."""
    block = warcs.http_response(body, status=status)
    fields = warcs.common(name, url, block, "application/http; msgtype=response")
    extra = tuple((key.replace("_", "-"), value) for key, value in more.items())
    return warcs.record("response", block, fields + extra)


def test_members_stay_byte_for_byte_and_the_request_comes_first(tmp_path: Path) -> None:
    request, answer = map(warcs.member, warcs.exchange(URL, BODY))
    path = crawler_file(
        tmp_path, packed(warcs.warcinfo()) + answer + request
    )  # as Browsertrix has it
    with house(tmp_path) as job:
        assert job.gather()
        assert types(job.records()) == ["warcinfo", "request", "response"]
        (segment,) = (tmp_path / "warcs").glob("*.warc.gz")
        assert segment.read_bytes().endswith(request + answer)
        ((done,),) = job.frontier.ask("SELECT count(*) FROM captures WHERE url_id IS NOT NULL")
        assert done == 1
        row = job.frontier.ask(
            "SELECT span_length, record_length, status, mime, payload_digest FROM captures"
            " WHERE kind = 'response'"
        )
        size = len(request) + len(answer)
        assert row == [(size, len(answer), 200, "text/html", warcs.sha256(BODY))]
        (adopted,) = job.frontier.ask("SELECT adopted_bytes FROM container_files")
        assert adopted == (path.stat().st_size,)


def test_a_file_is_adopted_as_it_grows_and_its_last_answer_waits_for_its_request(
    tmp_path: Path,
) -> None:
    request, answer = map(warcs.member, warcs.exchange(URL, BODY))
    second = [warcs.member(each) for each in warcs.exchange("http://example.org/1", b"one")]
    path = crawler_file(tmp_path, packed(warcs.warcinfo()) + answer)
    with house(tmp_path) as job:
        job.gather(ended=False)
        assert job.frontier.counts.done == 0
        path.write_bytes(path.read_bytes() + request + second[1][:20])
        job.gather(ended=False)
        assert job.frontier.counts.done == 1
        path.write_bytes(path.read_bytes() + second[1][20:] + second[0])
        job.gather(ended=False)
        assert job.frontier.counts.done == 2
        assert types(job.records()) == ["warcinfo"] + ["request", "response"] * 2


@pytest.mark.parametrize("kept_bytes", [5, 60, 200])
def test_a_torn_end_is_dropped_when_nobody_writes_any_more(tmp_path: Path, kept_bytes: int) -> None:
    whole = packed(*warcs.exchange(URL, BODY))
    torn = warcs.member(response("r1", "http://example.org/1", bytes(range(256)) * 9))
    crawler_file(tmp_path, whole + torn[:kept_bytes])
    with house(tmp_path) as job:
        job.gather(ended=False)
        assert job.reports == []
        job.gather(ended=True)
        assert job.states() == {URL: 2}
        (note,) = job.reports
        assert note.evidence["torn_bytes"] == kept_bytes


def test_a_url_is_captured_once_whoever_records_it(tmp_path: Path) -> None:
    crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)), worker=0)
    other = response("other", URL, b"another time")
    crawler_file(tmp_path, packed(other), worker=1)
    with house(tmp_path) as job:
        job.gather()
        assert types(job.records()) == ["request", "response"]


def test_killed_before_the_offset_is_noted_nothing_is_doubled(tmp_path: Path) -> None:
    screenshot = warcs.record(
        "resource", b"png", warcs.common("shot", "urn:view:" + URL, b"png", "image/png")
    )
    crawler_file(tmp_path, packed(warcs.warcinfo(), screenshot, *warcs.exchange(URL, BODY)))
    with house(tmp_path) as job:
        job.gather()
        with job.frontier.fenced() as db:  # as if the note had never been written
            db.execute("DELETE FROM container_files")
    with house(tmp_path, 2) as job:
        job.gather()
        job.ledger.abandon()
    with house(tmp_path, 3) as job:
        assert types(job.records()) == ["warcinfo", "resource", "request", "response"]


def test_killed_before_the_commit_everything_is_read_again(tmp_path: Path) -> None:
    crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)))
    with house(tmp_path) as job:
        asyncio.run(job.ledger.admit([FoundUrl(URL, "http://example.org", Kind.PAGE, 1)]))
    with house(tmp_path, 2) as job:  # the URL was in flight, and is queued again
        job.gather()
        assert job.states() == {URL: 2}


def test_what_no_commit_has_confirmed_is_not_noted_as_adopted(tmp_path: Path) -> None:
    crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)))
    asked = []

    def guard() -> None:
        asked.append(True)
        if len(asked) == 2:  # after the admission, before the commit
            raise LeaseLost("The lease ran out.")

    with house(tmp_path, guard=guard) as job:
        with pytest.raises(LeaseLost):
            job.gather()
        assert job.frontier.ask("SELECT * FROM container_files") == []
    with house(tmp_path, 2) as job:
        job.gather()
        assert types(job.records()) == ["request", "response"]


def test_other_tools_digests_are_checked_and_ours_is_added(tmp_path: Path) -> None:
    block = warcs.http_response(BODY)
    head = (
        ("WARC-Record-ID", warcs.record_id("old")),
        ("WARC-Date", warcs.DATE),
        ("WARC-Target-URI", URL),
        ("Content-Type", "application/http; msgtype=response"),
        ("WARC-Payload-Digest", warcs.sha1(BODY)),
    )
    right = warcs.record("response", block, (*head, ("WARC-Block-Digest", warcs.sha1(block))))
    crawler_file(tmp_path, packed(right))
    with house(tmp_path) as job:
        job.gather()
        job.ledger.abandon()
    with house(tmp_path, 2) as job:  # the open segment is salvaged by its digests
        (record,) = job.records()
        assert record.headers.all("WARC-Block-Digest") == (warcs.sha256(block),)
        assert record.block() == block
        assert job.states() == {URL: 2}


def test_a_record_that_belies_its_digest_is_not_adopted(tmp_path: Path) -> None:
    request, answer = warcs.exchange(URL, BODY)
    crawler_file(tmp_path, packed(answer.replace(b"A page", b"A wage"), request))
    with house(tmp_path) as job:
        job.gather()
        assert job.records() == []
        assert job.states() == {}
        assert job.frontier.ask("SELECT what FROM remarks") == [(DAMAGED,)]


def test_a_revisit_waits_for_its_original_in_another_file(tmp_path: Path) -> None:
    again = "http://example.org/again"
    crawler_file(tmp_path, packed(warcs.revisit(again, URL, BODY)), worker=0)
    with house(tmp_path) as job:
        job.gather(ended=False, quiet_seconds=0.0)
        assert job.states().get(again) != 2
        crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)), worker=1, serial=2)
        job.gather(ended=True)
        assert job.states() == {URL: 2, again: 2}
        assert sorted(types(job.records())) == ["request", "response", "revisit"]


def test_the_original_of_a_revisit_is_fetched_though_it_was_passed_over(tmp_path: Path) -> None:
    crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)), serial=1)
    changed = response("changed", URL, b"changed", WARC_Payload_Digest=warcs.sha1(b"changed"))
    refers = warcs.revisit("http://example.org/2", URL, b"x").replace(
        warcs.sha256(b"x").encode(), warcs.sha1(b"changed").encode()
    )
    crawler_file(tmp_path, packed(changed, refers), serial=2)
    with house(tmp_path) as job:
        job.gather()
        assert types(job.records()) == ["request", "response", "response", "revisit"]
        digests = job.frontier.ask(
            "SELECT payload_digest FROM captures WHERE kind = 'revisit' OR url_id IS NULL"
            " AND kind = 'response'"
        )
        assert digests == [(warcs.sha256(b"changed"),)] * 2


def test_a_revisit_without_its_original_is_left_and_its_url_stays_open(tmp_path: Path) -> None:
    again = "http://example.org/again"
    crawler_file(tmp_path, packed(warcs.revisit(again, "http://example.org/gone", b"gone")))
    with house(tmp_path) as job:
        job.gather()
        assert job.states() == {again: 0}
        assert job.frontier.ask("SELECT what FROM remarks") == [(LONELY,)]


def test_a_passing_answer_is_kept_and_a_later_one_settles_the_url(tmp_path: Path) -> None:
    busy = response("busy", URL, b"later", "503 Service Unavailable")
    path = crawler_file(tmp_path, packed(busy))
    with house(tmp_path) as job:
        job.gather(ended=False, quiet_seconds=0.0)
        assert job.frontier.ask("SELECT state, tries, reason FROM urls") == [(0, 1, "answered 503")]
        path.write_bytes(path.read_bytes() + packed(busy.replace(b"503 S", b"429 S")))
        path.write_bytes(path.read_bytes() + packed(*warcs.exchange(URL, BODY)))
        job.gather()
        assert job.states() == {URL: 2}
        assert types(job.records()).count("response") == 2


def test_an_answer_to_a_post_belongs_to_no_url(tmp_path: Path) -> None:
    _, answer = warcs.exchange(URL, BODY)
    block = b"POST /0 HTTP/1.1\r\nHost: example.org\r\n\r\n"
    asked = warcs.record("request", block, warcs.common("post", URL, block, "application/http"))
    crawler_file(tmp_path, packed(answer, asked, *warcs.exchange("http://example.org/1", b"1")))
    with house(tmp_path) as job:
        job.gather()
        assert job.states() == {"http://example.org/1": 2}
        assert types(job.records()) == ["request", "response"] * 2


def test_a_redirect_is_known_for_what_it_leads_to(tmp_path: Path) -> None:
    answer = response("r", URL, b"", "301 Moved Permanently").replace(
        b"Content-Type: text/html\r\nContent-L", b"Location: /moved\r\nContent-Type: a\r\nContent-L"
    )
    block = answer.partition(b"\r\n\r\n")[2][:-4]
    fields = warcs.common("r", URL, block, "application/http; msgtype=response")
    crawler_file(tmp_path, packed(warcs.record("response", block, fields)))
    with house(tmp_path) as job:
        job.gather()
        assert job.frontier.ask("SELECT target FROM redirects") == [("http://example.org/moved",)]


def test_a_file_of_one_gzip_member_is_unpacked_once_it_is_closed(tmp_path: Path) -> None:
    plain = b"".join([*warcs.exchange(URL, BODY), *warcs.exchange("http://example.org/1", b"1")])
    crawler_file(tmp_path, gzip.compress(plain))
    with house(tmp_path) as job:
        job.gather(ended=False)
        assert job.states() == {}
        job.gather()
        assert job.states() == {URL: 2, "http://example.org/1": 2}
        assert types(job.records()) == ["request", "response"] * 2
        assert not (tmp_path / "work" / "unpacked.warc").exists()


def test_a_page_queued_by_the_crawler_is_queued_in_our_frontier_once(tmp_path: Path) -> None:
    crawler_file(tmp_path, packed(*warcs.exchange(URL, BODY)))
    with house(tmp_path) as job:
        job.gather()
        scope = Scope(ScopeRules(hosts=("example.org",)))
        settlement = Settlement(job.frontier, job.ledger, scope, SystemClock(), 3)
        queue = [URL, "http://example.org/new#part", "http://elsewhere.example/"]
        asyncio.run(settlement.hand_over(queue))
        asyncio.run(settlement.hand_over(queue))
        assert job.states() == {URL: 2, "http://example.org/new": 0}
        assert job.frontier.counts == job.frontier.count()
