"""Do real edits rank above the page's frame? `python -m tests.bench.change_eval [--seed 1]`."""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healtharchive.search.compare.edition import weigh_pages
from healtharchive.search.extract import page_text
from tests.bench.change_edits import FRAME, REAL, Pair, pairs, sources

DOCUMENTS = 200
EACH = 40
CHARSET = "text/html; charset=utf-8"
GRAVE = ("number", "negation", "advice")


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair with its scores: ours, and the plain count of words that differ anywhere."""

    pair: Pair
    score: float
    plain: float


@dataclass(frozen=True, slots=True)
class Figures:
    """How well a ranking tells real edits from the frame: 1 is perfect, 0.5 is chance."""

    auc: float
    precision: float  # among the first N, where N is how many real edits there are
    grave_precision: float  # the same for changed facts among all


def judge(given: Sequence[Pair]) -> list[Judged]:
    """Every pair's scores."""
    return [Judged(each, ours(each), plain(each)) for each in given]


def ours(pair: Pair) -> float:
    """How much the change matters, by the very code that makes the feed."""
    old, new = (page_text(each.encode(), "html", CHARSET) for each in (pair.old, pair.new))
    return weigh_pages(old, new, pair.common).score


def plain(pair: Pair) -> float:
    """The baseline: how many words of the mark-up's text came or went."""
    old, new = (Counter(each.split()) for each in (pair.old, pair.new))
    return float((old - new).total() + (new - old).total())


def figures(scores: Mapping[int, float], given: Sequence[Pair]) -> Figures:
    """What a ranking by these scores is worth."""
    real = [at for at, pair in enumerate(given) if pair.real]
    grave = [at for at, pair in enumerate(given) if pair.kind in GRAVE]
    frame = [at for at, pair in enumerate(given) if not pair.real]
    auc = area([scores[at] for at in real], [scores[at] for at in frame])
    return Figures(auc, _first(scores, real, frame), _first(scores, grave, _others(given, grave)))


def area(above: Sequence[float], below: Sequence[float]) -> float:
    """How often one of the first is greater than one of the second; a tie is half."""
    wins = sum((a > b) + (a == b) / 2 for a in above for b in below)
    return wins / (len(above) * len(below))


def _first(scores: Mapping[int, float], wanted: Sequence[int], others: Sequence[int]) -> float:
    """The share of the wanted among the first, ties counted against us."""
    ranked = sorted([*others, *wanted], key=lambda at: -scores[at])  # stable: the others first
    chosen = ranked[: len(wanted)]
    return sum(at in set(wanted) for at in chosen) / len(wanted)


def _others(given: Sequence[Pair], wanted: Sequence[int]) -> list[int]:
    return [at for at in range(len(given)) if at not in set(wanted)]


def report(judged: Sequence[Judged], seconds: float, seed: int) -> str:
    """The figures as text."""
    given = [each.pair for each in judged]
    our = figures(dict(enumerate(each.score for each in judged)), given)
    base = figures(dict(enumerate(each.plain for each in judged)), given)
    frame = [each.score for each in judged if not each.pair.real]
    by_kind: dict[str, list[float]] = defaultdict(list)
    for each in judged:
        by_kind[each.pair.kind].append(each.score)
    lines = [
        f"seed {seed}: {len(judged)} pairs of {len({each.name for each in given})} pages, "
        f"{seconds / len(judged) * 1000:.1f} ms a pair",
        "",
        f"{'':18}{'ours':>8}{'words':>8}   (words: how many differ anywhere, the baseline)",
        f"{'AUC':18}{our.auc:8.3f}{base.auc:8.3f}   real edits above the frame",
        f"{'precision@real':18}{our.precision:8.3f}{base.precision:8.3f}",
        f"{'precision@facts':18}{our.grave_precision:8.3f}{base.grave_precision:8.3f}",
        "",
        f"{'kind':18}{'pairs':>6}{'median':>8}{'least':>8}{'most':>8}{'AUC':>8}",
    ]
    for kind in (*REAL, *FRAME):
        scores = sorted(by_kind[kind])
        auc = f"{area(scores, frame):8.3f}" if kind in REAL else ""
        middle = scores[len(scores) // 2]
        lines.append(f"{kind:18}{len(scores):6}{middle:8.3f}{scores[0]:8.3f}{scores[-1]:8.3f}{auc}")
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--each", type=int, default=EACH)
    asked = parser.parse_args()
    given = list(pairs(sources(asked.documents, asked.seed), asked.each, asked.seed))
    began = time.monotonic()
    judged = judge(given)
    print(report(judged, time.monotonic() - began, asked.seed))


if __name__ == "__main__":
    main()
