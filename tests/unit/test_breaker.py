"""The breaker of a target: a table of steps, and a model that looks and troubles drive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from healtharchive.model.states import TARGET_TRANSITIONS, TargetEvent, TargetState, step
from healtharchive.model.target import Verdict
from healtharchive.storage.breaker import (
    DEFINITE,
    LONGEST_GOOD_SECONDS,
    BreakerFacts,
    BreakerPolicy,
    Change,
    after_look,
    after_trouble,
)

NOW = datetime(2026, 1, 24, 3, tzinfo=UTC)
POLICY = BreakerPolicy(strikes=3, good_probes=3, good_seconds=4.0, forget_seconds=600.0)
VAGUE = [each for each in Verdict if each not in (*DEFINITE, Verdict.HEALTHY)]
CLOSED, OPEN, HALF_OPEN = TargetState.CLOSED, TargetState.OPEN, TargetState.HALF_OPEN


def facts(state: TargetState = CLOSED, **values: object) -> BreakerFacts:
    return BreakerFacts(state, NOW - timedelta(hours=1), **values)  # type: ignore[arg-type]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_every_verdict_is_definite_vague_or_healthy() -> None:
    assert set(VAGUE) == {Verdict.HUNG, Verdict.IO_ERROR}


@pytest.mark.parametrize("verdict", sorted(DEFINITE))
def test_row_01_a_definite_fault_opens_at_once(verdict: Verdict) -> None:
    change = after_look(facts(), verdict, NOW, POLICY)
    assert change.event is TargetEvent.TRIP
    assert change.columns["tripped_at"] == NOW
    assert change.columns["trip_streak"] == 1


@pytest.mark.parametrize("verdict", VAGUE)
def test_row_09_a_vague_fault_opens_with_the_third_strike(verdict: Verdict) -> None:
    steps = [after_look(facts(strikes=n), verdict, NOW, POLICY).event for n in range(3)]
    assert steps == [None, None, TargetEvent.TRIP]


@pytest.mark.parametrize("verdict", VAGUE)
def test_a_vague_fault_of_which_somebody_is_certain_opens_at_once(verdict: Verdict) -> None:
    assert after_look(facts(), verdict, NOW, POLICY, certain=True).event is TargetEvent.TRIP


def test_a_good_look_between_vague_ones_takes_the_strikes_back() -> None:
    change = after_look(facts(strikes=2), Verdict.HEALTHY, NOW, POLICY)
    assert (change.event, change.columns["strikes"]) == (None, 0)


@pytest.mark.parametrize("verdict", [each for each in Verdict if each is not Verdict.HEALTHY])
def test_a_bad_look_in_half_open_opens_again_whatever_it_is(verdict: Verdict) -> None:
    assert after_look(facts(HALF_OPEN), verdict, NOW, POLICY).event is TargetEvent.TRIAL_FAILED


@pytest.mark.parametrize("definite", [True, False])
def test_trouble_while_open_only_spoils_the_good_looks(definite: bool) -> None:
    seen = facts(OPEN, good_probes=5, good_since=NOW - seconds(9), tripped_at=NOW)
    change = after_trouble(seen, NOW, POLICY, definite=definite)
    assert change == Change(None, {"strikes": 1, "good_probes": 0, "good_since": None})


@pytest.mark.parametrize(
    ("looks", "lasted", "streak", "expected"),
    [
        (3, 4.0, 1, TargetEvent.PROBE_OK),
        (2, 60.0, 1, None),  # good for long, but looked at twice only
        (9, 3.9, 1, None),  # looked at often, but good for a moment only
        (9, 4.0, 2, None),
        (9, 8.0, 2, TargetEvent.PROBE_OK),
        (9, 19.0, 99, None),
        (9, 20.0, 99, TargetEvent.PROBE_OK),
        (3, 4.0, 0, TargetEvent.PROBE_OK),  # of a target that was never there before
    ],
)
def test_half_open_needs_looks_and_time(
    looks: int, lasted: float, streak: int, expected: TargetEvent | None
) -> None:
    seen = facts(OPEN, trip_streak=streak, good_probes=looks - 1, good_since=NOW - seconds(lasted))
    assert after_look(seen, Verdict.HEALTHY, NOW, POLICY).event is expected


def test_row_08_good_seconds_double_with_each_trip_and_have_an_end() -> None:
    waits = [POLICY.good_seconds_after(streak) for streak in range(10)]
    assert waits == [4, 4, 8, 16, 20, 20, 20, 20, 20, 20]


@pytest.mark.parametrize(
    ("ago", "ever_healthy", "streak"), [(599, True, 3), (600, True, 1), (5, False, 0)]
)
def test_trips_count_in_a_row_while_the_last_one_is_remembered(
    ago: float, ever_healthy: bool, streak: int
) -> None:
    seen = facts(tripped_at=NOW - seconds(ago), trip_streak=2, ever_healthy=ever_healthy)
    assert after_look(seen, Verdict.STALE, NOW, POLICY).columns["trip_streak"] == streak


@dataclass
class Told:
    """What the model remembers besides the breaker's own facts."""

    vague: int = 0
    good: int = 0
    good_at: datetime | None = None


