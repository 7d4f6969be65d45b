"""The texts that are compared, as the search index keeps them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import tantivy
from sqlalchemy import Connection

from healtharchive.model.samples import sample_of_job, state_of_job
from healtharchive.search.compare.document import common_blocks
from healtharchive.search.index import IndexedPage, SearchIndex, stored_page

SAMPLED_PAGES = 150  # of a job: enough to see what stands on every page of its site
MOST_FRAMES = 200


def page_at(index: SearchIndex, key: str) -> IndexedPage | None:
    """The page with this key (SEGMENT:OFFSET); None when it is not in the index."""
    return next(iter(pages_at(index, [key])), None)


def pages_at(index: SearchIndex, keys: Iterable[str]) -> list[IndexedPage]:
    """Those of the pages with these keys that are in the index."""
    searcher = index.searcher()
    found = []
    for key in keys:
        query = tantivy.Query.term_query(index.schema, "key", key, "basic")
        hits = searcher.search(query, limit=1, count=False).hits
        found += [stored_page(searcher.doc(address)) for _, address in hits]
    return found


def common_in_job(connection: Connection, index: SearchIndex, job_id: int) -> frozenset[str]:
    """The keys of the blocks that most pages of a job have: the frame of its site."""
    keys = sample_of_job(connection, job_id, SAMPLED_PAGES)
    return common_blocks(page.text for page in pages_at(index, keys))


class Frames:
    """`common_in_job`, found once for as long as the job and the index stay as they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[object, ...], frozenset[str]] = OrderedDict()

    def of_jobs(
        self, connection: Connection, search_dir: Path, job_ids: Iterable[int]
    ) -> frozenset[str]:
        """The blocks' keys of all these jobs together; none when there is no index."""
        if not SearchIndex.exists(search_dir):
            return frozenset()
        index = SearchIndex(search_dir)
        found = (self._of(connection, index, job_id) for job_id in set(job_ids))
        return frozenset().union(*found)

    def _of(self, connection: Connection, index: SearchIndex, job_id: int) -> frozenset[str]:
        # The number of pages: a rebuild empties the index first.
        key = (job_id, *state_of_job(connection, job_id), index.searcher().num_docs)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = common_in_job(connection, index, job_id)
        with self._lock:
            self._known[key] = found
            if len(self._known) > MOST_FRAMES:
                self._known.popitem(last=False)
        return found
