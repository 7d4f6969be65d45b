"""Preparing a collection's WACZ: its derived files and its layout, made once for each state.

All is made in a directory of its own, made durable, and given its name in one step: whoever looks
finds the whole of it or nothing. Whoever calls this may hang on a dead mount.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from healtharchive import __version__
from healtharchive.model.collection import (
    CollectionName,
    CollectionSegment,
    captured_in,
    note_crc32,
    originals_elsewhere,
    pages_of,
)
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, SetupError
from healtharchive.model.holdings import copies_of
from healtharchive.search.collection import (
    LAYOUT_NAME,
    NO_HOLES,
    Collection,
    directory_of,
    layout_json,
    load_layout,
    look,
)
from healtharchive.search.collection_index import lines_of, merged
from healtharchive.search.collection_originals import PLACES_NAME, Originals, place_originals
from healtharchive.search.collection_states import publish, scratch_in, tidy
from healtharchive.search.segment_bytes import Stretch, read_stretch
from healtharchive.search.stored import Stored
from healtharchive.warc import wacz
from healtharchive.warc.reader import read_records
from healtharchive.warc.wacz import Entry, Layout, Part
from healtharchive.warc.wacz_holes import Holes
from healtharchive.warc.wacz_left_out import left_out
from healtharchive.warc.wacz_package import (
    About,
    Page,
    index_blocks,
    index_head,
    package,
    package_digest,
    page_lines,
)

FIRST_PAGES = 1000  # replayweb.page loads the whole first list before it shows anything
BEAT_SECONDS = 1.0
MOST_THINKING_SECONDS = 1800.0  # a database that has no answer by then has none
KEPT_FREE_BYTES = 500_000_000  # of the disk that has the database too
PIECE_BYTES = 1 << 20

T = TypeVar("T")
Watch = Callable[[int], None]  # hears how many bytes were read; it may raise


@dataclass(frozen=True, slots=True)
class Prepared:
    """A WACZ that can be served: its layout and the directory of its derived files."""

    directory: Path
    layout: Layout


def prepare(
    database: Database,
    wacz_dir: Path,
    name: CollectionName,
    watch: Watch = lambda _: None,
) -> Prepared:
    """The WACZ of the collection as it is now, made if nobody has made it yet.

    NotFound when there is none; OutOfReach when a record it needs cannot be read now; BadInput
    when a segment is not what was sealed; OSError when the disk fails.
    """
    with database.read() as connection:
        collection = look(connection, name)
    home = directory_of(wacz_dir, name)
    directory = home / collection.state
    layout = load_layout(directory)
    if layout is None:
        home.mkdir(parents=True, exist_ok=True)
        with scratch_in(home) as scratch:
            layout = _Making(database, collection, scratch, watch).make()
            publish(scratch, directory)
        tidy(home, directory)
    return Prepared(directory, layout)


class _Making:
    """One collection's WACZ in the making."""

    def __init__(
        self,
        database: Database,
        collection: Collection,
        scratch: Path,
        watch: Watch,
    ) -> None:
        self._database = database
        self._collection = collection
        self._scratch = scratch
        self._watch = watch
        self._holes: dict[str, Holes] = {}

    def make(self) -> Layout:
        """Write everything; the layout is written last."""
        entries = [self._segment(each) for each in self._collection.segments]
        originals = self._originals()
        if originals is not None:
            entries.append(originals.entry)
        entries += self._index(originals.lines if originals is not None else [])
        entries += self._pages()
        package_json = package(self._about(), entries)
        for name, data in (
            (wacz.PACKAGE_NAME, package_json),
            (wacz.DIGEST_NAME, package_digest(package_json)),
        ):
            entries.append(wacz.literal_entry(name, data, zlib.crc32(data)))
        layout = wacz.lay_out(entries)
        with self._writing(LAYOUT_NAME) as stream:
            stream.write(layout_json(layout))
        return layout

    def _about(self) -> About:
        name = self._collection.name
        return About(
            self._collection.title,
            f"The WARC files of {name} in HealthArchive. Archived copies, not current advice.",
            self._collection.created,
            f"HealthArchive {__version__}",
        )

    # -- WARC files --------------------------------------------------------------------------

    def _segment(self, segment: CollectionSegment) -> Entry:
        if self._collection.holes(segment.name).holes:
            return self._with_holes(segment)
        crc32 = segment.crc32
        self._watch(0)
        if crc32 is None:
            crc32 = 0
            for piece in self._sealed(segment):
                crc32 = zlib.crc32(piece, crc32)
            with self._database.begin() as connection:
                note_crc32(connection, segment.id, crc32)
        parts = NO_HOLES.parts(segment.name, segment.size_bytes)
        return Entry(_archived(segment), parts, segment.size_bytes, crc32, segment.sha256)

    def _with_holes(self, segment: CollectionSegment) -> Entry:
        """A segment without what is not shown, cut out of a copy that was compared as a whole."""
        with self._database.read() as connection:
            captured = captured_in(connection, segment.id)
        with tempfile.TemporaryFile(dir=self._scratch) as copy:
            self._require_space(segment.size_bytes)
            copy.writelines(self._sealed(segment))
            copy.seek(0)
            holes = left_out(read_records(copy), captured, self._watch)
            parts = holes.parts(segment.name, segment.size_bytes)
            crc32, digest = 0, hashlib.sha256()
            for part in parts:
                copy.seek(part.offset)
                for piece in _pieces(copy, part.length):
                    crc32 = zlib.crc32(piece, crc32)
                    digest.update(piece)
                    self._watch(0)
        self._holes[segment.name] = holes
        return Entry(_archived(segment), parts, wacz.totals(parts), crc32, digest.hexdigest())

    def _sealed(self, segment: CollectionSegment) -> Iterator[bytes]:
        """All bytes of a segment; BadInput at their end when they are not those once sealed."""
        with self._database.read() as connection:
            copies = copies_of(connection, segment.name)
        stored = Stored(segment.path, 0, segment.size_bytes, copies)
        digest = hashlib.sha256()
        for piece in read_stretch(Stretch(stored, segment.size_bytes)):
            digest.update(piece)
            self._watch(len(piece))
            yield piece
        if digest.hexdigest() != segment.sha256:
            raise BadInput(
                f"{segment.name} is not what was sealed: its SHA-256 is {digest.hexdigest()}, "
                f"the database says {segment.sha256}.",
                f"`healtharchive verify --job {segment.job_id}` names the damage.",
            )

    def _originals(self) -> Originals | None:
        """What revisits of the collection refer to and another job has; None when nothing is."""
        with self._writing(PLACES_NAME) as places, self._database.read() as connection:
            found = _begun(originals_elsewhere(connection, self._collection.name), self._watch)
            originals = place_originals(connection, found, places, self._watch)
        if originals is None:
            (self._scratch / PLACES_NAME).unlink()
        return originals

    # -- index and pages ---------------------------------------------------------------------

    def _index(self, of_originals: list[bytes]) -> list[Entry]:
        sources: list[Iterable[bytes]] = [
            self._watched(lines_of(each, self._holes.get(each.name, NO_HOLES)))
            for each in self._collection.segments
        ]
        if of_originals:
            sources.append(of_originals)
        with self._writing("index.cdx.gz") as index, self._writing("index.idx") as idx:
            idx.write(index_head())
            for member, line in index_blocks(merged(sources, self._scratch)):
                index.write(member)
                idx.write(line)
                self._watch(len(member))
        return [
            self._derived(wacz.INDEX_NAME, "index.cdx.gz"),
            self._derived(wacz.IDX_NAME, "index.idx"),
        ]

    def _pages(self) -> Iterator[Entry]:
        """The pages nearest to the fronts of their sites, and a second list of all others."""
        with self._database.read() as connection:
            found = pages_of(connection, self._collection.name)
            pages = self._watched(Page(*each) for each in _begun(found, self._watch))
            with self._writing("pages.jsonl") as stream:
                first = itertools.islice(pages, FIRST_PAGES)
                stream.writelines(page_lines("Pages", first, "pages"))
            more = next(pages, None)
            yield self._derived(wacz.PAGES_NAME, "pages.jsonl")
            if more is not None:
                with self._writing("extraPages.jsonl") as stream:
                    others = itertools.chain((more,), pages)
                    rest = page_lines("More pages", others, "extra-pages")
                    stream.writelines(rest)
                yield self._derived(wacz.MORE_PAGES_NAME, "extraPages.jsonl")

    # -- files -------------------------------------------------------------------------------

    def _require_space(self, size_bytes: int) -> None:
        """SetupError when so many bytes more would fill the disk."""
        free_bytes = shutil.disk_usage(self._scratch).free
        if free_bytes - size_bytes < KEPT_FREE_BYTES:
            raise SetupError(
                f"{self._collection.name} cannot be prepared: {self._scratch.parent} has only "
                f"{free_bytes / 1e9:.1f} GB free.",
                "Free some space there, or set wacz_dir to a directory on a larger disk.",
            )

    def _watched(self, each: Iterable[T]) -> Iterator[T]:
        """The same; it is heard that they come."""
        for one in each:
            self._watch(0)
            yield one

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[BinaryIO]:
        """A new derived file, durable at the end."""
        with (self._scratch / name).open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    def _derived(self, name: str, file_name: str) -> Entry:
        crc32, size, digest = 0, 0, hashlib.sha256()
        with (self._scratch / file_name).open("rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                self._watch(0)
                crc32 = zlib.crc32(piece, crc32)
                digest.update(piece)
                size += len(piece)
        parts = (Part(size, derived=file_name),)
        return Entry(name, parts, size, crc32, digest.hexdigest())


def _begun(rows: Iterator[T], watch: Watch) -> Iterator[T]:
    """The rows of a question, however long the database thinks before the first one.

    It has nothing to do with the storage that may hang, so it is heard that somebody is at work.
    """
    over = threading.Event()

    def beat() -> None:
        for _ in range(int(MOST_THINKING_SECONDS / BEAT_SECONDS)):
            if over.wait(BEAT_SECONDS):
                return
            watch(0)

    beating = threading.Thread(target=beat, daemon=True, name="the database is thinking")
    beating.start()
    try:
        first = list(itertools.islice(rows, 1))
    finally:
        over.set()
        beating.join()
    return itertools.chain(first, rows)


def _archived(segment: CollectionSegment) -> str:
    return wacz.ARCHIVE + segment.name


def _pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """So many bytes of a stream, or as many as it has."""
    while length and (piece := stream.read(min(length, PIECE_BYTES))):
        length -= len(piece)
        yield piece
