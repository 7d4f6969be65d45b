"""An index of an older format answers, and is made anew beside it, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from healtharchive.model.database import Database
from healtharchive.model.errors import SetupError
from healtharchive.model.orders import IndexOrder
from healtharchive.search import formats, renewal
from healtharchive.search.facets import facets
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.narrowing import Plan
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.search.query import Query, search
from healtharchive.search.renewal import Renewed, renew
from healtharchive.search.suggestions import spelling_in
from healtharchive.steward import index_format
from healtharchive.steward.index_format import BEGUN, DROP, RENEW, IndexFormat
from healtharchive.steward.means import StewardMeans
from healtharchive.steward.observing import look
from healtharchive.steward.rounds import take_round
from tests.lab.captured import (
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    html_page,
    page_record,
)
from tests.lab.old_index import all_pages, make_old
from tests.lab.queue import ACTOR
from tests.lab.stewards import events_about, means_for

BODY = "<h2>How it is given</h2><p>Children are vaccinated against measles."
MEASLES = html_page("Measles", f"{BODY}</p><h2>At school</h2><p>Ask the nurse there.</p>")
ROUGEOLE = html_page("La rougeole", "<h2>À l’école</h2><p>Les enfants sont vaccinés.</p>", "fr")
MORE = [
    Page(f"/en/{number}", html_page(f"Page {number}", f"<h2>Section {number}</h2><p>Measles.</p>"))
    for number in range(4)
]
PAGES = (Page("/en/measles", MEASLES), Page("/fr/rougeole", ROUGEOLE), *MORE)
LATE = Page("/en/late", html_page("Late", "<h2>Very late</h2><p>Measles, indexed meanwhile.</p>"))
KILLED = """
import os, signal, sys
from pathlib import Path
from healtharchive.model.database import Database
from healtharchive.search import renewal
renewal.BATCH_PAGES = 2
def tell(doing):
    if doing.startswith("4 pages"):
        os.kill(os.getpid(), signal.SIGKILL)
