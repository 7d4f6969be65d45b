"""Two texts compared: nothing is lost, and what matters weighs most."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search.compare import alignment, document
from healtharchive.search.compare.comparison import Comparison, Kind, compare
from healtharchive.search.compare.document import Document, Heading, common_blocks
from healtharchive.search.compare.headings import headings_in
from healtharchive.search.compare.weighing import weigh
from healtharchive.search.compare.wording import Fact, Mark, compared_runs, plain_runs, tokens
from healtharchive.search.extract import page_text

SENTENCES = [
    "Take 5 mg with food.",
    "Take 10 mg with food.",
    "Do not take it with alcohol.",
    "Children under 12 should see a doctor.",
    "Date modified: 2026-03-01",
    "Yes",
    "No",
]
HEADINGS = [Heading(1, "Dosage"), Heading(2, "Who can take it"), Heading(2, "Side effects")]
LINES = st.one_of(
    st.sampled_from(SENTENCES),
    st.sampled_from([each.text for each in HEADINGS]),
    st.just(""),
    st.text(max_size=30),
)
PAGE = """Dosage

Adults take 5 mg of the medicine once daily with a glass of water.
Children under 12 years take 2.5 mg once daily.
The medicine is approved for people with the disease.

Side effects

Some people feel dizzy after taking the medicine for a while.
Talk to your doctor about every side effect that you notice at home.
You should not drive after taking the medicine.

Date modified: 2026-03-01"""


def read(text: str, language: str = "en", common: frozenset[str] = frozenset()) -> Document:
    return document.document("", text, language, HEADINGS, common)


def score(old: str, new: str, common: frozenset[str] = frozenset()) -> float:
    return weigh(compare(read(old, common=common), read(new, common=common))).score


def after(comparison: Comparison) -> list[str]:
    """What the comparison makes of the old page: the new one's sentences, in order."""
    return [each.new for each in comparison.pieces if each.new]


def before(comparison: Comparison) -> Counter[str]:
    return Counter(each.old for each in comparison.pieces if each.old)


def texts(page: Document) -> list[str]:
    return [each.text for each in page.sentences]


@given(st.lists(LINES, max_size=25), st.lists(LINES, max_size=25))
def test_the_comparison_applied_to_the_old_page_gives_the_new_one(
    old_lines: list[str], new_lines: list[str]
) -> None:
    old, new = read("\n".join(old_lines)), read("\n".join(new_lines))
    found = compare(old, new)
    assert after(found) == texts(new)
    assert before(found) == Counter(texts(old))
    for piece in found.pieces:
        if piece.kind is not Kind.SAME:
            kept = "".join(run.text for run in piece.runs if run.mark is not Mark.ADDED)
            assert kept.split() == piece.old.split()
            made = "".join(run.text for run in piece.runs if run.mark is not Mark.REMOVED)
            assert made == piece.new
    moved = Counter(each.kind for each in found.pieces)
    assert moved[Kind.MOVED_AWAY] == moved[Kind.MOVED_HERE]


@given(st.lists(LINES, max_size=25))
def test_a_page_is_no_other_than_itself(lines: list[str]) -> None:
    page = read("\n".join(lines))
    found = compare(page, page)
    assert not any(section.changed for section in found.sections)
    assert weigh(found).score == 0


@given(st.lists(LINES, max_size=25), st.lists(LINES, max_size=25))
def test_turned_round_it_says_the_opposite(old_lines: list[str], new_lines: list[str]) -> None:
    old, new = read("\n".join(old_lines)), read("\n".join(new_lines))
    there, back = weigh(compare(old, new)), weigh(compare(new, old))
    assert there.score == back.score
    assert (there.added_words, there.removed_words) == (back.removed_words, back.added_words)


