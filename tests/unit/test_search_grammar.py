"""What people type into the search box: every text has a reading, and reads the same again."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search.grammar import NAMES, Asked, Filter, Problem, moment, parse

# What texts are made of that are likely to confuse: quotes, colons, minuses, filter names.
pieces = st.sampled_from(
    [*NAMES, ":", "-", '"', "«", "»", "“", " ", "OR", "2026-01-24", "canada.ca/en", "é", "x", "\0"]
)
texts = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=30).map("".join))
words = st.from_regex(r"[a-zé]{1,8}", fullmatch=True)
phrases = st.lists(words, min_size=2, max_size=3).map(" ".join)
filters = st.one_of(
    st.builds(Filter, st.sampled_from(["source", "campaign"]), words, st.booleans()),
    st.builds(
        Filter, st.sampled_from(["title", "inurl"]), st.one_of(words, phrases), st.booleans()
    ),
    st.builds(Filter, st.just("type"), st.sampled_from(["html", "pdf", "text"]), st.booleans()),
    st.builds(Filter, st.just("lang"), st.sampled_from(["en", "fr"]), st.booleans()),
    st.builds(Filter, st.just("site"), st.sampled_from(["canada.ca", "b.org/en/x"]), st.booleans()),
    st.builds(
        Filter,
        st.sampled_from(["before", "after"]),
        st.dates(date(1990, 1, 1), date(2200, 12, 31)).map(date.isoformat),
    ),
)


@given(texts)
def test_any_text_has_a_reading_that_reads_the_same_again(text: str) -> None:
    asked = parse(text)
    assert parse(str(asked)) == asked


@given(st.lists(words, max_size=4), st.lists(filters, max_size=4, unique=True))
def test_words_and_filters_are_read_as_they_were_written(
    plain: list[str], some: list[Filter]
) -> None:
    written = " ".join([*plain, *map(str, some)])
    assert parse(written) == Asked(" ".join(plain), tuple(some))


@given(st.lists(filters, min_size=1, max_size=4, unique=True))
def test_a_filter_can_be_taken_away(some: list[Filter]) -> None:
    asked = Asked("measles", tuple(some))
    assert parse(str(asked.without(some[0]))).filters == tuple(some[1:])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site:Canada.ca/en/Public-Health/", Filter("site", "canada.ca/en/public-health")),
        ("site:https://www.canada.ca/en?x=1", Filter("site", "www.canada.ca/en")),
        ("-source:PHAC", Filter("source", "phac", excluded=True)),
        ("type:PDF", Filter("type", "pdf")),
        ("langue:FR", Filter("lang", "fr")),
        ("avant:2026-01", Filter("before", "2026-01-01")),
        ("après:2026", Filter("after", "2026-01-01")),
        ("-before:2026-01-24", Filter("after", "2026-01-24")),
        ('title:"school closures"', Filter("title", "school closures")),
        ("titre:« fermeture des écoles »", Filter("title", "fermeture des écoles")),
        ("inurl:covid-19", Filter("inurl", "covid-19")),
    ],
)
def test_filters_have_one_form(text: str, expected: Filter) -> None:
    assert parse(text) == Asked("", (expected,))


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("before:yesterday", "date"),
        ("after:2026-02-30", "date"),
        ("before:20260124", "date"),
        ("type:exe", "type"),
        ("lang:english", "language"),
        ("site:???a", "site"),
        ("author:smith", "unknown"),
    ],
)
def test_what_is_no_filter_stays_a_word_and_is_named(text: str, trouble: str) -> None:
    asked = parse(f"measles {text}")
    assert asked.words == f"measles {text}"
    assert asked.problems == (Problem(trouble, text),)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["https://www.canada.ca/en", "warning: measles", "type:", "12:30"])
def test_a_colon_alone_makes_no_filter(text: str) -> None:
    assert parse(text) == Asked(text)


def test_operators_of_the_words_are_left_to_them() -> None:
    assert (
        parse('measles OR rougeole -flu -"bird flu"').words
        == 'measles OR rougeole -flu -"bird flu"'
    )


def test_dates_are_days_months_or_years() -> None:
    assert moment("2026-01-24") == date(2026, 1, 24)
    assert moment("2026-3") == date(2026, 3, 1)
    assert (moment("9999"), moment("0000"), moment("²026"), moment("")) == (None, None, None, None)
