"""Which targets get the list of what is not shown, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from healtharchive.steward.keeping import Holder, plan

CHANGED = datetime(2026, 1, 24, 6, tzinfo=UTC)
BEFORE, AFTER = CHANGED - timedelta(minutes=1), CHANGED + timedelta(minutes=1)


def test_a_list_that_never_was_is_brought_nowhere() -> None:
    assert plan(None, [Holder("box", True, None)]) == []


def test_every_healthy_target_that_lacks_the_newest_list_gets_it() -> None:
    holders = [
        Holder("never", True, None),
        Holder("late", True, BEFORE),
        Holder("same moment", True, CHANGED),
        Holder("has it", True, AFTER),
        Holder("sick", False, None),
    ]
    assert [step.subject_id for step in plan(CHANGED, holders)] == ["never", "late", "same moment"]
