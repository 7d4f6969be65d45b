"""How alike two texts are, when a page replays well, and what a sample says of its crawl."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from healtharchive.crawl.browser.proxy import ProxyRequest
from healtharchive.crawl.browser.recorded import purpose_of
from healtharchive.crawl.browser.replayed import (
    Missing,
    Replayed,
    ReplayThresholds,
    replays_well,
    similarity,
    summary,
)
from healtharchive.crawl.quality import Thresholds, judge
from healtharchive.model.replays import Replays
from healtharchive.model.states import Quality
from tests.unit.test_quality import COUNTS, sound

WORDS = st.lists(st.sampled_from(["red", "lantern", "hangs", "above", "old", "mill"]), max_size=40)
LIMITS = ReplayThresholds()
GOOD = Replayed("http://a.example/", similarity=1.0, title_kept=True, requests=9)


# -- texts -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(WORDS, WORDS)
@example([], ["word"])
def test_likeness_is_a_share_and_the_same_either_way(one: list[str], other: list[str]) -> None:
    found = similarity(" ".join(one), " ".join(other))
    assert 0.0 <= found <= 1.0
    assert found == similarity(" ".join(other), " ".join(one))
    assert (found == 1.0) >= (one == other)


@settings(deadline=None)
@given(WORDS, st.sampled_from([" ", "\n", "\n\n \t"]))
def test_white_space_makes_no_difference(words: list[str], space: str) -> None:
    assert similarity(" ".join(words), space.join(words)) == 1.0


@settings(deadline=None)
@given(st.integers(1, 200))
def test_texts_without_a_common_word_have_nothing_in_common(number: int) -> None:
    assert similarity("here " * number, "there " * number) == 0.0
    assert similarity("here " * number, "") == 0.0


def test_a_word_of_a_hundred_costs_the_shingles_that_it_stands_in() -> None:
    words = [f"word{number}" for number in range(100)]
    changed = [*words[:50], "other", *words[51:]]
    # 96 shingles each, 5 of them with the word.
    assert similarity(" ".join(words), " ".join(changed)) == 91 / 101


def test_a_list_that_ends_early_is_less_alike_though_all_its_lines_are_the_same() -> None:
    line = "the same line again and again "
    assert similarity(line * 20, line * 10) < 0.6


# -- pages -----------------------------------------------------------------------------------


def lacking(purpose: str) -> Replayed:
    missing = Missing("GET", "http://a.example/x", purpose, "never found")
    return replace(GOOD, missing_count=1, missing=(missing,))


@pytest.mark.parametrize("purpose", ["document", "script", "style"])
def test_a_page_without_what_it_needs_does_not_replay(purpose: str) -> None:
    assert not replays_well(lacking(purpose), LIMITS)


@pytest.mark.parametrize("purpose", ["image", "font", "", "serviceworker"])
def test_a_page_without_an_ornament_replays(purpose: str) -> None:
    assert replays_well(lacking(purpose), LIMITS)


def test_a_page_that_failed_or_says_something_else_does_not_replay() -> None:
    assert replays_well(GOOD, LIMITS)
    assert replays_well(replace(GOOD, similarity=0.9), LIMITS)
    assert not replays_well(replace(GOOD, similarity=0.89), LIMITS)
    assert not replays_well(replace(GOOD, failure="hung: the page did not answer"), LIMITS)


@pytest.mark.parametrize(
    ("url", "fields", "purpose"),
    [
        ("http://a.example/x", (("Sec-Fetch-Dest", "style"),), "style"),
        ("http://a.example/x.js", (("Sec-Fetch-Dest", "empty"),), ""),
        ("http://a.example/x", (("Accept", "text/css,*/*;q=0.1"),), "style"),
        ("http://a.example/x", (("Accept", "text/html,application/xhtml+xml"),), "document"),
        ("http://a.example/x.js?v=2", (("Accept", "*/*"),), "script"),
        ("http://a.example/x.png?y=.js", (("Accept", "*/*"),), ""),
    ],
)
def test_what_a_request_is_for(url: str, fields: tuple[tuple[str, str], ...], purpose: str) -> None:
    assert purpose_of(ProxyRequest("GET", url, fields, b"")) == purpose


# -- the crawl -------------------------------------------------------------------------------


def test_a_crawl_is_incomplete_when_more_than_a_fifth_of_its_sample_does_not_replay() -> None:
    ill = replace(GOOD, url="http://a.example/ill", similarity=0.0)
    worst = "http://a.example/ill (text 0.00)"
    away = replace(GOOD, similarity=0.0, skipped="WARC file x is not on this machine.")
    for well, word in ((8, Quality.COMPLETE), (7, Quality.INCOMPLETE)):
        found = summary([GOOD] * well + [ill] * 2 + [away] * 5, LIMITS)
        assert found == Replays(well + 7, well, 5, worst)
        verdict = judge(sound(COUNTS, replays=found), Thresholds())
        assert verdict.word is word
        assert verdict.notes[-2] == f"of {well + 2} pages sampled {well} replay"
    assert verdict.reasons == (
        f"2 of 9 (22.2 %) pages of a sample do not replay, the worst {worst}",
    )


def test_the_worst_page_is_one_that_failed_then_the_least_alike_then_what_lacks_most() -> None:
    failed = replace(GOOD, url="a", failure="hung: it did not answer")
    unlike = replace(GOOD, url="b", similarity=0.123)
    bare = replace(lacking("script"), url="c")
    said = [
        "a (could not be rendered: hung: it did not answer)",
        "b (text 0.12)",
        "c (text 1.00, 1 that it needs missing)",
    ]
    pages = [failed, unlike, bare]
    for at, worst in enumerate(said):
        assert summary([GOOD, *reversed(pages[at:])], LIMITS).worst == worst
    assert summary([GOOD], LIMITS).worst == ""


def test_a_sample_of_which_nothing_is_known_leaves_the_verdict_as_it_is() -> None:
    away = replace(GOOD, skipped="WARC file x is not on this machine.")
    for pages, note in (([], "no page was rendered"), ([away], "1 sampled pages were not judged")):
        verdict = judge(sound(COUNTS, replays=summary(pages, LIMITS)), Thresholds())
        assert verdict.word is Quality.COMPLETE
        assert verdict.notes[-1].startswith(note)
