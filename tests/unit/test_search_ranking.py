"""In which order search finds pages that all have the words."""

from __future__ import annotations

from pathlib import Path

from healtharchive.search.index import SearchIndex
from healtharchive.search.query import Query, search
from tests.bench.search_corpus import Page, indexed

FILLER = "and so it was told in the old town " * 3


def found(directory: Path, text: str, *pages: Page) -> list[str]:
    """The titles of what is found; the pages are indexed in their order."""
    SearchIndex(directory).put([indexed(page, number) for number, page in enumerate(pages)])
    return [hit.title for hit in search(directory, Query(text=text)).hits]


def page(title: str, text: str, headings: str = "") -> Page:
    return Page(f"http://lab.example/{title}", "en", title, text, headings)


def test_words_that_stand_together_as_asked_rank_above_the_same_words_apart(
    tmp_path: Path,
) -> None:
    apart = page("apart", f"vaccine {FILLER} measles")
    together = page("together", f"measles vaccine {FILLER}")
    assert found(tmp_path, "measles vaccine", apart, together) == ["together", "apart"]


def test_a_word_in_the_title_ranks_above_the_same_word_in_the_text(tmp_path: Path) -> None:
    said = page("said", f"measles {FILLER}")
    titled = page("measles", f"rougeole {FILLER}")
    assert found(tmp_path, "measles", said, titled)[0] == "measles"


def test_a_word_in_a_heading_ranks_above_the_same_word_in_the_text(tmp_path: Path) -> None:
    said = page("said", f"measles {FILLER}")
    headed = page("headed", f"measles {FILLER}", "Measles and school")
    assert found(tmp_path, "measles", said, headed) == ["headed", "said"]


def test_small_words_between_do_not_keep_two_words_apart(tmp_path: Path) -> None:
    apart = page("apart", f"attachment {FILLER} email with a")
    together = page("together", f"email with attachment a {FILLER}")
    assert found(tmp_path, "email with attachment", apart, together) == ["together", "apart"]
