"""Real edits of pages rank above what their site changes around them: `make change-eval`, small."""

from __future__ import annotations

import pytest

from tests.bench import change_eval
from tests.bench.change_edits import FRAME, REAL, Pair, pairs, sources

SEED = 7


@pytest.fixture(scope="module")
def judged() -> list[change_eval.Judged]:
    print("seed", SEED)
    return change_eval.judge(list(pairs(sources(12, SEED), 4, SEED)))


def test_every_kind_of_edit_is_made(judged: list[change_eval.Judged]) -> None:
    assert {each.pair.kind for each in judged} == {*REAL, *FRAME}
    assert all(each.pair.old != each.pair.new for each in judged)


def test_real_edits_rank_above_the_frame(judged: list[change_eval.Judged]) -> None:
    scores = dict(enumerate(each.score for each in judged))
    found = change_eval.figures(scores, [each.pair for each in judged])
    assert found.auc == 1.0
    assert found.precision == 1.0
    assert found.grave_precision >= 0.9


def test_the_figures_tell_a_bad_ranking_from_a_good_one() -> None:
    given = [Pair(kind, "", "", "", "en") for kind in ("number", "wording", "navigation")]
    good = change_eval.figures({0: 0.9, 1: 0.2, 2: 0.0}, given)
    assert (good.auc, good.precision, good.grave_precision) == (1.0, 1.0, 1.0)
    bad = change_eval.figures({0: 0.1, 1: 0.0, 2: 0.9}, given)
    assert (bad.auc, bad.precision, bad.grave_precision) == (0.0, 0.5, 0.0)
    ties = change_eval.figures({0: 0.0, 1: 0.0, 2: 0.0}, given)
    assert (ties.auc, ties.precision) == (0.5, 0.5)
