"""Campaign jobs come first while too few of them run; nothing that runs is stopped for them."""

from __future__ import annotations

import pytest

from healtharchive.model.turns import Turn
from healtharchive.steward.concurrency import Seen, plan


def turns(*names: str) -> tuple[Turn, ...]:
    """Jobs 1, 2, … by campaign, in the order in which they would be claimed."""
    return tuple(Turn(number, name, number) for number, name in enumerate(names, 1))


@pytest.mark.parametrize(
    ("running", "waiting", "least", "preferred"),
    [
        (0, turns("", "", "annual-2026"), 1, ["3"]),
        (1, turns("", "", "annual-2026"), 1, []),
        (0, turns("annual-2026", ""), 1, []),
        (0, turns("", ""), 1, []),
        (0, turns("", "a", "a", ""), 2, ["3"]),
        (0, turns("", "", "a", "a"), 2, ["4", "3"]),
        (0, turns("", "a"), 0, []),
    ],
    ids=[
        "others would come first",
        "enough run",
        "it is first already",
        "no campaign waits",
        "one of the two is within reach already",
        "both, the first of them last, so that it lies first",
        "the operator does not mind",
    ],
)
def test_what_is_preferred(
    running: int, waiting: tuple[Turn, ...], least: int, preferred: list[str]
) -> None:
    steps = plan(Seen(running, waiting, slots=4, taken=1), least)
    assert [each.subject_id for each in steps] == preferred
    assert not any(each.held for each in steps)


def test_where_no_place_is_free_it_is_told_and_nothing_is_stopped() -> None:
    prefer, begin = plan(Seen(0, turns("", "annual-2026"), slots=2, taken=2), 1)
    assert (prefer.what, prefer.held) == ("prefer", "")
    assert (begin.what, begin.subject_id) == ("begin", "annual-2026")
    assert "all 2 places hold jobs that run" in begin.held
