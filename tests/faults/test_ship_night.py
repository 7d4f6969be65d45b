"""Two of the incident's faults while shipping; `python -m tests.faults.ship_night` has all."""

from __future__ import annotations

import pytest

from tests.faults import ship_night

SECONDS = 20.0  # shorter than by command, so that one night without a fault serves as the measure

pytestmark = pytest.mark.timeout(280)


@pytest.mark.long
@pytest.mark.parametrize("name", ["partition", "full"])
def test_a_fault_of_the_box_is_not_noticed_by_the_crawl_and_costs_no_segment(name: str) -> None:
    lasts = ship_night.VARIANTS[name].seconds
    result, wrong = ship_night.run(name, seed=1, seconds=min(lasts, SECONDS))
    print(f"{name}: {result}")
    assert wrong == []
