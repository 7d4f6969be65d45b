"""Rounds of reconcilers: gates, events and actions are the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.rounds import list_rounds, note_round
from healtharchive.model.tables import actions
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.process import Steward
from healtharchive.steward.rounds import Caps, Past, Step, objection, take_round
from tests.lab.queue import BEGINNING, SetClock, SetDatabase
from tests.lab.stewards import events_about, means_for

STEP = Step("oil", "door", "front", "it creaks", {"creaks": 3})


@dataclass
class Oiler:
    """A reconciler that does what the test tells it to."""

    steps: Sequence[Step] = (STEP,)
    caps: Caps = field(default_factory=Caps)
    error: Exception | None = None
    done: list[Step] = field(default_factory=list)
    name: str = "oiler"

    def every_seconds(self) -> float:
        return 1.0

    def plan(self) -> Sequence[Step]:
        return self.steps

    def apply(self, step: Step) -> str:
        if self.error is not None and step.subject_id == "front":
            raise self.error
        self.done.append(step)
        return "it is quiet now"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def means(database_url: str, tmp_path: Path, clock: SetClock) -> StewardMeans:
    return means_for(tmp_path, SetDatabase(database_url, clock), clock)


def outcomes(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(actions).order_by(actions.c.id))
        return [(row.what, row.outcome, row.why) for row in rows]


def test_what_is_applied_leaves_its_event_and_its_action(means: StewardMeans) -> None:
    (told,) = take_round(Oiler(), means)
    assert (told.outcome, told.why) == ("applied", "it is quiet now")
    (event,) = events_about(means.database, "door")
    assert (event.what, event.subject_id, event.why) == ("oil", "front", "it is quiet now")
    assert event.evidence == {"creaks": 3, "because": "it creaks"}
    assert outcomes(means.database) == [("oil", "applied", "it is quiet now")]


def test_a_dry_run_tells_the_same_steps_and_does_and_writes_nothing(means: StewardMeans) -> None:
    held = Step("paint", "door", "back", "it is old", held="it rains: not now")
    oiler = Oiler(steps=(STEP, held))
    told = take_round(oiler, means, dry_run=True)
    assert [(each.step, each.outcome) for each in told] == [(STEP, "planned"), (held, "refused")]
    assert oiler.done == []
    assert events_about(means.database, "door") == []
    assert outcomes(means.database) == []


def test_a_refusal_is_an_event_once_for_each_reason(means: StewardMeans) -> None:
    for reason in ("it rains: 3 mm", "it rains: 4 mm", "it snows", "it snows"):
        take_round(Oiler(steps=(Step("oil", "door", "front", "it creaks", held=reason),)), means)
    told = events_about(means.database, "door", what="oil_refused")
    assert [each.why for each in told] == ["it rains: 3 mm", "it snows"]


def test_what_cannot_be_done_costs_this_step_only(means: StewardMeans) -> None:
    oiler = Oiler(
        steps=(STEP, Step("oil", "door", "back", "it creaks too")),
        error=SetupError("There is no oil.", "Buy some."),
    )
    assert [each.outcome for each in take_round(oiler, means)] == ["failed", "applied"]
    whats = [each.what for each in events_about(means.database, "door")]
    assert whats == ["oil_failed", "oil"]
    assert outcomes(means.database)[0] == ("oil", "failed", "There is no oil. Buy some.")


def test_a_bug_ends_the_round_and_is_in_the_journal(means: StewardMeans) -> None:
    with pytest.raises(ZeroDivisionError):
        take_round(Oiler(error=ZeroDivisionError("by nothing")), means)
    (event,) = events_about(means.database, "door")
    assert (event.what, event.why) == ("oil_failed", "by nothing")


def test_a_quiet_step_leaves_no_event_of_its_own_unless_it_fails(means: StewardMeans) -> None:
    quiet = Step("oil", "door", "front", "it creaks", quiet=True)
    assert [each.outcome for each in take_round(Oiler(steps=(quiet,)), means)] == ["applied"]
    assert events_about(means.database, "door") == []
    take_round(Oiler(steps=(quiet,), error=SetupError("There is no oil.")), means)
    assert [each.what for each in events_about(means.database, "door")] == ["oil_failed"]


def test_caps_and_cooldown_count_what_was_really_done(means: StewardMeans, clock: SetClock) -> None:
    oiler = Oiler(caps=Caps(cooldown_seconds=60.0, per_hour=2, per_day=3))

    def outcome(seconds: float) -> tuple[str, str]:
        clock.advance(seconds)
        (told,) = take_round(oiler, means)
        return told.outcome, told.why.split(":")[0]

    assert outcome(0) == ("applied", "it is quiet now")
    assert outcome(59) == ("refused", "it was done a moment ago")
    assert outcome(1) == ("applied", "it is quiet now")
    assert outcome(600) == ("refused", "it was done 2 times in the last hour")
    assert outcome(3600) == ("applied", "it is quiet now")
    assert outcome(3601) == ("refused", "it was done 3 times in the last day")
    assert len(oiler.done) == 3


def test_a_clock_that_ran_ahead_holds_nothing_back(means: StewardMeans, clock: SetClock) -> None:
    oiler = Oiler(caps=Caps(cooldown_seconds=60.0, per_hour=1, per_day=1))
    clock.advance(7 * 86_400)
    assert [told.outcome for told in take_round(oiler, means)] == ["applied"]
    clock.advance(-7 * 86_400)  # somebody set it right
    assert [told.outcome for told in take_round(oiler, means)] == ["applied"]
    assert [told.outcome for told in take_round(oiler, means)] == ["refused"]


def test_a_deploy_lock_holds_back_all_but_what_is_urgent(means: StewardMeans) -> None:
    means.settings.deploy_lock.touch()
    age = means.deploy_lock_age_seconds()
    assert age is not None

    def why(step: Step, age: float | None) -> str:
        return objection(
            step,
            Past(None, 0, 0),
            Caps(),
            deploy_lock_age_seconds=age,
            deploy_lock_seconds=3600.0,
            now=BEGINNING,
        )

    urgent = Step("oil", "door", "front", "it creaks", urgent=True)
    assert why(STEP, 60.0) == "a deploy lock is set"
    assert (why(STEP, 3600.0), why(STEP, None), why(urgent, 60.0)) == ("", "", "")


def test_the_newest_round_of_each_reconciler_is_known(means: StewardMeans, clock: SetClock) -> None:
    database = means.database

    def note(name: str, **values: object) -> None:
        with database.begin() as connection:
            note_round(database, connection, name, seconds=2.0, **values)  # type: ignore[arg-type]

    note("b", rounds=5)
    note("a", error="no oil")
    clock.advance(10)
    note("a", error="no oil", applied=True)
    with database.read() as connection:
        first, second = list_rounds(connection)
    assert (first.name, first.rounds, first.failures, first.last_error) == ("a", 2, 2, "no oil")
    assert first.ended_at == BEGINNING + timedelta(seconds=10)
    assert (first.began_at, first.applied_at) == (BEGINNING + timedelta(seconds=8), first.ended_at)
    assert (second.rounds, second.failures, second.applied_at) == (5, 0, None)
    note("a")
    with database.read() as connection:
        again = list_rounds(connection)[0]
    assert (again.failures, again.last_error, again.rounds) == (0, None, 3)
    assert again.applied_at == first.applied_at


def test_what_an_earlier_version_looked_after_is_not_missed(means: StewardMeans) -> None:
    database = means.database
    with database.begin() as connection:
        for name in ("keeping", "of_an_earlier_version"):
            note_round(database, connection, name, seconds=1.0, every_seconds=60.0)
    Steward(means)._declare()
    with database.read() as connection:
        assert [each.name for each in list_rounds(connection)] == ["keeping"]
