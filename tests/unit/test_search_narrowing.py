"""Filters, facets and suggestions, over one small index."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search import suggestions
from healtharchive.search.facets import facets
from healtharchive.search.fields import hosts, likeness, paths
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.narrowing import Plan, Query, microseconds
from healtharchive.search.query import Results, search, search_in
from healtharchive.search.suggestions import LETTERS, distance, dropped, spelling

MEASLES = "Measles vaccination for children, naloxone kits and hydroxychloroquine"
ROUGEOLE = "La rougeole, l’épidémie et la vaccination des enfants: les vaccins"


def page(
    url: str, year: int, title: str, text: str, language: str = "en", source: str = "hc"
) -> IndexedPage:
    moment = microseconds(datetime(year, 6, 1, tzinfo=UTC))
    campaign = f"annual-{year}"
    return IndexedPage(
        key=f"{source} {url} {year}",
        page=f"{source} {url}",
        edition=f"{source} {campaign} {url}",
        url=url,
        source=source,
        campaign=campaign,
        language=language,
        kind="pdf" if url.endswith(".pdf") else "html",
        mime="",
        status=200,
        digest="",
        captured=moment,
        capture_id=1,
        snapshot_id=1,
        title=title,
        text=text,
    )


PAGES = [
    page("https://www.canada.ca/en/measles", 2024, "Measles", MEASLES),
    page("https://www.canada.ca/en/measles", 2026, "Measles", MEASLES + " now"),
    page("https://www.canada.ca/fr/rougeole", 2024, "Rougeole", ROUGEOLE, "fr"),
    page("https://cihr.example/en/grants.pdf", 2026, "Grants", "Grants for measles", source="cihr"),
    page("https://notcanada.ca/en/other", 2025, "Other", "Other measles pages"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    made = SearchIndex(tmp_path_factory.mktemp("index"))
    made.put(PAGES)
    return made


def found(index: SearchIndex, text: str, **fields: str) -> set[str]:
    results = search_in(index, Query(text=text, **fields))  # type: ignore[arg-type]
    return {hit.url.partition("://")[2] for hit in results.hits}


MEASLES_URL = "www.canada.ca/en/measles"
ROUGEOLE_URL = "www.canada.ca/fr/rougeole"
GRANTS_URL = "cihr.example/en/grants.pdf"
OTHER_URL = "notcanada.ca/en/other"


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("site:canada.ca", {MEASLES_URL, ROUGEOLE_URL}),
        ("site:canada.ca/en", {MEASLES_URL}),
        ("site:canada.ca/e", set()),
        ("measles -site:canada.ca", {GRANTS_URL, OTHER_URL}),
        ("site:canada.ca/fr site:cihr.example", {ROUGEOLE_URL, GRANTS_URL}),
        ("measles source:cihr", {GRANTS_URL}),
        ("measles -source:hc", {GRANTS_URL}),
        ("type:pdf", {GRANTS_URL}),
        ("lang:fr", {ROUGEOLE_URL}),
        ("title:measles", {MEASLES_URL}),
        ("measles -title:measles", {GRANTS_URL, OTHER_URL}),
        ("inurl:grants", {GRANTS_URL}),
        ("before:2025", {MEASLES_URL, ROUGEOLE_URL}),
        ("after:2025-06-02", {MEASLES_URL, GRANTS_URL}),
        ("campaign:annual-2025", {OTHER_URL}),
        ("measles before:nonsense", set()),
        ("-measles", {ROUGEOLE_URL}),
        ('title:"' + "measles " * 50 + '"', set()),
    ],
)
def test_filters_in_the_text_narrow(index: SearchIndex, text: str, urls: set[str]) -> None:
    assert found(index, text) == urls


@given(st.text(alphabet='ab:-"*~^()[]{} OR/\\+', max_size=40))
def test_no_text_breaks_a_search(index: SearchIndex, text: str) -> None:
    for each in (text, f"site:{text}", f'title:"{text}', f"measles -inurl:{text}"):
        results = search_in(index, Query(text=each))
        assert 0 <= results.exact <= results.total <= len(PAGES)


def counts(index: SearchIndex, text: str) -> dict[str, dict[str, int]]:
    plan = Plan(index, Query(text=text))
    return {
        facet.name: {each.value: each.count for each in facet.values}
        for facet in facets(index.searcher(), plan)
    }


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ("covid19", {1, 2, 3}),
        ("COVID19 vaccine", {1, 3}),
        ("covid-19", {1, 2}),
        ("covid20", set()),
        ("covid1", set()),
        ("-covid19 vaccine", {4}),
        ("covid19 -on", {1, 3}),
        ("covid19 OR years", {1, 2, 3, 4}),
        ('"covid19"', {3}),
        ("title:page19", {5}),
    ],
)
def test_a_word_with_its_number_is_found_where_they_stand_apart(
    tmp_path: Path, asked: str, numbers: set[int]
) -> None:
    texts = ("COVID-19 vaccine", "on Covid 19", "Covid19 and a vaccine", "19 years of the vaccine")
    index = SearchIndex(tmp_path)
    index.put(
        page(f"https://hc.example/{number}", 2024, f"Page {14 + number}", text)
        for number, text in enumerate((*texts, "and nothing else"), start=1)
    )
    hits = search_in(index, Query(text=asked)).hits
    assert {int(hit.url.rpartition("/")[2]) for hit in hits} == numbers
    marked = [piece.text for hit in hits for piece in hit.snippet if piece.highlighted]
    assert bool(marked) == bool(hits) or asked.startswith("title:")


@pytest.mark.parametrize("text", ["measles", "", "measles source:hc", "lang:fr", "before:2026"])
def test_a_facet_says_how_many_pages_its_choice_finds(index: SearchIndex, text: str) -> None:
    told = counts(index, text)
    assert told
    for name in ("source", "campaign", "lang", "type"):
        rest = " ".join(each for each in text.split() if not each.startswith(f"{name}:"))
        for value, count in told.get(name, {}).items():
            assert search_in(index, Query(text=f"{rest} {name}:{value}")).total == count
    rest = " ".join(each for each in text.split() if not each.startswith("before:"))
    for year, count in told["year"].items():
        asked = f"{rest} after:{year} before:{int(year) + 1}"
        assert search_in(index, Query(text=asked)).total == count


def test_a_facet_is_counted_without_its_own_filter(index: SearchIndex) -> None:
    assert counts(index, "measles source:cihr")["source"] == {"hc": 2, "cihr": 1}
    assert counts(index, "measles source:cihr")["type"] == {"pdf": 1}


def test_the_oldest_are_the_pages_first_seen(index: SearchIndex) -> None:
    hits = search_in(index, Query(text="measles", sort="oldest")).hits
    assert [hit.first_captured_at.year for hit in hits] == [2024, 2025, 2026]
    assert [hit.captured_at.year for hit in hits] == [2026, 2025, 2026]
    newest = search_in(index, Query(text="measles", sort="newest")).hits
    assert [hit.captured_at.year for hit in newest] == [2026, 2026, 2025]


def test_an_older_capture_that_comes_late_is_the_first(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path)
    index.put([PAGES[1]])
    index.put([PAGES[0]])
    (hit,) = search_in(index, Query(text="measles", sort="oldest")).hits
    assert (hit.captured_at.year, hit.first_captured_at.year, hit.captures) == (2026, 2024, 2)


def suggested(index: SearchIndex, text: str) -> str | None:
    results = search_in(index, Query(text=text))
    better = spelling(index, Query(text=text), results.exact)
    return better.text if better else None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mesles", "measles"),
        ("measels", "measles"),
        ("easles", "measles"),
        ("rougole", "rougeole"),
        ("epidmie", "épidémie"),
        ("hydroxycloroquin", "hydroxychloroquine"),
        ("vacination lang:fr", "vaccination lang:fr"),
        ("mesles -childern", "measles -childern"),
    ],
)
def test_a_misspelling_is_mended_from_the_archives_own_words(
    index: SearchIndex, typed: str, meant: str
) -> None:
    assert suggested(index, typed) == meant


@pytest.mark.parametrize(
    "typed",
    ["naloxone", "vaccins", "hydroxychloroquine", "measles", "épidémie", "epidemie", "zzzz"],
)
def test_words_that_the_archive_has_are_left_alone(index: SearchIndex, typed: str) -> None:
    assert suggested(index, typed) is None


def test_a_search_that_finds_nothing_says_which_filter_is_in_the_way(index: SearchIndex) -> None:
    plan = Plan(index, Query(text="measles source:hc lang:fr", kind="html"))
    assert [(each.name, each.total) for each in dropped(index.searcher(), plan)] == [("lang", 2)]


def test_pages_with_most_of_the_words_follow_those_with_all(index: SearchIndex) -> None:
    results = search_in(index, Query(text="measles vaccination kits elsewhere"))
    assert (results.exact, results.total, results.hits[0].title) == (0, 1, "Measles")
    both = search_in(index, Query(text="measles vaccination"))  # two words are meant together
    assert (both.exact, both.total) == (1, 1)
    assert found(index, '"measles vaccination" kits elsewhere') == set()


def test_pages_of_loose_results_do_not_overlap(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path)
    index.put(
        page(f"https://a.org/{n}", 2026, f"t{n}", "red green blue" if n < 3 else "red green")
        for n in range(9)
    )
    asked = [Query(text="red green blue", page=number, size=2) for number in range(1, 7)]
    results: list[Results] = [search_in(index, each) for each in asked]
    urls = [hit.url for each in results for hit in each.hits]
    assert {(each.exact, each.total) for each in results} == {(3, 9)}
    assert len(set(urls)) == len(urls) == 9
    assert all(int(url[-1]) < 3 for url in urls[:3])


def test_pages_that_say_the_same_do_not_fill_the_first_page(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path)
    copied = "The measles page " + " ".join(f"word{n}" for n in range(200))
    same = [page(f"https://a.org/copy{n}", 2026, "Measles", copied) for n in range(15)]
    other = [
        page(f"https://a.org/{n}/x", 2026, f"T{n}", f"Once measles, text {n} " * 30)
        for n in range(5)
    ]
    index.put([*same, *other])
    hits = search(tmp_path, Query(text="measles", size=10)).hits
    assert sum("copy" in hit.url for hit in hits[:6]) == 1
    everything = [
        hit.url for n in (1, 2) for hit in search(tmp_path, Query(text="measles", page=n)).hits
    ]
    assert len(set(everything)) == 20


def test_likeness_is_shared_by_texts_that_hardly_differ() -> None:
    text = " ".join(f"word{n}" for n in range(500))
    changed = [likeness(f"{text} captured on day {n}") for n in range(20)]
    assert max(changed.count(each) for each in changed) >= 10
    assert likeness(text) != likeness(" ".join(f"other{n}" for n in range(500)))


@given(st.text(max_size=80))
def test_any_url_has_hosts_and_paths(url: str) -> None:
    for each in (url, f"http://{url}"):
        assert isinstance(hosts(each), list)
        assert all(path.startswith("/") for path in paths(each))


def test_a_url_is_found_by_its_host_and_its_parents() -> None:
    assert hosts("HTTP://u@Www.Canada.ca:8080/x") == [
        "www.canada.ca:8080",
        "www.canada.ca",
        "canada.ca",
        "ca",
    ]
    assert paths("http://x/En//a?b/c#d/e") == ["/en", "/en/a"]


@pytest.mark.parametrize("typed", ["mesles", "mesles mezles meazles measlez measels"])
def test_few_of_many_words_are_compared_the_frequent_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    rare = " ".join(f"mesle{one}{other}x" for one in LETTERS for other in LETTERS)
    index = SearchIndex(tmp_path)
    index.put([page(f"https://a.example/{each}", 2024, "Measles", rare) for each in range(3)])
    index.put([PAGES[0]])  # measles is in one page more than the words like it
    compared = []

    def counted(one: str, other: str, most: int) -> int:
        compared.append(other)
        return distance(one, other, most)

    monkeypatch.setattr(suggestions, "distance", counted)
    monkeypatch.setattr(suggestions, "MOST_CANDIDATES", 5)
    suggested(index, typed)
    assert "measles" in compared
    assert len(compared) <= suggestions.MOST_RARE_WORDS * 5


letters = st.text(alphabet="abc", max_size=7)


def reference(one: str, other: str) -> int:
    """The distance by its definition: slips on words without their ends."""
    if not one or not other:
        return len(one) + len(other)
    found = [
        reference(one[:-1], other) + 1,
        reference(one, other[:-1]) + 1,
        reference(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    ]
    if len(one) > 1 and len(other) > 1 and one[-2:] == other[-1] + other[-2]:
        found.append(reference(one[:-2], other[:-2]) + 1)
    return min(found)


@given(st.text(alphabet="abcde", max_size=5), st.text(alphabet="abcde", max_size=5))
def test_distance_is_what_its_definition_says(one: str, other: str) -> None:
    assert distance(one, other, 2) == min(reference(one, other), 3)


@given(letters, letters)
def test_distance_is_the_same_from_both_sides_and_bounded(one: str, other: str) -> None:
    apart = distance(one, other, 3)
    assert apart == distance(other, one, 3)
    assert (apart == 0) == (one == other)
    assert apart <= 4


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("measles", "mesles", 1), ("measles", "measels", 1), ("abcd", "xbcx", 2), ("a", "abcd", 3)],
)
def test_distance_counts_slips(one: str, other: str, apart: int) -> None:
    assert distance(one, other, 2) == apart
