"""The full-text index: a tantivy directory, derived from the WARCs and safe to delete.

Each document is one snapshot, under the key SEGMENT:OFFSET, and says until when it was the newest
of its page: so "the latest", "the latest of this campaign" and "as of that day" are plain ranges.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tantivy

from healtharchive.model.errors import SetupError
from healtharchive.search import fields as fields_of
from healtharchive.search import formats
from healtharchive.search.extract import PageText
from healtharchive.search.fields import LANGUAGES, STEMMED
from healtharchive.search.formats import FORMAT
from healtharchive.search.writing import Turn, sole_writer

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
    headings: str = ""
    first: int = 0
    until: int = ALWAYS
    until_in_edition: int = ALWAYS

    @property
    def page_text(self) -> PageText:
        """What the page said, as it was extracted."""
        return PageText(self.kind, self.title, self.text, self.language, headings=self.headings)

    @property
    def written_in(self) -> str:
        """Which of the index's text fields it is in."""
        return self.language if self.language in STEMMED else "xx"

    def document(self, *, sections: bool) -> tantivy.Document:
        """As tantivy takes it; without its headings for an index that has none."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in WRITTEN_FIELDS:
            values[f"{name}_{self.written_in}"] = values.pop(name)
        if not sections:
            del values[f"headings_{self.written_in}"]
        values["words_of_url"] = self.url
        values["host"] = fields_of.hosts(self.url)
        values["path"] = fields_of.paths(self.url)
        values["standing"] = fields_of.standing(self.url, self.captured)
        values["likeness"] = fields_of.likeness(self.text)
        values["spelling"] = f"{self.title} {self.text}"
        return tantivy.Document(**values)


WRITTEN_FIELDS = ("title", "headings", "text")  # each in the field of its language
PLAIN_FIELDS = tuple(each.name for each in fields(IndexedPage) if each.name not in WRITTEN_FIELDS)


def stored_page(document: tantivy.Document) -> IndexedPage:
    """The page a stored document was made of."""
    values: dict[str, Any] = {name: document.get_first(name) for name in PLAIN_FIELDS}
    for name in WRITTEN_FIELDS:
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
    """The index in a directory. Many may read while one writes; writers wait for each other.

    While its format is changed (see `formats`), it is the one that answers, at every moment; with
    `unfinished` it is the one that is being made.
    """

    def __init__(self, home: Path, *, unfinished: bool = False) -> None:
        self._home = home
        self._unfinished = unfinished
        self._open(self._place())

    @staticmethod
    def exists(home: Path) -> bool:
        """Whether there is one that can be read. SetupError when its format cannot be."""
        return formats.exists(home)

    @property
    def sections(self) -> bool:
        """Whether it has the headings of the pages' sections."""
        return self.directory.name == FORMAT

    def searcher(self) -> tantivy.Searcher:
        """The documents of the newest commit."""
        self._follow()
        self._index.reload()
        return self._index.searcher()

    @contextmanager
    def writing(self, turn: Turn | None = None) -> Iterator[None]:
        """The right to write it, while the block runs.

        Another process that writes is waited for as `sole_writer` does. SetupError when the index
        that was being made is so no longer.
        """
        while True:
            self._follow()
            with sole_writer(self.directory / LOCK_NAME, turn):
                if self._unfinished and not formats.is_unfinished(self._home):
                    raise SetupError("The search index was made anew by another process.")
                if self._place() == self.directory:
                    yield
                    return

    def _place(self) -> Path:
        return self._home / FORMAT if self._unfinished else formats.serving(self._home)

    def _follow(self) -> None:
        """Go to the index that answers by now."""
        place = self._place()
        if place != self.directory:
            self._open(place)

    def _open(self, directory: Path) -> None:
        self.directory = directory
        self._index = _open(directory)
        self.schema = self._index.schema

    def parse(self, text: str, names: Sequence[str], boosts: dict[str, float]) -> tantivy.Query:
        """A query of the words in `text`, all of which must be there; never raises for it."""
        of_these = {name: boost for name, boost in boosts.items() if name in names}
        query, _ = self._index.parse_query_lenient(
            text, list(names), of_these, conjunction_by_default=True
        )
        return query

    def with_payloads(self, digests: Iterable[str]) -> dict[str, IndexedPage]:
        """For each payload digest that is known, a page that was read off that payload."""
        searcher = self.searcher()
        found: dict[str, IndexedPage] = {}
        for digest in set(digests):
            pages = having(searcher, self.schema, "digest", digest, limit=1)
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
        with self.writing(turn), _translated():
            changed = self._changed(fresh)
            writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
            for page in changed:
                writer.delete_documents_by_term("key", page.key)
                writer.add_document(page.document(sections=self.sections))
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
        with self.writing(turn), _translated():
            writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
            for key in gone:
                writer.delete_documents_by_term("key", key)
            for page in self._left_by(gone):
                writer.delete_documents_by_term("key", page.key)
                writer.add_document(page.document(sections=self.sections))
            writer.commit()
            writer.wait_merging_threads()

    def clear(self) -> None:
        """Remove every document, and leave an index of an older format for good."""
        new = self._home / FORMAT
        index = _open(new)
        with self.writing(), _translated(), _also(new, self.directory):
            writer = index.writer(WRITER_BYTES, WRITER_THREADS)
            writer.delete_all_documents()
            writer.commit()
            writer.wait_merging_threads()
            formats.finish(self._home)

    def _left_by(self, gone: frozenset[str]) -> Iterator[IndexedPage]:
        """The captures whose pages lose another one and which change by that."""
        searcher = self.searcher()
        names = {page.page for key in gone for page in having(searcher, self.schema, "key", key, 1)}
        for name in names:
            before = {each.key: each for each in having(searcher, self.schema, "page", name)}
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
            before = {each.key: each for each in having(searcher, self.schema, "page", name)}
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


def having(
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


def _also(new: Path, held: Path) -> AbstractContextManager[None]:
    """The right to write the index of this format, for who has it for the one that answers."""
    return nullcontext() if new == held else sole_writer(new / LOCK_NAME)


def _open(directory: Path) -> tantivy.Index:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with _translated():
            index = (
                tantivy.Index(fields_of.schema(), str(directory), True)
                if directory.name == FORMAT
                else tantivy.Index.open(str(directory))
            )
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
