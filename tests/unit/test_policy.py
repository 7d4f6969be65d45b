"""What follows from an attempt's end: one table of outcomes, and what may spend the budget."""

from __future__ import annotations

import dataclasses
import errno
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.attempts import Work
from healtharchive.model.blame import ERRNO_TABLE, Blame, classify_errno
from healtharchive.model.jobs import Job
from healtharchive.model.orders import Counts, Report
from healtharchive.model.states import JOB_TRANSITIONS, JobEvent, JobStatus
from healtharchive.work.parking import BackOff
from healtharchive.work.policy import (
    Exit,
    Moment,
    Outcome,
    RetryPolicy,
    ending_of,
    outcome_of_death,
    outcome_of_fault,
    outcome_of_report,
)

NOW = datetime(2026, 1, 24, 3, tzinfo=UTC)
POLICY = RetryPolicy(BackOff(), retry_seconds=60.0, index_retry_budget=3)
BUDGET = {Work.CRAWL: "retry_count", Work.INDEX: "index_retry_count"}
HELD = {Work.CRAWL: JobStatus.RUNNING, Work.INDEX: JobStatus.INDEXING}
works = pytest.mark.parametrize("work", list(Work))


def job_with(**columns: object) -> Job:
    values: dict[str, object] = dict.fromkeys((each.name for each in dataclasses.fields(Job)), None)
    numbers = "id source_id position retry_count index_retry_count park_count park_streak"
    values |= dict.fromkeys(numbers.split(), 0)
    values |= {"retry_budget": 3, "config": {}, "counts": Counts(), "status": JobStatus.RUNNING}
    return Job(**{**values, **columns})  # type: ignore[arg-type]


def decide(
    outcome: Outcome, work: Work = Work.CRAWL, *, ran: float = 5.0, **columns: object
) -> Any:
    moment = Moment(NOW, ran, (NOW,))
    return ending_of(job_with(**columns), work, outcome, moment, POLICY, lambda: 0.5)


@works
@pytest.mark.parametrize("word", ["complete", "limit"])
def test_a_crawl_that_came_to_its_end_is_complete(work: Work, word: str) -> None:
    report = Report("end", outcome=word, reason="pages" if word == "limit" else "")
    ending = decide(outcome_of_report(report, progressed=True), work)
    assert ending.event is (JobEvent.COMPLETE if work is Work.CRAWL else JobEvent.INDEX_DONE)
    if work is Work.CRAWL:
        assert ending.columns["outcome"] == word


@works
@pytest.mark.parametrize("number", sorted(ERRNO_TABLE))
def test_every_known_errno_parks_and_spends_no_retry(work: Work, number: int) -> None:
    ending = decide(outcome_of_fault(classify_errno(number)), work)
    assert ending.event is JobEvent.PARK
    assert ending.errno == number
    assert BUDGET[work] not in ending.columns
    assert ending.columns["not_before"] > NOW


def test_a_failed_crawl_is_handed_to_the_engine_that_it_names_once_and_spends_no_retry() -> None:
    report = Report("end", outcome="failed", reason="stalled", evidence={"next_engine": "http"})
    outcome = outcome_of_report(report, progressed=True)
    ending = decide(outcome, config={"limits": {"pages": 3}})
    assert ending.event is JobEvent.RELEASE
    assert ending.columns["config"] == {"limits": {"pages": 3}, "engine": "http"}
    assert "retry_count" not in ending.columns
    again = decide(outcome, config={"engine": "http"})
    assert again.event is JobEvent.RETRY_LATER


def test_an_engine_that_nobody_knows_is_no_engine() -> None:
    report = Report("end", outcome="failed", evidence={"next_engine": "steam"})
    ending = decide(outcome_of_report(report, progressed=True), config={})
    assert ending.event is JobEvent.RETRY_LATER


def test_waits_grow_with_each_park_and_begin_anew_after_a_good_run() -> None:
    outcome = outcome_of_fault(classify_errno(errno.ENOTCONN))
    waits = []
    for streak in range(4):
        ending = decide(outcome, park_streak=streak)
        waits.append((ending.columns["not_before"] - NOW).total_seconds())
    assert waits == [30, 60, 120, 240]
    assert decide(outcome, park_streak=9, ran=600.0).columns["park_streak"] == 1


@works
def test_failures_are_retried_until_the_budget_is_spent(work: Work) -> None:
    outcome = outcome_of_report(Report("end", outcome="failed", reason="no"), progressed=True)
    events = [decide(outcome, work, **{BUDGET[work]: spent}).event for spent in range(4)]
    assert events == [JobEvent.RETRY_LATER] * 3 + [JobEvent.FAIL]


@works
def test_a_stop_that_was_asked_for_releases(work: Work) -> None:
    told = outcome_of_report(Report("end", outcome="stopped", reason="told to"), progressed=False)
    late = outcome_of_death(-signal.SIGKILL, asked_to_stop="told to", progressed=False)
    assert {decide(each, work).event for each in (told, late)} == {JobEvent.RELEASE}


@works
def test_a_killed_child_costs_a_retry_only_when_it_had_not_got_on(work: Work) -> None:
    got_on = outcome_of_death(-signal.SIGKILL, asked_to_stop="", progressed=True)
    stuck = outcome_of_death(-signal.SIGKILL, asked_to_stop="", progressed=False)
    assert decide(got_on, work, **{BUDGET[work]: 3}).event is JobEvent.RELEASE
    assert decide(stuck, work).event is JobEvent.RETRY_LATER
    assert decide(stuck, work).columns[BUDGET[work]] == 1


def test_a_child_that_ends_without_a_word_is_a_bug() -> None:
    ending = decide(outcome_of_death(0, asked_to_stop="", progressed=True))
    assert (ending.event, ending.blame) == (JobEvent.RETRY_LATER, Blame.BUG)


@works
def test_nothing_is_written_for_a_fenced_attempt(work: Work) -> None:
    report = Report("end", outcome="fenced", reason="a higher token")
    assert decide(outcome_of_report(report, progressed=True), work) is None


@given(
    exit=st.sampled_from(sorted(set(Exit) - {Exit.FENCED})),
    work=st.sampled_from(list(Work)),
    progressed=st.booleans(),
    spent=st.integers(0, 5),
    streak=st.integers(0, 1000),
    ran=st.floats(0, 1e6),
)
def test_every_ending_is_a_legal_step_and_only_failures_spend_budget(
    exit: Exit, work: Work, progressed: bool, spent: int, streak: int, ran: float
) -> None:
    counters = {BUDGET[work]: spent, "park_streak": streak}
    ending = decide(Outcome(exit, "x", progressed=progressed), work, ran=ran, **counters)
    assert (HELD[work], ending.event) in JOB_TRANSITIONS
    failed = ending.event in (JobEvent.RETRY_LATER, JobEvent.FAIL)
    assert failed == (exit is Exit.FAILED or (exit is Exit.KILLED and not progressed))
    assert failed or ending.columns.get(BUDGET[work], 0) == 0
