"""The state machines: what the tables say happens, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.errors import IllegalTransition
from healtharchive.model.states import (
    JOB_TRANSITIONS,
    SEGMENT_TRANSITIONS,
    TARGET_TRANSITIONS,
    JobEvent,
    JobStatus,
    SegmentEvent,
    SegmentState,
    TargetEvent,
    TargetState,
    sources_of,
    step,
)

MACHINES = [
    pytest.param(JOB_TRANSITIONS, JobStatus, JobEvent, JobStatus.QUEUED, id="job"),
    pytest.param(SEGMENT_TRANSITIONS, SegmentState, SegmentEvent, SegmentState.OPEN, id="segment"),
    pytest.param(TARGET_TRANSITIONS, TargetState, TargetEvent, TargetState.CLOSED, id="target"),
]


@pytest.mark.parametrize(("table", "states", "events", "begin"), MACHINES)
def test_every_state_can_be_reached_and_every_event_does_something(
    table: Any, states: Any, events: Any, begin: Any
) -> None:
    reached = {begin}
    for _ in states:
        reached |= {after for (before, _), after in table.items() if before in reached}
    assert reached == set(states)
    assert {event for _, event in table} == set(events)


@pytest.mark.parametrize(("table", "states", "events", "begin"), MACHINES)
def test_a_step_that_the_table_lacks_is_an_error(
    table: Any, states: Any, events: Any, begin: Any
) -> None:
    for state in states:
        for event in events:
            if (state, event) in table:
                assert step(table, state, event) is table[state, event]
                assert state in sources_of(table, event)
            else:
                with pytest.raises(IllegalTransition):
                    step(table, state, event)
                assert state not in sources_of(table, event)


@given(st.lists(st.sampled_from(JobEvent), max_size=60))
def test_whatever_happens_a_job_is_never_lost_and_runs_only_when_claimed(
    happenings: list[JobEvent],
) -> None:
    state = JobStatus.QUEUED
    for event in happenings:
        before = state
        try:
            state = step(JOB_TRANSITIONS, state, event)
        except IllegalTransition:
            assert state is before
            continue
        if state is JobStatus.RUNNING:
            assert event is JobEvent.CLAIM
        if state is JobStatus.INDEXING:
            assert event is JobEvent.CLAIM_INDEX
        if state is JobStatus.INDEXED:
            assert before is JobStatus.INDEXING


def test_a_job_can_get_on_from_every_state_but_the_last() -> None:
    for status in JobStatus:
        ways = [event for before, event in JOB_TRANSITIONS if before is status]
        assert ways, status
