"""The texts that are compared, as the search index keeps them."""

from __future__ import annotations

from collections.abc import Iterable

import tantivy
from sqlalchemy import Connection

from healtharchive.model.changes import sample_of_job
from healtharchive.search.compare.document import common_blocks
from healtharchive.search.index import IndexedPage, SearchIndex, stored_page

SAMPLED_PAGES = 150  # of a job: enough to see what stands on every page of its site


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
