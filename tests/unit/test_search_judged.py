"""The measures of the search evaluation, its judged queries, and what a judge is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.search_corpus import corpus
from tests.bench.search_eval import lost, tables
from tests.bench.search_judged import Judged, judged_queries, ndcg, reciprocal_rank, unjudged
from tests.bench.search_pool import passages, pool


@dataclass(frozen=True)
class Fixed:
    """An engine that always finds the same."""

    name: str
    found: tuple[str, ...]

    def find(self, text: str, language: str, limit: int) -> list[str]:
        """The same."""
        return list(self.found[:limit])


def query(number: int, **grades: int) -> Judged:
    return Judged(f"en{number:02}", "some words", "Something.", grades)


def test_the_best_order_counts_one_and_nothing_found_counts_nothing() -> None:
    grades = {"a": 3, "b": 1}
    assert ndcg(["a", "b"], grades) == 1
    assert ndcg(["c"], grades) == 0
    assert ndcg(["b", "a"], grades) == pytest.approx((1 + 7 / 1.5849625) / (7 + 1 / 1.5849625))
    assert ndcg(["a", "b"], grades) > ndcg(["a", "c", "b"], grades)


def test_the_first_page_that_answers_counts_and_one_that_only_touches_it_does_not() -> None:
    assert reciprocal_rank(["touches", "answers"], {"touches": 1, "answers": 2}) == 0.5
    assert reciprocal_rank(["touches"], {"touches": 1, "answers": 2}) == 0


def test_a_page_that_nobody_read_is_counted_apart_from_one_that_does_not_answer() -> None:
    assert unjudged(["read", "unread"], {"read": 0}) == 1
    queries = [Judged(each, "words", "It.", {"read": 3}) for each in ("en01", "fr01", "en03")]
    answers = {"Ours": {each.id: ["read", "unread"] for each in queries}}
    lines = [each for each in tables(answers, queries).splitlines() if "Ours" in each]
    assert lines == ["| Ours | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 3 |"] * 2


def test_a_lost_query_is_named_with_who_answers_it_better() -> None:
    answers = {
        "Ours": {"en01": ["b", "a"], "en02": ["a"]},
        "Theirs": {"en01": ["a", "b"], "en02": ["b"]},
    }
    (line,) = lost(answers, [query(1, a=3, b=0), query(2, a=3, b=0)])
    assert line == "en01 some words: 0.63, Theirs 1.00"


def test_every_third_query_of_a_language_is_held_out_from_tuning() -> None:
    assert [query(number).held_out for number in range(1, 7)] == [False, False, True] * 2


def test_grades_are_read_in_the_format_of_trec(tmp_path: Path) -> None:
    queries = tmp_path / "queries.toml"
    queries.write_text('[[query]]\nid = "fr01"\ntext = "grippe"\nwanted = "La grippe."\n')
    grades = tmp_path / "pages.qrels"
    grades.write_text("fr01 0 http://a.example/ 3\nfr01 0 http://b.example/ 0\n")
    (found,) = judged_queries(queries, grades)
    assert found.language == "fr"
    assert found.grades == {"http://a.example/": 3, "http://b.example/": 0}


def test_sixty_queries_are_judged_by_pages_that_there_are() -> None:
    queries = judged_queries()
    assert Counter(each.language for each in queries) == {"en": 30, "fr": 30}
    assert Counter(each.held_out for each in queries) == {False: 40, True: 20}
    assert len({each.id for each in queries}) == len({each.text for each in queries}) == 60
    urls = {page.url for page in corpus()}
    for each in queries:
        assert set(each.grades) <= urls, each.text
        assert set(each.grades.values()) <= {0, 1, 2, 3}
        assert 3 in each.grades.values(), each.text


def test_a_judge_is_shown_what_nobody_read_in_an_order_of_no_engine() -> None:
    first = Fixed("first", tuple("abcdefgh"))
    second = Fixed("second", tuple("hgfedcbaij"))
    shown = pool([first, second], query(1, a=3))
    assert sorted(shown) == list("bcdefghij")
    assert shown == pool([second, first], query(1, a=3))
    assert shown not in (list("bcdefghij"), list("hgfedcbij"))


def test_a_judge_reads_the_stretch_with_most_of_the_words_accents_and_endings_aside() -> None:
    text = "Un vaccin. " + "x " * 400 + "Les vaccins, dès la première année." + " y" * 400
    (first, best) = passages(text, {"vacci", "annee"})
    assert first.startswith("Un vaccin.")
    assert "Les vaccins, dès la première année." in best
