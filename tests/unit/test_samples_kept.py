"""Which samples of progress are kept as they grow old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from healtharchive.model.progress_samples import Sample, surplus

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def sample(number: int, seconds: float, fence: int = 1) -> Sample:
    return Sample(number, 7, BEGIN + timedelta(seconds=seconds), fence, 0, number, 0, 0)


def test_the_first_of_each_ten_minutes_and_attempt_is_kept() -> None:
    samples = [sample(1, 0), sample(2, 30), sample(3, 599), sample(4, 600), sample(5, 630, fence=2)]
    assert surplus(samples, every_seconds=600, keep_from=BEGIN) == [2, 3]


def test_what_is_too_old_is_not_kept_at_all() -> None:
    samples = [sample(1, 0), sample(2, 3600)]
    assert surplus(samples, every_seconds=600, keep_from=BEGIN + timedelta(minutes=1)) == [1]


@given(st.lists(st.integers(min_value=0, max_value=100_000), unique=True, max_size=60))
def test_thinning_what_was_thinned_removes_nothing_more(moments: list[int]) -> None:
    samples = [sample(number, at) for number, at in enumerate(sorted(moments))]
    gone = set(surplus(samples, every_seconds=600, keep_from=BEGIN))
    left = [each for each in samples if each.id not in gone]
    assert surplus(left, every_seconds=600, keep_from=BEGIN) == []
    assert {int(each.at.timestamp() // 600) for each in left} == {
        int(each.at.timestamp() // 600) for each in samples
    }
