"""Folds what repeats: a thrashing job's journal becomes one passage and a count."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_PERIOD = 6  # claim, start, note, park … one turn of a loop is rarely longer


@dataclass(frozen=True, slots=True)
class Passage(Generic[T]):
    """A run of items that occurred `times` times in a row; `last` is its last occurrence."""

    first: tuple[T, ...]
    last: tuple[T, ...]
    times: int


def fold(items: Sequence[T], sameness: Callable[[T], Hashable]) -> list[Passage[T]]:
    """The items as passages, in order. Nothing is lost: lengths times counts add up.

    Two items repeat each other when `sameness` gives them equal keys. A passage of one item is
    folded from its second occurrence on, a longer one only from its third: twice is no pattern.
    """
    keys = [sameness(item) for item in items]
    passages: list[Passage[T]] = []
    at = 0
    while at < len(items):
        period, times = _best(keys, at)
        end = at + period * times
        passages.append(
            Passage(tuple(items[at : at + period]), tuple(items[end - period : end]), times)
        )
        at = end
    return passages


def _best(keys: Sequence[Hashable], at: int) -> tuple[int, int]:
    """The period that folds most items away at this place, and how often it repeats."""
    best = (1, 1)
    for period in range(1, LONGEST_PERIOD + 1):
        times = _repeats(keys, at, period)
        enough = times >= (2 if period == 1 else 3)
        if enough and (times - 1) * period > (best[1] - 1) * best[0]:
            best = (period, times)
    return best


def _repeats(keys: Sequence[Hashable], at: int, period: int) -> int:
    block = keys[at : at + period]
    times = 1
    while keys[at + times * period : at + (times + 1) * period] == block:
        times += 1
    return times
