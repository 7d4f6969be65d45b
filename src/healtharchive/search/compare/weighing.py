"""How much a comparison matters, 0 to 1, and what of it a person should read first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from healtharchive.search.compare.comparison import Comparison, Kind, Piece
from healtharchive.search.compare.wording import Fact, Mark

WEIGHTS = {
    Fact.DOSE: 1.0,
    Fact.NEGATION: 1.0,
    Fact.NUMBER: 0.8,
    Fact.ADVICE: 0.7,
    Fact.DATE: 0.5,
}
GRAVE = (Fact.DOSE, Fact.NEGATION, Fact.ADVICE)
# Bands, each above the next whatever lies in it: a changed fact, a sentence that came or went,
# wording. Within a band more is more, with a limit.
FACT_BAND = (0.70, 0.30)
SENTENCE_BAND = (0.40, 0.29)
WORDING_BAND = (0.10, 0.29)
ONLY_MOVED = 0.05
ENOUGH = 3.0  # so many changed facts or sentences fill most of their band
FULL_SENTENCE_WORDS = 6
MOST_EXAMPLES = 5
LONGEST_EXAMPLE = 300
WENT = (Kind.REMOVED, Kind.ADDED)


@dataclass(frozen=True, slots=True)
class Example:
    """One changed sentence for a list of changes."""

    kind: Kind
    section: str
    old: str
    new: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """`score` 0: nothing but the page's frame has changed, or nothing at all. Words are counted."""

    score: float
    added_words: int
    removed_words: int
    changed_sentences: int
    examples: tuple[Example, ...]


def weigh(comparison: Comparison) -> Weight:
    """The weight of a comparison, and its gravest changes, gravest first."""
    counted = [each for each in comparison.pieces if each.counts]
    added = sum(_words(each, Mark.ADDED) for each in counted if each.kind is not Kind.MOVED_HERE)
    removed = sum(
        _words(each, Mark.REMOVED) for each in counted if each.kind is not Kind.MOVED_AWAY
    )
    changed = sum(each.kind in (Kind.CHANGED, *WENT) for each in counted)
    return Weight(_score(counted), added, removed, changed, _examples(comparison))


def gravity(piece: Piece) -> float:
    """How much one sentence matters; only good for putting sentences in order."""
    if not piece.counts:
        return 0.0
    if piece.kind is Kind.CHANGED:
        return 10 * _facts(piece) + _wording(piece)
    return 2 * _sentence(piece) if piece.kind in WENT else 0.01


def _score(counted: Sequence[Piece]) -> float:
    changed = [each for each in counted if each.kind is Kind.CHANGED]
    facts = sum(_facts(each) for each in changed)
    sentences = sum(_sentence(each) for each in counted if each.kind in WENT)
    wording = sum(_wording(each) for each in changed)
    if facts:
        return _in_band(FACT_BAND, facts + sentences / 10 + wording / 50)
    if sentences:
        return _in_band(SENTENCE_BAND, sentences + wording / 10)
    if wording:
        return _in_band(WORDING_BAND, wording)
    return ONLY_MOVED if counted else 0.0


def _in_band(band: tuple[float, float], amount: float) -> float:
    low, height = band
    return round(low + height * (1 - math.exp(-amount / ENOUGH)), 4)


def _facts(piece: Piece) -> float:
    """A number that another one replaces counts once."""
    sides: dict[Mark, Counter[Fact]] = {Mark.REMOVED: Counter(), Mark.ADDED: Counter()}
    for mark, fact in piece.facts:
        sides[mark][fact] += 1
    changed = sides[Mark.REMOVED] | sides[Mark.ADDED]
    return sum(WEIGHTS[fact] * count for fact, count in changed.items())


def _sentence(piece: Piece) -> float:
    words = len((piece.old or piece.new).split())
    size = min(1.0, words / FULL_SENTENCE_WORDS)
    grave = any(fact in GRAVE for _, fact in piece.facts)
    return size * (0.5 if piece.heading else 2.0 if grave else 1.0)


def _wording(piece: Piece) -> float:
    """The share of a changed sentence's words that changed; a little for marks between them."""
    changed = max(_words(piece, Mark.REMOVED), _words(piece, Mark.ADDED))
    return max(0.02, changed / max(len(piece.old.split()), len(piece.new.split()), 1))


def _words(piece: Piece, mark: Mark) -> int:
    return sum(
        any(letter.isalnum() for letter in word)
        for run in piece.runs
        if run.mark is mark
        for word in run.text.split()
    )


def _examples(comparison: Comparison) -> tuple[Example, ...]:
    ranked = sorted(
        (
            (-gravity(piece), number, section.heading, piece)
            for section in comparison.sections
            for number, piece in enumerate(section.pieces)
            if piece.counts and piece.kind in (Kind.CHANGED, *WENT)
        ),
        key=lambda each: each[:2],
    )
    return tuple(
        Example(
            piece.kind,
            heading[:LONGEST_EXAMPLE],
            piece.old[:LONGEST_EXAMPLE],
            piece.new[:LONGEST_EXAMPLE],
            tuple(dict.fromkeys(fact for _, fact in piece.facts)),
        )
        for _, _, heading, piece in ranked[:MOST_EXAMPLES]
    )
