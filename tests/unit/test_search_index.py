"""Which capture of a page is the latest, whatever the order in which captures are indexed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healtharchive.model.errors import SetupError
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.query import Query, lenient, microseconds, search

BEGINNING = date(2026, 1, 1)
CAMPAIGNS = ("annual-2026", "annual-2027")


def page(url: str, day: int, campaign: str) -> IndexedPage:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
    return IndexedPage(
        key=f"{url}:{day}",
        page=f"lab {url}",
        edition=f"lab {campaign} {url}",
        url=url,
        source="lab",
        campaign=campaign,
        language="en",
        kind="html",
        mime="text/html",
        status=200,
        digest=f"{url}:{day}",
        captured=microseconds(moment),
        capture_id=1,
        snapshot_id=1,
        title=f"day {day}",
        text="measles",
    )


def latest(pages: list[IndexedPage], last_day: int, campaign: str) -> set[str]:
    """The keys that a search as of a day finds, told by looking at all of them."""
    found: dict[str, IndexedPage] = {}
    for each in sorted(pages, key=lambda p: p.captured):
        early = each.captured < microseconds(BEGINNING + timedelta(days=last_day + 1))
        if early and campaign in ("", each.campaign):
            found[each.url] = each
    return {f"{each.url} {each.title}" for each in found.values()}


captured = st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from(CAMPAIGNS))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(captured, max_size=8, unique_by=lambda each: each[:2]),
    st.integers(0, 8),
    st.integers(0, 9),
    st.sampled_from(("", *CAMPAIGNS)),
)
def test_the_latest_capture_as_of_a_day_is_found(
    captures: list[tuple[str, int, str]], cut: int, last_day: int, campaign: str
) -> None:
    pages = [page(*each) for each in captures]
    with TemporaryDirectory() as directory:
        index = SearchIndex(Path(directory))
        index.put(pages[:cut])
        index.put(pages[cut:])
        index.put(pages[:1])  # once more changes nothing
        asked = Query(
            text="measles",
            campaign=campaign,
            date_to=BEGINNING + timedelta(days=last_day),
            size=20,
        )
        found = search(Path(directory), asked)
        everything = search(Path(directory), Query(all_captures=True, size=20))
    assert {f"{hit.url} {hit.title}" for hit in found.hits} == latest(pages, last_day, campaign)
    assert everything.total == len(pages)


def test_there_is_nothing_to_find_before_anything_is_indexed(tmp_path: Path) -> None:
    results = search(tmp_path / "none", Query(text="measles"))
    assert (results.total, results.pages) == (0, 1)
    assert not (tmp_path / "none").exists()


def test_an_index_of_an_older_format_is_named_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "meta.json").write_text("{}")
    with pytest.raises(SetupError, match=r"has format v1.*rebuild"):
        search(tmp_path, Query(text="measles"))
    SearchIndex(tmp_path).put([page("u", 1, "annual-2026")])
    assert search(tmp_path, Query(text="measles")).total == 1


def test_pages_of_results_do_not_overlap(tmp_path: Path) -> None:
    SearchIndex(tmp_path).put([page(f"u{n}", n, "annual-2026") for n in range(7)])
    asked = [Query(text="measles", sort="newest", page=n, size=3) for n in (1, 2, 3, 4)]
    found = [[hit.url for hit in search(tmp_path, each).hits] for each in asked]
    assert found == [["u6", "u5", "u4"], ["u3", "u2", "u1"], ["u0"], []]
    assert search(tmp_path, asked[0]).pages == 3


def test_what_people_type_keeps_its_words() -> None:
    assert lenient("l’influenza d'une école") == "influenza une école"
    assert lenient("the patient's title:guide (2026)") == "the patient title guide 2026"
    assert lenient('“public health" -flu - COVID-19') == '"public health" -flu COVID-19'
    assert lenient('half "open') == "half open"


@given(st.text(max_size=600))
def test_what_people_type_is_bounded_and_balanced(text: str) -> None:
    asked = lenient(text)
    assert len(asked) <= 500
    assert asked.count('"') % 2 == 0
