"""Which items of two sequences belong together, in time that hardly grows faster than they do.

Patience: what stands once in both is matched first, in rising order; then what lies between. Every
function gives the same links, turned round, when its arguments are exchanged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

Link = tuple[int, int]

DEEPEST = 16  # levels of patience; deeper only what was made to be slow
LARGEST_GAP = 40_000  # old times new items that are compared each with each
LARGEST_PAIRING = 900


def in_order(old: Sequence[str], new: Sequence[str]) -> list[Link]:
    """Links (i, j) between equal items, both rising."""
    if list(new) < list(old):
        return [(i, j) for j, i in _matched(new, old)]
    return _matched(old, new)


def rising(links: Sequence[Link]) -> set[Link]:
    """A longest part of the links in which both numbers rise; the rest has been moved."""
    ordered = sorted(links)
    tails: list[int] = []  # the smallest end of a run of each length
    at: list[int] = []  # whose end that is
    before: list[int] = []
    for number, (_, j) in enumerate(ordered):
        length = bisect_left(tails, j)
        if length == len(tails):
            tails.append(j)
            at.append(number)
        else:
            tails[length], at[length] = j, number
        before.append(at[length - 1] if length else -1)
    found: set[Link] = set()
    number = at[-1] if at else -1
    while number >= 0:
        found.add(ordered[number])
        number = before[number]
    return found


def alike(old: Sequence[Counter[str]], new: Sequence[Counter[str]], least: float) -> list[Link]:
    """Links that do not cross between items whose words are alike to `least` (0 to 1) or more.

    Too many items to look at each with each are only linked by their place.
    """
    if _words(new) < _words(old):
        return [(i, j) for j, i in _paired(new, old, least)]
    return _paired(old, new, least)


def likeness(one: Counter[str], other: Counter[str]) -> float:
    """The share of words that two bags have in common (Dice), 0 to 1."""
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 1.0


def _words(items: Sequence[Counter[str]]) -> list[list[tuple[str, int]]]:
    return [sorted(each.items()) for each in items]


def _paired(old: Sequence[Counter[str]], new: Sequence[Counter[str]], least: float) -> list[Link]:
    if len(old) * len(new) > LARGEST_PAIRING:
        by_place = zip(range(len(old)), range(len(new)), strict=False)
        return [(i, j) for i, j in by_place if likeness(old[i], new[j]) >= least]
    scored = [
        (-likeness(a, b), i, j) for i, a in enumerate(old) for j, b in enumerate(new) if a & b
    ]
    found: list[Link] = []
    for score, i, j in sorted(scored):
        if -score >= least and all((i - a) * (j - b) > 0 for a, b in found):
            found.append((i, j))
    return sorted(found)


def _matched(old: Sequence[str], new: Sequence[str]) -> list[Link]:
    found: list[Link] = []
    waiting = [(0, len(old), 0, len(new), 0)]
    while waiting:
        start, end, other, stop, depth = waiting.pop()
        while start < end and other < stop and old[start] == new[other]:
            found.append((start, other))
            start, other = start + 1, other + 1
        while start < end and other < stop and old[end - 1] == new[stop - 1]:
            end, stop = end - 1, stop - 1
            found.append((end, stop))
        if start == end or other == stop:
            continue
        anchors = _anchors(old[start:end], new[other:stop]) if depth < DEEPEST else []
        if not anchors:
            found += _shifted(_by_force(old[start:end], new[other:stop]), start, other)
            continue
        anchors = _shifted(anchors, start, other)
        found += anchors
        for (i, j), (next_i, next_j) in zip(
            [(start - 1, other - 1), *anchors], [*anchors, (end, stop)], strict=True
        ):
            waiting.append((i + 1, next_i, j + 1, next_j, depth + 1))
    return sorted(found)


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[Link]:
    """Links between what stands exactly once on each side."""
    once_old = {key for key, count in Counter(old).items() if count == 1}
    once = once_old & {key for key, count in Counter(new).items() if count == 1}
    if not once:
        return []
    places = {key: j for j, key in enumerate(new) if key in once}
    return sorted(rising([(i, places[key]) for i, key in enumerate(old) if key in once]))


def _by_force(old: Sequence[str], new: Sequence[str]) -> list[Link]:
    if len(old) * len(new) > LARGEST_GAP:
        return []
    matcher: SequenceMatcher[str] = SequenceMatcher(None, old, new, autojunk=False)
    return [
        (block.a + step, block.b + step)
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    ]


def _shifted(links: Sequence[Link], i: int, j: int) -> list[Link]:
    return [(a + i, b + j) for a, b in links]
