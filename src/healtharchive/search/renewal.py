"""An index of an older format becomes one of this program's, beside it, while the older answers.

Each page is taken from the older index; the headings of its sections, which that one lacks, are
read off the records of its payload. It can be killed at any moment: the next one goes on where it
was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import tantivy

from healtharchive.model.database import Database
from healtharchive.search import formats
from healtharchive.search.index import ALWAYS, IndexedPage, SearchIndex, having, stored_page
from healtharchive.search.originals import page_of_payload

BATCH_PAGES = 500
# Passes while the older index may be written; the last one lets nobody write it.
FREE_PASSES = 3
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was done: pages written to the new index, and the payloads read for them.

    `whole`: the new index has all and answers. Otherwise the time was over.
    """

    pages: int
    payloads: int
    whole: bool = True


def renew(
    home: Path, database: Database, tell: Tell, is_over: Callable[[], bool] = lambda: False
) -> Renewed:
    """Make the index of this program's format, and let it answer once it has all.

    It ends sooner when the time `is_over`.

    OutOfReach when a record lies on a target that cannot be read now; OSError when the disk fails;
    SetupError when the index is made anew meanwhile. What is done by then is kept.
    """
    older = SearchIndex(home)
    with older.writing():
        if older.directory.name == formats.FORMAT:
            return Renewed(0, 0)
        formats.begin(home)
    return _Renewal(home, database, tell, is_over).renew()


class _Renewal:
    """One attempt."""

    def __init__(
        self, home: Path, database: Database, tell: Tell, is_over: Callable[[], bool]
    ) -> None:
        self._home = home
        self._database = database
        self._tell = tell
        self._is_over = is_over
        self._older = SearchIndex(home)
        self._new = SearchIndex(home, unfinished=True)
        self._headings: dict[str, str] = {}  # by payload, of one batch
        self._pages = self._payloads = 0

    def renew(self) -> Renewed:
        """Go over the older index until nothing was written to it meanwhile."""
        for attempt in range(FREE_PASSES + 1):
            with ExitStack() as held:
                if attempt == FREE_PASSES:
                    held.enter_context(self._older.writing())
                before = self._state()
                if not self._pass():
                    return Renewed(self._pages, self._payloads, whole=False)
                if attempt < FREE_PASSES:
                    held.enter_context(self._older.writing())
                if self._state() == before:
                    formats.finish(self._home)
                    break
        return Renewed(self._pages, self._payloads)

    def _state(self) -> bytes:
        """Another one after each commit to the older index."""
        return (self._older.directory / formats.META_NAME).read_bytes()

    def _pass(self) -> bool:
        """What the older index has and the new one has not; then the other way round.

        False when the time was over before its end.
        """
        older = self._older.searcher()
        for batch in _batches(older, self._older.schema):
            if self._is_over():
                return False
            known = _of_keys(self._new, batch)
            self._take([each for each in batch if _bare(each) != _bare(known.get(each.key))])
        for batch in _batches(self._new.searcher(), self._new.schema):
            known = _of_keys(self._older, batch)
            self._new.remove(each.key for each in batch if each.key not in known)
            self._tell("removing what is gone")
        return True

    def _take(self, pages: Sequence[IndexedPage]) -> None:
        self._headings = {
            digest: page.headings
            for digest, page in self._new.with_payloads(each.digest for each in pages).items()
        }
        self._new.put(replace(each, headings=self._headings_of(each)) for each in pages)
        self._pages += len(pages)
        self._tell(f"{self._pages} pages")

    def _headings_of(self, page: IndexedPage) -> str:
        if page.kind != "html" or not page.digest:
            return ""
        if page.digest not in self._headings:
            self._tell(f"{self._pages} pages, reading {page.key}")
            found = page_of_payload(self._database, page.digest, page.kind, page.url)
            self._headings[page.digest] = found.headings if found else ""
            self._payloads += 1
        return self._headings[page.digest]


def _bare(page: IndexedPage | None) -> IndexedPage | None:
    """What both formats say of a page, without what follows from other pages."""
    if page is None:
        return None
    return replace(page, headings="", first=0, until=ALWAYS, until_in_edition=ALWAYS)


def _of_keys(index: SearchIndex, pages: Sequence[IndexedPage]) -> dict[str, IndexedPage]:
    """The pages of an index that have the keys of these."""
    searcher = index.searcher()
    found = (having(searcher, index.schema, "key", each.key, limit=1) for each in pages)
    return {each.key: each for pages in found for each in pages}


def _batches(searcher: tantivy.Searcher, schema: tantivy.Schema) -> Iterator[list[IndexedPage]]:
    """All pages, in the order of their captures' numbers."""
    after = -1
    while True:
        kind = tantivy.FieldType.Integer
        found = searcher.search(
            tantivy.Query.range_query(schema, "capture_id", kind, after + 1, None),
            limit=BATCH_PAGES,
            count=False,
            order_by_field="capture_id",
            order=tantivy.Order.Asc,
        )
        pages = [stored_page(searcher.doc(address)) for _, address in found.hits]
        if not pages:
            return
        yield pages
        after = pages[-1].capture_id