class BreakerModel(RuleBasedStateMachine):
    """Anything may be seen at any time; whatever the order, the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.facts = BreakerFacts(CLOSED, NOW)
        self.told = Told()

    @rule(verdict=st.sampled_from(Verdict))
    def look(self, verdict: Verdict) -> None:
        before = self.facts
        change = after_look(before, verdict, self.now, POLICY)
        if verdict is Verdict.HEALTHY:
            self.told = Told(0, self.told.good + 1, self.told.good_at or self.now)
            self._is_well(before, change)
        else:
            self._is_bad(before, change, definite=verdict in DEFINITE)
        self._take(change)

    @rule(definite=st.booleans())
    def job_fails(self, definite: bool) -> None:
        before = self.facts
        change = after_trouble(before, self.now, POLICY, definite=definite)
        self._is_bad(before, change, definite=definite)
        self._take(change)

    @precondition(lambda self: self.facts.state is HALF_OPEN)
    @rule()
    def trial_gets_on(self) -> None:
        """Who closes is the register: that asks for a trial, or for nobody who waits."""
        self._take(Change(TargetEvent.TRIAL_OK))

    @rule(passed=st.floats(0.1, 400.0))
    def time_passes(self, passed: float) -> None:
        self.now += seconds(passed)

    @invariant()
    def streak_is_bounded(self) -> None:
        assert POLICY.good_seconds_after(self.facts.trip_streak) <= LONGEST_GOOD_SECONDS

    def _is_well(self, before: BreakerFacts, change: Change) -> None:
        assert change.event in (None, TargetEvent.PROBE_OK), "no look ever closes it"
        assert self.told.good_at is not None
        lasted = (self.now - self.told.good_at).total_seconds()
        enough = self.told.good >= POLICY.good_probes
        enough = enough and lasted >= POLICY.good_seconds_after(before.trip_streak)
        assert (change.event is TargetEvent.PROBE_OK) == (before.state is OPEN and enough)

    def _is_bad(self, before: BreakerFacts, change: Change, *, definite: bool) -> None:
        self.told = Told(vague=self.told.vague + 1)
        opens = definite or self.told.vague >= POLICY.strikes or before.state is HALF_OPEN
        assert (change.event is not None) == (opens and before.state is not OPEN)
        if change.event is not None and before.tripped_at is not None:
            soon = self.now - before.tripped_at < seconds(POLICY.forget_seconds)
            assert change.columns["trip_streak"] == (before.trip_streak + 1 if soon else 1)

    def _take(self, change: Change) -> None:
        self.facts = replace(self.facts, **change.columns)
        if change.event is not None:
            event(change.event)
            state = step(TARGET_TRANSITIONS, self.facts.state, change.event)
            self.facts = replace(self.facts, state=state, since=self.now)


BreakerModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreakerModel = BreakerModel.TestCase
