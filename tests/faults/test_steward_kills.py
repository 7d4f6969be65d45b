"""`python -m tests.faults.steward_kills` with fewer kills and a seed of its own."""

from __future__ import annotations

import random

import pytest

from tests.faults import steward_kills

KILLS = 5


@pytest.mark.timeout(280)
def test_rows_13_and_16_killing_whoever_ships_and_mends_loses_nothing_and_the_next_completes() -> (
    None
):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    assert steward_kills.run(KILLS, seed) == []
