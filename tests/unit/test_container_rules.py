"""The crawler's log, its exit codes, and what is done about a crawl that has stalled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.container.exits import CODES, meaning
from healtharchive.crawl.container.logs import CrawlStatus, LogReader, read_stats
from healtharchive.crawl.container.stalls import (
    LADDERS,
    Spent,
    Trouble,
    Watched,
    charge,
    decide,
    forgive,
    look,
    restart_wait_seconds,
)
from healtharchive.model.container import ContainerOptions

DETAILS = {
    "crawled": 12,
    "total": 40,
    "pending": 2,
    "failed": 1,
    "limit": {"max": 50, "hit": False},
    "pendingPages": ['{"url":"https://a.example/1","depth":1}', {"url": "https://a.example/2"}],
}
STATUS = CrawlStatus(12, 40, 2, 1, 50, False, ("https://a.example/1", "https://a.example/2"))


def line(context: str, message: str, level: str = "info", at: int = 0, **details: Any) -> bytes:
    """A line as Browsertrix logs it."""
    entry = {
        "timestamp": f"2026-01-24T06:17:{at:02}.000Z",
        "logLevel": level,
        "context": context,
        "message": message,
        "details": details,
    }
    return json.dumps(entry).encode() + b"\n"


LOG = b"".join(
    [
        b"[zimit::INFO] Testing warc2zim args\n",
        line("worker", "Starting page", at=1, page="https://a.example/"),
        b'{"timestamp": "half a\n\x00\xff{{{\n[1,2]\n{"a":1}\n\n',
        line("pageStatus", "Page Finished", at=2, page="https://a.example/", loadState=4),
        line(
            "pageStatus", "Page Load Timeout, skipping page", "error", 3, page="https://a.example/2"
        ),
        line("general", "Page Load Timed Out", "error", 3, page="https://a.example/2"),
        line("pageStatus", "Page Load Failed", "warn", 4, page="u3", msg="net::ERR_HTTP2_PROTOCOL"),
        line(
            "pageStatus", "Page Load Failed: returned status 503", "error", 5, page="u4", status=503
        ),
        line("jsError", "Uncaught TypeError: timeout", "error", 6, page="u5"),
        line("crawlStatus", "Crawl statistics", at=7, **DETAILS),
        line("general", "Exiting, Crawl status: done", at=8),
    ]
)


@given(st.lists(st.integers(1, len(LOG)), max_size=30))
def test_a_log_reads_the_same_in_pieces_of_any_size(cuts: list[int]) -> None:
    reader = LogReader()
    begin = 0
    for cut in [*sorted(cuts), len(LOG)]:
        reader.feed(LOG[begin:cut])
        begin = cut
    assert reader.status == STATUS
    assert reader.final_status == "done"
    facts = reader.take()
    assert facts.pages == 1
    assert facts.troubles == {"timeout": 1, "network": 1, "http": 1}
    assert reader.take().pages == 0


def test_what_was_read_before_is_passed_over() -> None:
    first = LogReader()
    first.feed(LOG)
    again = LogReader(first.since)
    again.feed(LOG + line("pageStatus", "Page Finished", at=30, page="new"))
    assert again.take().pages == 1


def test_the_last_words_are_kept_for_whoever_asks_why() -> None:
    reader = LogReader()
    reader.feed(b"".join(b"word %d\n" % number for number in range(9)))
    assert list(reader.last_words) == [f"word {number}" for number in range(4, 9)]


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    reader = LogReader()
    for _ in range(40):
        reader.feed(b"x" * 100_000)
    assert len(reader._half) <= 1 << 20
    reader.feed(b"\n" + line("crawlStatus", "Crawl statistics", **DETAILS))
    assert reader.status == STATUS


def test_the_statistics_file_says_the_same() -> None:
    assert read_stats(json.dumps(DETAILS)) == STATUS
    assert read_stats("{") is None
    assert read_stats("{}") is None


# -- exit codes ------------------------------------------------------------------------------


def test_a_full_disk_is_no_success() -> None:
    for code in (3, 16):
        found = meaning(code, out_of_memory=False, final_status="", limit_hit=False)
        assert found.kind == "full"


@pytest.mark.parametrize("code", [1, 9, 22, 77])
def test_what_fails_after_the_crawl_does_not_undo_it(code: int) -> None:
    done = meaning(code, out_of_memory=False, final_status="done", limit_hit=False)
    assert (done.kind, done.code) == ("finished", code)
    assert meaning(code, out_of_memory=False, final_status="", limit_hit=False).kind == "crashed"


def test_a_killed_crawler_was_killed_whatever_it_said() -> None:
    assert meaning(137, out_of_memory=False, final_status="done", limit_hit=False).kind == "crashed"
    assert meaning(137, out_of_memory=True, final_status="", limit_hit=False).kind == "memory"


def test_the_limit_of_pages_ends_with_code_0() -> None:
    assert meaning(0, out_of_memory=False, final_status="done", limit_hit=True).kind == "limit"
    assert all(words for _, words in CODES.values())


# -- stalls ----------------------------------------------------------------------------------

OPTIONS = ContainerOptions(stall_seconds=100.0, error_window_seconds=60.0, workers=3)


def test_no_progress_for_the_window_is_a_stall() -> None:
    watched = Watched(0.0, (0, 0, 0))
    watched.note(50.0, (1, 0, 0), 1, {})
    assert look(watched, 149.0, OPTIONS) is None
    found = look(watched, 150.0, OPTIONS)
    assert found is not None
    assert (found.trouble, found.evidence) == ("stalled", {"idle_seconds": 100})


@pytest.mark.parametrize("kind", ["timeout", "http", "network"])
def test_errors_count_while_they_are_in_the_window_and_many(kind: str) -> None:
    watched = Watched(0.0)
    watched.note(10.0, (1,), 0, {kind: 9})
    assert look(watched, 11.0, OPTIONS) is None  # fewer than ten
    watched.note(12.0, (2,), 0, {kind: 1})
    found = look(watched, 12.0, OPTIONS)
    assert found is not None
    assert found.trouble == kind
    assert found.evidence[f"{kind}_seen"] == 10
    watched.note(13.0, (3,), 11, {})
    assert look(watched, 13.0, OPTIONS) is None  # fewer than half of what happened
    watched = Watched(0.0)
    watched.note(10.0, (1,), 0, {kind: 10})
    assert look(watched, 71.0, OPTIONS) is None  # too long ago


def test_each_ladder_is_climbed_to_its_end_and_no_budget_is_exceeded() -> None:
    options = ContainerOptions(workers=3, fewer_workers=5, back_offs=2, restarts=2)
    expected: dict[Trouble, list[str]] = {
        "stalled": ["fewer_workers"] * 2 + ["restart"] * 2 + ["other_engine"],
        "timeout": ["fewer_workers"] * 2 + ["back_off"] * 2 + ["restart"] * 2 + ["other_engine"],
        "http": ["fewer_workers"] * 2 + ["back_off"] * 2 + ["restart"] * 2 + ["other_engine"],
        "network": ["back_off"] * 2 + ["restart"] * 2 + ["other_engine"],
        "crashed": ["restart"] * 2 + ["other_engine"],
        "memory": ["fewer_workers"] * 2 + ["restart"] * 2 + ["other_engine"],
    }
    assert expected.keys() == LADDERS.keys()
    for trouble, steps in expected.items():
        spent = Spent(3)
        taken = []
        while not taken or taken[-1] != "other_engine":
            taken.append(decide(trouble, spent, options))
            spent = charge(spent, taken[-1], 5.0)
        assert taken == steps
        assert spent.workers >= 1


def test_budgets_are_full_again_after_a_long_good_time() -> None:
    spent = Spent(2, fewer_workers=1, restarts=20, last_at=1_000.0)
    options = ContainerOptions(forget_seconds=500.0)
    assert forgive(spent, 1_499.0, options) is spent
    assert forgive(spent, 1_500.0, options) == Spent(2)


def test_a_crawler_that_gets_nowhere_is_started_ever_more_slowly() -> None:
    waits = [restart_wait_seconds(number, ContainerOptions()) for number in range(9)]
    assert waits[:4] == [0.0, 5.0, 10.0, 20.0]
    assert waits[-1] == 300.0
