"""Politeness: slower when a host struggles, as fast as allowed when it recovers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.hosts import GOOD_BEFORE_FASTER, UNREACHABLE_AFTER, HostPace
from healtharchive.model.source import Politeness

GENTLE = Politeness(delay_seconds=0.5, concurrency=4, max_delay_seconds=30.0)


def test_requests_to_a_host_are_as_far_apart_as_its_delay() -> None:
    pace = HostPace(GENTLE)
    pace.started(100.0)
    assert pace.wait_seconds(100.0) == 0.5
    assert pace.wait_seconds(100.5) == 0.0


def test_no_more_requests_run_at_once_than_allowed() -> None:
    pace = HostPace(GENTLE)
    for second in range(4):
        pace.started(float(second))
    assert pace.wait_seconds(10.0) == float("inf")
    pace.ended()
    assert pace.wait_seconds(10.0) == 0.0


def test_retry_after_closes_the_host_for_exactly_that_long() -> None:
    pace = HostPace(GENTLE)
    pace.struggling(10.0, 7.0, dead=False)
    assert pace.wait_seconds(10.0) == 7.0
    assert pace.wait_seconds(17.0) == 0.0


def test_it_says_who_asked_for_the_wait() -> None:
    pace = HostPace(GENTLE)
    pace.started(10.0)
    assert pace.why_it_waits(10.0) == "its source asks for that delay"
    pace.obey_crawl_delay(20.0)
    assert "Crawl-delay" in pace.why_it_waits(10.0)
    pace.struggling(10.0, dead=True)
    assert "it struggles" in pace.why_it_waits(10.0)
    pace.struggling(10.0, 600.0, dead=False)
    assert "Retry-After" in pace.why_it_waits(10.0)
    assert "Retry-After" not in pace.why_it_waits(610.0)


def test_a_host_that_recovers_is_asked_as_fast_as_before() -> None:
    pace = HostPace(GENTLE)
    for _ in range(6):
        pace.struggling(0.0, dead=True)
    assert pace.delay == GENTLE.max_delay_seconds
    assert pace.concurrency == 1
    for _ in range(GOOD_BEFORE_FASTER * 12):
        pace.good()
    assert pace.delay == GENTLE.delay_seconds
    assert pace.concurrency == GENTLE.concurrency


def test_a_crawl_delay_holds_however_good_the_answers() -> None:
    pace = HostPace(GENTLE)
    pace.obey_crawl_delay(5.0)
    for _ in range(GOOD_BEFORE_FASTER * 12):
        pace.good()
    assert pace.delay == 5.0
    assert pace.concurrency == 1


@given(st.lists(st.sampled_from(["good", "struggling", "dead"]), max_size=200))
def test_the_pace_never_leaves_its_bounds(answers: list[str]) -> None:
    pace = HostPace(GENTLE)
    dead = 0
    for answer in answers:
        if answer == "good":
            pace.good()
        else:
            pace.struggling(0.0, dead=answer == "dead")
        dead = dead + 1 if answer == "dead" else 0
        assert GENTLE.delay_seconds <= pace.delay <= GENTLE.max_delay_seconds
        assert 1 <= pace.concurrency <= GENTLE.concurrency
        assert pace.unreachable == (dead >= UNREACHABLE_AFTER)


def test_a_host_is_left_alone_as_long_as_it_asks_up_to_the_sources_bound() -> None:
    pace = HostPace(replace(GENTLE, max_retry_after_seconds=7200.0))
    pace.struggling(10.0, 7000.0, dead=False)
    assert pace.wait_seconds(10.0) == 7000.0
    pace.struggling(10.0, 90_000.0, dead=False)
    assert pace.wait_seconds(10.0) == 7200.0
    why = pace.why_it_waits(10.0)
    assert "asked to be left alone for 90000 s" in why
    assert "max_retry_after_seconds of its source (7200 s)" in why