@given(st.text(), st.text(), st.sampled_from(["en", "fr", ""]))
def test_whatever_a_page_holds_it_is_compared(one: str, other: str, language: str) -> None:
    found = compare(
        document.document(one[:9], one, language), document.document(other[:9], other, language)
    )
    assert 0 <= weigh(found).score <= 1
    assert "".join(token.text for token in tokens(one, language)) == one


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.lists(st.sampled_from("abcdef")))
def test_links_rise_and_join_what_is_equal(old: list[str], new: list[str]) -> None:
    links = alignment.in_order(old, new)
    assert all(old[i] == new[j] for i, j in links)
    for (i, j), (next_i, next_j) in pairwise(links):
        assert i < next_i
        assert j < next_j
    assert alignment.in_order(new, old) == [(j, i) for i, j in links]


CHANGES = {
    "dose": PAGE.replace("5 mg of", "50 mg of"),
    "number": PAGE.replace("under 12 years", "under 6 years"),
    "negation": PAGE.replace("should not drive", "should drive"),
    "removed": PAGE.replace("Some people feel dizzy after taking the medicine for a while.\n", ""),
    "wording": PAGE.replace("a glass of water", "a cup of water"),
    "moved": PAGE.replace("Talk to", "X").replace("X", "Talk to"),
    "date modified": PAGE.replace("2026-03-01", "2026-04-02"),
    "cookies": "We use cookies on this site. Accept all cookies\n" + PAGE,
}


def test_facts_outweigh_sentences_and_these_wording_and_the_frame_is_nothing() -> None:
    found = {name: score(PAGE, page) for name, page in CHANGES.items()}
    facts = min(found["dose"], found["number"], found["negation"])
    assert facts > found["removed"] > found["wording"] > 0
    assert found["date modified"] == found["cookies"] == 0


def test_many_lesser_changes_never_outweigh_one_fact() -> None:
    words = PAGE.replace("the medicine", "this drug").replace("people", "patients")
    assert score(PAGE, words) < score(PAGE, CHANGES["removed"])
    removed = "\n".join(line for line in PAGE.split("\n") if "a" not in line or "Date" in line)
    assert score(PAGE, removed) < score(PAGE, CHANGES["dose"])


def test_the_frame_is_shown_though_it_weighs_nothing() -> None:
    found = compare(read(PAGE), read(CHANGES["date modified"]))
    (piece,) = [each for each in found.pieces if each.kind is not Kind.SAME]
    assert (piece.kind, piece.frame) == (Kind.CHANGED, True)


def test_what_most_pages_of_a_site_have_is_its_frame() -> None:
    menu = "Travel advice for Canadians\n"
    common = common_blocks([menu + f"Page {number}" for number in range(9)])
    assert score(PAGE, menu + PAGE) > 0
    assert score(PAGE, menu + PAGE, common) == 0
    assert common_blocks([menu] * 3) == frozenset()  # three pages are no site


def test_a_section_that_moved_or_got_another_heading_is_found_again() -> None:
    first, second = PAGE.split("Side effects\n")
    turned = "Side effects\n" + second + "\n\n" + first
    found = compare(read(PAGE), read(turned))
    assert {each.kind for each in found.pieces} == {Kind.SAME}
    assert sum(section.moved for section in found.sections) == 1
    renamed = compare(read(PAGE), read(PAGE.replace("Side effects", "Who can take it")))
    kinds = Counter(each.kind for each in renamed.pieces)
    assert kinds[Kind.SAME] == len(texts(read(PAGE))) - 1


def test_a_sentence_that_moved_is_no_loss() -> None:
    line = "The medicine is approved for people with the disease.\n"
    moved = PAGE.replace(line, "").replace("Some people", line + "Some people")
    found = compare(read(PAGE), read(moved))
    assert [each.kind for each in found.pieces if each.counts] == [
        Kind.MOVED_AWAY,
        Kind.MOVED_HERE,
    ]
    assert 0 < weigh(found).score < 0.1
    assert weigh(found).removed_words == 0


