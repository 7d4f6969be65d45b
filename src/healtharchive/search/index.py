"""The full-text index: a tantivy directory, derived from the WARCs and safe to delete.

Each document is one snapshot, under the key SEGMENT:OFFSET, and says until when it was the newest
of its page: so "the latest", "the latest of this campaign" and "as of that day" are plain ranges.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tantivy

from healtharchive.model.errors import SetupError
from healtharchive.search import fields as fields_of
from healtharchive.search.fields import LANGUAGES, STEMMED
from healtharchive.search.writing import Turn, sole_writer

# A change of the schema takes another directory: the old one is left alone and a rebuild fills it.
FORMAT = "v2"
LOCK_NAME = "writer.lock"
WRITER_BYTES = 60_000_000
WRITER_THREADS = 1
ALWAYS = (1 << 62) - 1  # microseconds: the newest capture of its page has no end
OS_ERROR = re.compile(r"(?:os error |code: )(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPage:
    """One snapshot as the index holds it. Moments are microseconds since 1970.

    `page` is the same for all captures of a URL by a source, `edition` for those of one campaign.
    The index itself knows `first`, when the page was first captured, and both moments `until`.
    """

    key: str
    page: str
    edition: str
    url: str
    source: str
    campaign: str
    language: str
    kind: str
    mime: str
    status: int
    digest: str
    captured: int
    capture_id: int
    snapshot_id: int
    title: str
    text: str
    first: int = 0
    until: int = ALWAYS
    until_in_edition: int = ALWAYS

    @property
    def written_in(self) -> str:
        """Which of the index's text fields it is in."""
        return self.language if self.language in STEMMED else "xx"

    def document(self) -> tantivy.Document:
        """As tantivy takes it."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        values[f"title_{self.written_in}"] = values.pop("title")
        values[f"text_{self.written_in}"] = values.pop("text")
        values["words_of_url"] = self.url
        values["host"] = fields_of.hosts(self.url)
        values["path"] = fields_of.paths(self.url)
        values["standing"] = fields_of.standing(self.url, self.captured)
        values["likeness"] = fields_of.likeness(self.text)
        values["spelling"] = f"{self.title} {self.text}"
        return tantivy.Document(**values)


PLAIN_FIELDS = tuple(
    each.name for each in fields(IndexedPage) if each.name not in ("title", "text")
)


def stored_page(document: tantivy.Document) -> IndexedPage:
    """The page a stored document was made of."""
    values: dict[str, Any] = {name: document.get_first(name) for name in PLAIN_FIELDS}
    for name in ("title", "text"):
        found = [document.get_first(f"{name}_{language}") for language in LANGUAGES]
        values[name] = next((each for each in found if each), "")
    return IndexedPage(**values)


def total_of(found: tantivy.SearchResult) -> int:
    """How many documents a search found in all, beyond those it gives."""
    total: int = found.count  # type: ignore[attr-defined]  # its stub leaves it out
    return total


def count(searcher: tantivy.Searcher, query: tantivy.Query) -> int:
    """How many documents a query finds."""
    return total_of(searcher.search(query, limit=1))


class SearchIndex:
    """The index in a directory. Many may read while one writes; writers wait for each other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / FORMAT
        self._index = _open(self.directory)
        self.schema = self._index.schema

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether there is an index of this program's format.

        SetupError when there is only one of an older format.
        """
        if (directory / FORMAT / "meta.json").exists():
            return True
        older = sorted(each.parent.name for each in directory.glob("v*/meta.json"))
        if older:
            raise SetupError(
                f"The search index in {directory} has format {older[-1]}; this program reads "
                f"{FORMAT}.",
                "Run: healtharchive rebuild",
            )
        return False

    def searcher(self) -> tantivy.Searcher:
        """The documents of the newest commit."""
        self._index.reload()
        return self._index.searcher()

    def parse(self, text: str, names: Sequence[str], boosts: dict[str, float]) -> tantivy.Query:
        """A query of the words in `text`, all of which must be there; never raises for it."""
        query, _ = self._index.parse_query_lenient(
            text, list(names), boosts, conjunction_by_default=True
        )
        return query

    def with_payloads(self, digests: Iterable[str]) -> dict[str, IndexedPage]:
        """For each payload digest that is known, a page that was read off that payload."""
        searcher = self.searcher()
        found: dict[str, IndexedPage] = {}
        for digest in set(digests):
            pages = _having(searcher, self.schema, "digest", digest, limit=1)
            if pages:
                found[digest] = pages[0]
        return found

    def put(self, pages: Iterable[IndexedPage], turn: Turn | None = None) -> None:
        """Add pages, or replace those with the same key, in one commit.

        While another process writes, it is waited for as `sole_writer` does. OSError when the
        disk fails.
        """
        fresh = {each.key: each for each in pages}
        if not fresh:
            return
        with sole_writer(self.directory / LOCK_NAME, turn), _translated():
            changed = self._changed(fresh)
            writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
            for page in changed:
                writer.delete_documents_by_term("key", page.key)
                writer.add_document(page.document())
            writer.commit()
            writer.wait_merging_threads()

    def remove(self, keys: Iterable[str], turn: Turn | None = None) -> None:
        """Remove the pages with these keys, as far as they are there, in one commit.

        While another process writes, it is waited for as `sole_writer` does. OSError when the
        disk fails.
        """
        gone = frozenset(keys)
        if not gone:
            return
        with sole_writer(self.directory / LOCK_NAME, turn), _translated():
            writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
            for key in gone:
                writer.delete_documents_by_term("key", key)
            for page in self._left_by(gone):
                writer.delete_documents_by_term("key", page.key)
                writer.add_document(page.document())
            writer.commit()
            writer.wait_merging_threads()

    def clear(self) -> None:
        """Remove every document."""
        with sole_writer(self.directory / LOCK_NAME), _translated():
            writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
            writer.delete_all_documents()
            writer.commit()
            writer.wait_merging_threads()

    def _left_by(self, gone: frozenset[str]) -> Iterator[IndexedPage]:
        """The captures whose pages lose another one and which change by that."""
        searcher = self.searcher()
        names = {
            page.page for key in gone for page in _having(searcher, self.schema, "key", key, 1)
        }
        for name in names:
            before = {each.key: each for each in _having(searcher, self.schema, "page", name)}
            left = [page for key, page in before.items() if key not in gone]
            yield from (p for p in _with_successors(left) if p != before[p.key])

    def _changed(self, fresh: dict[str, IndexedPage]) -> list[IndexedPage]:
        """The fresh pages, and those whose successor changes, each with its right `until`."""
        searcher = self.searcher()
        by_page: dict[str, dict[str, IndexedPage]] = defaultdict(dict)
        for page in fresh.values():
            by_page[page.page][page.key] = page
        changed: list[IndexedPage] = []
        for name, group in by_page.items():
            before = {each.key: each for each in _having(searcher, self.schema, "page", name)}
            together = _with_successors(list({**before, **group}.values()))
            changed += [p for p in together if p.key in group or p != before[p.key]]
        return changed


def _with_successors(pages: list[IndexedPage]) -> list[IndexedPage]:
    """The captures of one page, each with the moment of the next one."""
    if not pages:
        return []
    newest_first = sorted(pages, key=lambda each: (each.captured, each.key), reverse=True)
    first = newest_first[-1].captured
    found: list[IndexedPage] = []
    until = ALWAYS
    in_edition: dict[str, int] = {}
    for page in newest_first:
        of_edition = in_edition.get(page.edition, ALWAYS)
        found.append(replace(page, first=first, until=until, until_in_edition=of_edition))
        until = in_edition[page.edition] = page.captured
    return found


def _having(
    searcher: tantivy.Searcher,
    schema: tantivy.Schema,
    name: str,
    value: str,
    limit: int | None = None,
) -> list[IndexedPage]:
    """The documents with exactly this value in an EXACT field."""
    # Counts deleted documents, too: never too small, and tantivy allocates as much as it is told.
    frequency = searcher.doc_freq(name, value)
    if not frequency:
        return []
    query = tantivy.Query.term_query(schema, name, value, "basic")
    found = searcher.search(query, limit=limit or frequency, count=False)
    return [stored_page(searcher.doc(address)) for _, address in found.hits]


def _open(directory: Path) -> tantivy.Index:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with _translated():
            index = tantivy.Index(fields_of.schema(), str(directory), True)
    except ValueError as error:
        raise SetupError(
            f"The search index in {directory} cannot be used: {str(error).rstrip('.')}.",
            f"Move {directory} away and run `healtharchive rebuild`.",
        ) from error
    for name, analyzer in fields_of.analyzers().items():
        index.register_tokenizer(name, analyzer)
    return index


@contextmanager
def _translated() -> Iterator[None]:
    """tantivy's errors of the disk as OSError with its number, so that they can be classified."""
    try:
        yield
    except ValueError as error:
        found = OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, f"{os.strerror(number)} (search index)") from error
