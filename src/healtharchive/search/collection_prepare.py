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
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from healtharchive import __version__
from healtharchive.model.collection import (
    CollectionName,
    CollectionSegment,
    note_crc32,
    originals_elsewhere,
    pages_of,
)
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.holdings import copies_of
from healtharchive.search.collection import (
    LAYOUT_NAME,
    Collection,
    directory_of,
    layout_json,
    load_layout,
    look,
)
from healtharchive.search.collection_index import lines_of, merged
from healtharchive.search.segment_bytes import Stretch, read_stretch
from healtharchive.search.stored import Stored, find
from healtharchive.warc import wacz
from healtharchive.warc.cdxj import cdxj_lines
from healtharchive.warc.segment import fsync_directory
from healtharchive.warc.wacz import Entry, Layout, Part
from healtharchive.warc.wacz_package import (
    About,
    Page,
    index_blocks,
    index_head,
    package,
    package_digest,
    page_lines,
)

ORIGINALS_NAME = "originals.warc.gz"
FIRST_PAGES = 1000  # replayweb.page loads the whole first list before it shows anything
STATES_KEPT = 3  # who still reads an older one may read it to its end
ABANDONED_SECONDS = 86_400.0

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
        scratch = Path(tempfile.mkdtemp(prefix="making-", dir=home))
        try:
            layout = _Making(database, collection, scratch, watch).make()
            _publish(scratch, directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _tidy(home, directory)
    return Prepared(directory, layout)


def _publish(scratch: Path, directory: Path) -> None:
    os.chmod(scratch, 0o755)
    fsync_directory(scratch)
    try:
        os.rename(scratch, directory)
    except OSError:
        if load_layout(directory) is None:
            raise
        return  # somebody else made the same meanwhile
    fsync_directory(directory.parent)


def _tidy(home: Path, newest: Path) -> None:
    """Remove the states of long ago, and what an attempt that was killed has left."""
    others = [(path.stat().st_mtime, path) for path in home.iterdir() if path != newest]
    others.sort(reverse=True)
    states = [path for _, path in others if not path.name.startswith("making-")]
    left = [
        path
        for at, path in others
        if path.name.startswith("making-") and at < time.time() - ABANDONED_SECONDS
    ]
    for path in [*states[STATES_KEPT - 1 :], *left]:
        shutil.rmtree(path, ignore_errors=True)


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

    def make(self) -> Layout:
        """Write everything; the layout is written last."""
        entries = [self._segment(each) for each in self._collection.segments]
        originals = self._originals()
        if originals is not None:
            entries.append(originals)
        entries += self._index(originals is not None)
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
        name = wacz.ARCHIVE + segment.name
        holes = self._collection.holes(segment.name)
        parts = holes.parts(segment.name, segment.size_bytes)
        self._watch(0)
        if not holes.holes and segment.crc32 is not None:
            return Entry(name, parts, segment.size_bytes, segment.crc32, segment.sha256)
        crc32, sha256 = self._read(segment, parts)
        if not holes.holes:
            if sha256 != segment.sha256:
                raise BadInput(
                    f"{segment.name} is not what was sealed: its SHA-256 is {sha256}, "
                    f"the database says {segment.sha256}.",
                    f"`healtharchive verify --job {segment.job_id}` names the damage.",
                )
            with self._database.begin() as connection:
                note_crc32(connection, segment.id, crc32)
        return Entry(name, parts, wacz.totals(parts), crc32, sha256)

    def _read(self, segment: CollectionSegment, parts: Iterable[Part]) -> tuple[int, str]:
        """CRC-32 and SHA-256 of some parts of a segment."""
        with self._database.read() as connection:
            copies = copies_of(connection, segment.name)
        crc32, digest = 0, hashlib.sha256()
        for part in parts:
            stored = Stored(segment.path, part.offset, part.length, copies)
            for piece in read_stretch(Stretch(stored, segment.size_bytes)):
                crc32 = zlib.crc32(piece, crc32)
                digest.update(piece)
                self._watch(len(piece))
        return crc32, digest.hexdigest()

    def _originals(self) -> Entry | None:
        """What revisits of the collection refer to and another job has; None when nothing is."""
        with self._writing(ORIGINALS_NAME) as stream, self._database.read() as connection:
            for each in originals_elsewhere(connection, self._collection.name):
                copies = copies_of(connection, each.segment)
                stored = Stored(each.path, each.offset, each.length, copies)
                with contextlib.suppress(FileNotFoundError, BadInput):  # lost: it stays an orphan
                    for piece in find(stored).raw():
                        stream.write(piece)
                        self._watch(len(piece))
        path = self._scratch / ORIGINALS_NAME
        if path.stat().st_size:
            return self._derived(wacz.ARCHIVE + ORIGINALS_NAME, ORIGINALS_NAME)
        path.unlink()
        return None

    # -- index and pages ---------------------------------------------------------------------

    def _index(self, with_originals: bool) -> list[Entry]:
        sources: list[Iterable[bytes]] = [
            lines_of(each, self._collection.holes(each.name)) for each in self._collection.segments
        ]
        if with_originals:
            found = cdxj_lines(self._scratch / ORIGINALS_NAME)
            sources.append(sorted(line.to_text().encode() + b"\n" for line in found))
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
            pages = (Page(*each) for each in found)
            with self._writing("pages.jsonl") as stream:
                first = itertools.islice(pages, FIRST_PAGES)
                stream.writelines(page_lines("Pages", first, "pages"))
            more = next(pages, None)
            yield self._derived(wacz.PAGES_NAME, "pages.jsonl")
            if more is not None:
                with self._writing("extraPages.jsonl") as stream:
                    others = itertools.chain((more,), pages)
                    rest = page_lines("More pages", others, "extra-pages")
                    for line in rest:
                        stream.write(line)
                        self._watch(len(line))
                yield self._derived(wacz.MORE_PAGES_NAME, "extraPages.jsonl")

    # -- files -------------------------------------------------------------------------------

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
            while piece := stream.read(1 << 20):
                crc32 = zlib.crc32(piece, crc32)
                digest.update(piece)
                size += len(piece)
        parts = (Part(size, derived=file_name),)
        return Entry(name, parts, size, crc32, digest.hexdigest())