renewal.renew(Path(sys.argv[1]), Database(sys.argv[2]), tell)
"""


@pytest.fixture
def means(tmp_path: Path, database: Database) -> StewardMeans:
    """An archive whose pages are indexed, and whose index has the format before this one."""
    found = means_for(tmp_path, database)
    index_pages(found, *PAGES)
    return found


def index_pages(means: StewardMeans, *pages: Page) -> IndexOrder:
    """Index a job of these pages as the worker does."""
    order = completed_job(means.database, means.settings.jobs_root)
    add_segment(order, [page_record(each) for each in pages])
    held, order = claim_index(means.database, order)
    index = SearchIndex(means.settings.search_dir)
    index_job(order, Tools(means.database, index, ACTOR, lambda _: None, lambda: None))
    finish_index(means.database, held)
    return order


def home_of(means: StewardMeans) -> Path:
    return means.settings.search_dir


def renewed(means: StewardMeans, tell: Callable[[str], None] = lambda _: None) -> Renewed:
    return renew(home_of(means), means.database, tell)


def once(action: Callable[[], object]) -> Callable[[str], None]:
    """Something that happens while the index is made anew, and only once."""
    waiting = [action]
    return lambda _: waiting.pop()() and None if waiting else None


def under_way_in(means: StewardMeans) -> str:
    return look(means.database, means.settings, means.clock).index_renewal


def without_headings(pages: dict[str, IndexedPage]) -> dict[str, IndexedPage]:
    return {key: replace(page, headings="") for key, page in pages.items()}


def test_an_older_index_answers_and_takes_what_is_indexed(means: StewardMeans) -> None:
    home = home_of(means)
    before = make_old(home)
    assert {page.headings for page in all_pages(home).values()} == {""}
    assert search(home, Query(text="measles school")).total == 1
    assert search(home, Query(text='"children are" rougeole OR measles')).total == 1
    assert spelling_in(home, Query(text="measels"), 0) is not None
    index = SearchIndex(home)
    assert facets(index.searcher(), Plan(index, Query(text="measles")))
    index_pages(means, LATE)
    assert search(home, Query(text="meanwhile")).total == 1
    index.remove([key for key, page in before.items() if page.url.endswith("/fr/rougeole")])
    assert search(home, Query(text="rougeole")).total == 0
    assert not (home / formats.FORMAT).exists()


def test_the_new_index_has_all_of_the_older_one_and_the_headings(means: StewardMeans) -> None:
    home = home_of(means)
    before = make_old(home)
    assert renewed(means) == Renewed(len(PAGES), len(PAGES))
    assert formats.serving(home).name == formats.FORMAT
    assert all_pages(home) == before
    (measles,) = [page for page in before.values() if page.url.endswith("/en/measles")]
    assert measles.headings.splitlines() == ["Measles", "How it is given", "At school"]
    assert renewed(means) == Renewed(0, 0)


def test_one_payload_is_read_once_for_all_its_captures(means: StewardMeans) -> None:
    index_pages(means, *PAGES)
    before = make_old(home_of(means))
    assert renewed(means) == Renewed(2 * len(PAGES), len(PAGES))
    assert all_pages(home_of(means)) == before


def test_a_page_whose_record_is_lost_keeps_its_text(means: StewardMeans) -> None:
    before = make_old(home_of(means))
    for file in means.settings.jobs_root.rglob("*.warc.gz"):
        file.unlink()
    renewed(means)
    assert all_pages(home_of(means)) == without_headings(before)


def test_what_is_indexed_and_removed_meanwhile_is_so_in_the_new_index(means: StewardMeans) -> None:
    home = home_of(means)
    gone, *_ = make_old(home)
    open_before = SearchIndex(home)

    def meanwhile() -> None:
        index_pages(means, LATE)
        open_before.remove([gone])

    renewed(means, once(meanwhile))
    found = all_pages(home)
    assert gone not in found
    assert search(home, Query(text="meanwhile")).total == 1
    assert "Late\nVery late" in {page.headings for page in found.values()}
    # Who had the older one open follows.
    open_before.remove(found)
    assert open_before.searcher().num_docs == search(home, Query(text="measles")).total == 0


def test_an_index_that_is_written_again_and_again_is_made_anew_all_the_same(
    means: StewardMeans, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(means)
    make_old(home)
    old = SearchIndex(home)
    passes: list[None] = []
    one_pass = renewal._Renewal._pass

    def disturbed(self: renewal._Renewal) -> bool:
        whole = one_pass(self)
        passes.append(None)
        if len(passes) <= renewal.FREE_PASSES:
            page = next(iter(all_pages(home).values()))
            old.put([replace(page, title=f"Title {len(passes)}")])
        return whole

    monkeypatch.setattr(renewal._Renewal, "_pass", disturbed)
    renewed(means)
    assert len(passes) == renewal.FREE_PASSES + 1
    assert formats.serving(home).name == formats.FORMAT
    assert f"Title {renewal.FREE_PASSES}" in {each.title for each in all_pages(home).values()}


def test_killed_midway_the_older_one_answers_and_the_next_attempt_goes_on(
    means: StewardMeans, database_url: str
) -> None:
    home = home_of(means)
    before = make_old(home)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home), database_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert formats.is_unfinished(home)
    assert all_pages(home) == without_headings(before)
    assert renewed(means) == Renewed(len(PAGES) - 4, len(PAGES) - 4)
    assert all_pages(home) == before


def test_when_its_time_is_over_it_goes_on_in_the_next_round(
    means: StewardMeans, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(means)
    before = make_old(home)
    reconciler = IndexFormat(means)
    assert under_way_in(means) == ""
    monkeypatch.setattr(index_format, "ROUND_SECONDS", -1.0)
    for _ in range(2):
        (told,) = take_round(reconciler, means)
        assert (
            told.why
            == "not all of it yet, the next round goes on: 0 pages written, 0 payloads read"
        )
        assert all_pages(home) == without_headings(before)
        assert under_way_in(means) == told.why
    monkeypatch.undo()
    (told,) = take_round(reconciler, means)
    assert "has format v3 now" in told.why
    assert under_way_in(means) == ""
    said = [each.what for each in events_about(means.database, told.step.subject)]
    assert (said.count(BEGUN), said.count(RENEW)) == (1, 3)


def test_a_rebuild_meanwhile_ends_it(means: StewardMeans) -> None:
    home = home_of(means)
    make_old(home)
    index = SearchIndex(home)

    def clear() -> None:
        index.clear()
        index_pages(means, LATE)

    with pytest.raises(SetupError, match="made anew"):
        renewed(means, once(clear))
    assert formats.serving(home).name == formats.FORMAT
    assert [page.title for page in all_pages(home).values()] == ["Late"]
    assert renewed(means) == Renewed(0, 0)
    assert not formats.is_unfinished(home)


def test_the_older_index_is_not_deleted_while_it_answers(means: StewardMeans) -> None:
    before = make_old(home_of(means))
    with pytest.raises(SetupError, match="still the one that answers"):
        formats.drop_older(home_of(means))
    assert all_pages(home_of(means)) == without_headings(before)


def test_what_a_killed_deletion_left_is_deleted(means: StewardMeans) -> None:
    home = home_of(means)
    make_old(home)
    renewed(means)
    (home / "v2" / formats.META_NAME).unlink()
    assert [step.what for step in IndexFormat(means).plan()] == [DROP]
    formats.drop_older(home)
    assert not (home / "v2").exists()


def test_the_steward_makes_it_anew_says_so_and_deletes_the_older_one(means: StewardMeans) -> None:
    home = home_of(means)
    before = make_old(home)
    reconciler = IndexFormat(means)
    (told,) = take_round(reconciler, means)
    assert (told.step.what, told.outcome) == (RENEW, "applied"), told.why
    assert told.why == "the search index has format v3 now: 6 pages written, 6 payloads read"
    said = [each.what for each in events_about(means.database, told.step.subject)]
    assert sorted(said) == sorted([BEGUN, RENEW])
    assert (home / "v2").exists()
    (told,) = take_round(reconciler, means)
    assert (told.step.what, told.outcome) == (DROP, "applied"), told.why
    assert not (home / "v2").exists()
    assert all_pages(home) == before
    assert take_round(reconciler, means) == []
