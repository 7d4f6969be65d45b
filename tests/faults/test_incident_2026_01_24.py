"""The incident of 2026-01-24, replayed on real mounts with nobody awake.

`make incident` runs all eleven variants and prints their times; here are those that differ most in
what must be recognised and done, so that the whole suite stays within its time.
"""

from __future__ import annotations

import pytest

from tests.faults import incident

# The night itself, and with `make faults` two others.
IN_THE_SUITE = (
    "killed",
    *(pytest.param(each, marks=pytest.mark.long) for each in ("hang", "reboot")),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", IN_THE_SUITE)
def test_rows_01_06_34_the_night_heals_itself(variant: str) -> None:
    seed = 20260124
    times, wrong = incident.run(variant, seed)
    print(f"{variant}, seed {seed}: {times}")
    assert wrong == []


def test_every_variant_of_the_issue_is_there() -> None:
    assert len(incident.VARIANTS) == 11