@pytest.mark.parametrize(
    ("text", "language", "facts"),
    [
        ("Take 5 mg twice a day.", "en", {"5 mg": "dose", "twice": "number"}),
        ("Prenez 2,5 ml par jour.", "fr", {"2,5 ml": "dose"}),
        ("Il y a 1 000 cas.", "fr", {"1 000": "number"}),
        ("Depuis le 3 mars 2026, c’est permis.", "fr", {"3 mars 2026": "date"}),
        ("On March 3, 2026 it ends.", "en", {"March 3, 2026": "date"}),
        ("You may wait until 3 May 2026.", "en", {"may": "advice", "3 May 2026": "date"}),
        ("As of 2026-03-01.", "en", {"2026-03-01": "date"}),
        ("Do not use. Don’t.", "en", {"not": "negation", "Don’t": "negation"}),
        ("Ne prenez pas.", "fr", {"Ne": "negation", "pas": "negation"}),
        ("Il n’est plus offert.", "fr", {"n’": "negation", "plus": "negation"}),
        ("Prenez-en plus.", "fr", {}),
        ("COVID-19 and B12 are names.", "en", {}),
        ("Give 10 mg/kg or 5%.", "en", {"10 mg/kg": "dose", "5%": "dose"}),
        ("Vous devez éviter le soleil.", "fr", {"devez": "advice", "éviter": "advice"}),
    ],
)
def test_facts_are_told_apart(text: str, language: str, facts: dict[str, str]) -> None:
    found = {run.text: run.fact.value for run in plain_runs(text, language) if run.fact}
    assert found == facts


def test_the_same_number_written_otherwise_is_the_same() -> None:
    for one, other, language in [
        ("1 000", "1\u202f000", "fr"),
        ("1,000", "1 000", "en"),
        ("2,5 ml", "2.5 ml", "fr"),
    ]:
        assert {run.mark for run in compared_runs(one, other, language)} == {Mark.SAME}
    assert {run.mark for run in compared_runs("1,000", "1000", "fr")} != {Mark.SAME}


def test_only_the_words_that_changed_are_marked() -> None:
    runs = compared_runs("Take 5 mg daily.", "Take 10 mg daily.", "en")
    assert [(run.text, run.mark, run.fact) for run in runs] == [
        ("Take ", Mark.SAME, None),
        ("5 mg", Mark.REMOVED, Fact.DOSE),
        ("10 mg", Mark.ADDED, Fact.DOSE),
        (" daily.", Mark.SAME, None),
    ]


def test_sentences_end_where_a_reader_ends_them() -> None:
    page = read("Ask Dr. Smith about 2.5 mg. He knows. See p. ex. Les doses (1). Done.")
    assert texts(page) == [
        "Ask Dr. Smith about 2.5 mg.",
        "He knows.",
        "See p. ex. Les doses (1).",
        "Done.",
    ]


def test_the_headings_of_a_page_are_its_sections() -> None:
    html = (
        "<h1>Dosage<a>¶</a></h1><ul><li>Adults</li></ul><p>Text.</p><h2>Adults</h2><p>5 mg</p>"
        "<h3>Old</h3><p>4 mg</p><h2>Children</h2><p>2 mg</p>"
    )
    text = page_text(html.encode(), "html", "text/html; charset=utf-8").text
    page = document.document("", text, "en", headings_in(html))
    assert [section.path for section in page.sections] == [
        ("Dosage",),
        ("Dosage", "Adults"),
        ("Dosage", "Adults", "Old"),
        ("Dosage", "Children"),
    ]


def test_a_huge_page_is_cut_and_says_so() -> None:
    seed = 20260124
    print("seed", seed)
    words = random.Random(seed)
    lines = [f"Row {words.randrange(1000)} of {words.choice(SENTENCES)}" for _ in range(40_000)]
    old = read("\n".join(lines))
    words.shuffle(lines)
    found = compare(old, read("\n".join(lines)))
    assert len(old.sentences) == document.MOST_SENTENCES
    assert found.note == document.CUT
    assert 0 < weigh(found).score <= 1
