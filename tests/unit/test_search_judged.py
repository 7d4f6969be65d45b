"""The measure of the search evaluation, and its judged queries."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bench.search_corpus import corpus
from tests.bench.search_eval import judged_queries, ndcg


def test_the_best_order_counts_one_and_nothing_found_counts_nothing() -> None:
    relevance = {"a": 3, "b": 1}
    assert ndcg(["a", "b"], relevance) == 1
    assert ndcg(["c"], relevance) == 0
    assert ndcg(["b", "a"], relevance) == pytest.approx((1 + 7 / 1.5849625) / (7 + 1 / 1.5849625))
    assert ndcg(["a", "b"], relevance) > ndcg(["a", "c", "b"], relevance)


def test_sixty_queries_are_judged_by_pages_that_there_are() -> None:
    queries = judged_queries()
    assert Counter(each.language for each in queries) == {"en": 30, "fr": 30}
    assert Counter(each.held_out for each in queries) == {True: 30, False: 30}
    names = {page.name for page in corpus()}
    for each in queries:
        assert set(each.relevance) <= names, each.text
        assert set(each.relevance.values()) <= {1, 2, 3}
        assert 3 in each.relevance.values(), each.text
