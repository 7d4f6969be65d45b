"""Indexing a job: its sealed segments become CDXJ files, captures, snapshots and searchable pages.

Segment by segment and batch by batch, each batch first in the database and then in the index, and
a segment marked only after both: an attempt that dies is repeated from its last marked segment,
and repeating changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from healtharchive.model.captures import (
    Capture,
    SegmentToIndex,
    Snapshot,
    Stored,
    is_indexed_by,
    mark_indexed,
    segments_to_index,
    store,
)
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import Actor
from healtharchive.model.layout import CDX_NAME, cdxj_name
from healtharchive.model.orders import IndexOrder, Report, SealedSegment
from healtharchive.model.pictures import Picture
from healtharchive.model.progress import note_segments
from healtharchive.search.extract import PageText
from healtharchive.search.harvest import Harvest, harvest
from healtharchive.search.index import SearchIndex
from healtharchive.search.indexed import indexed_page, put_shown
from healtharchive.search.manifest import manifest
from healtharchive.search.originals import page_of_payload
from healtharchive.search.payloads import PAYLOADS_NAME, Payload, Payloads
from healtharchive.search.writing import Turn
from healtharchive.warc.cdxj import write_cdxj
from healtharchive.warc.companions import Companions
from healtharchive.warc.digest import crc32_file
from healtharchive.warc.reader import BadRecord, read_records

BATCH_CAPTURES = 500
BATCH_CHARS = 16_000_000
NAMED_IN_EVENT = 20  # of the records that cannot be read; the rest is only counted

Facts = dict[str, str | int | float | bool | None]


@dataclass(slots=True)
class Tally:
    """What an attempt has done so far. `unreadable` counts records and pages without any text."""

    segments: int = 0
    captures: int = 0
    snapshots: int = 0
    unreadable: int = 0

    def facts(self) -> Facts:
        """As a report's evidence."""
        return {
            "segments": self.segments,
            "captures": self.captures,
            "snapshots": self.snapshots,
            "unreadable": self.unreadable,
        }


@dataclass(frozen=True, slots=True)
class Trouble:
    """One record that gave less than it should, named so that a person can look at it."""

    offset: int
    url: str
    reason: str


@dataclass(slots=True)
class _Batch:
    captures: list[Capture] = field(default_factory=list)
    pages: list[tuple[Capture, PageText]] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    revisits: list[Harvest] = field(default_factory=list)
    pictures: list[tuple[Capture, Picture]] = field(default_factory=list)
    chars: int = 0

    @property
    def full(self) -> bool:
        return len(self.captures) >= BATCH_CAPTURES or self.chars >= BATCH_CHARS

    def add(self, found: Harvest) -> None:
        self.captures.append(found.capture)
        self.pictures += [(found.capture, picture) for picture in found.pictures]
        if found.page is not None and found.page.text:
            self.pages.append((found.capture, found.page))
            self.chars += len(found.page.text)
        if found.payload is not None:
            self.payloads.append(found.payload)
        if found.kind and found.capture.record_type == "revisit":
            self.revisits.append(found)


@dataclass(frozen=True, slots=True)
class Tools:
    """What an attempt works with. `check` raises when it is time to stop."""

    database: Database
    index: SearchIndex
    actor: Actor
    report: Callable[[Report], None]
    check: Callable[[], None]


def index_job(order: IndexOrder, tools: Tools, unlisted: Sequence[SealedSegment] = ()) -> Tally:
    """Index what is not indexed of a job's sealed segments: those in its manifest and `unlisted`.

    LeaseLost when the job has another token by now; OSError and database errors pass through, and
    so does what `check` raises.
    """
    output = Path(order.output_dir)
    with tools.database.begin() as connection:
        job = get_job(connection, order.job_id)
        sealed = [*manifest(output), *unlisted]
        note_segments(tools.database, connection, job.id, order.fence, sealed, actor=tools.actor)
        waiting = segments_to_index(connection, job.id)
    tools.report(Report("started", evidence={"segments": len(waiting)}))
    payloads = Payloads(output.parent / PAYLOADS_NAME)
    tally = Tally()
    try:
        for segment in waiting:
            _Segment(order, job, segment, tools, payloads, tally).index()
    finally:
        payloads.close()
    return tally


class _Segment:
    """The indexing of one WARC file."""

    def __init__(
        self,
        order: IndexOrder,
        job: Job,
        segment: SegmentToIndex,
        tools: Tools,
        payloads: Payloads,
        tally: Tally,
    ) -> None:
        self._order = order
        self._job = job
        self._segment = segment
        self._tools = tools
        self._payloads = payloads
        self._tally = tally
        self._troubles: list[Trouble] = []
        self._unreadable = 0
        self._captures = 0
        self._snapshots = 0
        self._later: list[Harvest] = []  # revisits of what is not indexed yet

    def index(self) -> None:
        """Do all of it, and mark the segment."""
        path = Path(self._segment.path)
        self._write_cdxj(path)
        batch = _Batch()
        for found in self._harvests(path):
            batch.add(found)
            if batch.full:
                self._commit(batch)
                batch = _Batch()
        self._commit(batch)
        self._add_late_revisits()
        self._mark(crc32_file(path))

    def _write_cdxj(self, path: Path) -> None:
        directory = Path(self._order.output_dir) / CDX_NAME
        directory.mkdir(parents=True, exist_ok=True)

        def bad(record: BadRecord) -> None:
            self._tools.check()
            self._name_trouble(record.offset, record.target_uri, record.reason)

        write_cdxj(path, directory / cdxj_name(self._segment.name), on_bad=bad)

    def _harvests(self, path: Path) -> Iterator[Harvest]:
        companions = Companions()
        for record in read_records(path):
            self._tools.check()
            if isinstance(record, BadRecord):
                continue  # named already, by the CDXJ's reading
            companions.note(record)
            try:
                found = harvest(record, companions)
            except BadInput as error:
                self._name_trouble(record.offset, record.target_uri, error.what)
                continue
            if found is None:
                continue
            if found.page is not None and found.page.problem:
                lost = not found.page.text
                self._name_trouble(record.offset, record.target_uri, found.page.problem, lost=lost)
            yield found

    def _commit(self, batch: _Batch) -> None:
        """The batch in the database, the source's payloads, and the index, in this order."""
        if not batch.captures:
            return
        self._add_revisits(batch)
        stored = self._store(batch.captures, batch.pages, batch.pictures)
        self._payloads.add(batch.payloads)
        self._put(stored, batch.pages)
        self._captures += len(batch.captures)
        self._tally.captures += len(batch.captures)
        self._tools.report(Report("progress", evidence=self._tally.facts()))

    def _store(
        self,
        captures: list[Capture],
        pages: list[tuple[Capture, PageText]],
        pictures: Sequence[tuple[Capture, Picture]] = (),
    ) -> Stored:
        snapshots = [
            Snapshot(capture, page.title, page.language[:8], len(page.text), page.digest)
            for capture, page in pages
        ]
        with self._tools.database.begin() as connection:
            return store(
                self._tools.database,
                connection,
                self._job,
                self._order.fence,
                self._segment,
                captures,
                snapshots,
                pictures,
            )

    def _put(self, stored: Stored, pages: list[tuple[Capture, PageText]]) -> None:
        found = [
            indexed_page(self._job, self._segment.name, stored, capture, page)
            for capture, page in pages
        ]
        put_shown(self._tools.database, self._tools.index, found, self._turn())
        self._snapshots += len(found)
        self._tally.snapshots += len(found)

    def _turn(self) -> Turn:
        tools = self._tools

        def is_over(job_id: int, fence: int) -> bool:
            with tools.database.read() as connection:
                return not is_indexed_by(connection, job_id, fence)

        def tell(pid: int) -> None:
            what = f"ended process {pid} of an earlier attempt, which still held the search index"
            tools.report(Report("note", what=what, evidence={"pid": pid}))

        return Turn(self._order.job_id, self._order.fence, is_over, tools.check, tell)

    # -- revisits ----------------------------------------------------------------------------

    def _add_revisits(self, batch: _Batch) -> None:
        """Give the batch's revisits the text that their payload had when it was captured."""
        if not batch.revisits:
            return
        texts: dict[str | None, PageText] = {
            capture.payload_digest: page for capture, page in batch.pages if capture.payload_digest
        }
        missing = [r for r in batch.revisits if r.capture.payload_digest not in texts]
        digests = [r.capture.payload_digest for r in missing if r.capture.payload_digest]
        for digest, page in self._tools.index.with_payloads(digests).items():
            texts[digest] = page.page_text
        for revisit in batch.revisits:
            page_text = texts.get(revisit.capture.payload_digest)
            if page_text is None:
                self._later.append(revisit)
            else:
                batch.pages.append((revisit.capture, page_text))

    def _add_late_revisits(self) -> None:
        """Those whose text is not in the index: it is read off the record they refer to."""
        pages: list[tuple[Capture, PageText]] = []
        chars = 0
        for revisit in self._later:
            self._tools.check()
            digest, url = revisit.capture.payload_digest, revisit.capture.url
            page = (
                page_of_payload(self._tools.database, digest, revisit.kind, url) if digest else None
            )
            if page is None:
                self._name_orphan(revisit.capture)
            elif page.text:
                pages.append((revisit.capture, page))
                chars += len(page.text)
            if chars >= BATCH_CHARS:
                self._put(self._store([capture for capture, _ in pages], pages), pages)
                pages, chars = [], 0
        if pages:
            self._put(self._store([capture for capture, _ in pages], pages), pages)

    def _name_orphan(self, revisit: Capture) -> None:
        reason = "the payload that this revisit refers to is not in the archive"
        self._name_trouble(revisit.record_offset, revisit.url, reason)

    # -- the end -----------------------------------------------------------------------------

    def _name_trouble(
        self, offset: int, url: str | None, reason: str, *, lost: bool = True
    ) -> None:
        """Count and name a record; one that is only read in part is not counted."""
        self._unreadable += lost
        self._tally.unreadable += lost
        if len(self._troubles) < NAMED_IN_EVENT:
            self._troubles.append(Trouble(offset, url or "", reason))
        what = "a record cannot be read" if lost else "a record was read in part"
        facts: Facts = {"segment": self._segment.name, "offset": offset, "url": url}
        self._tools.report(Report("note", what=what, reason=reason, evidence=facts))

    def _mark(self, crc32: int) -> None:
        evidence = {
            "job": self._job.id,
            "captures": self._captures,
            "snapshots": self._snapshots,
            "unreadable": self._unreadable,
            "named": [
                {"offset": each.offset, "url": each.url, "reason": each.reason}
                for each in self._troubles
            ],
        }
        with self._tools.database.begin() as connection:
            mark_indexed(
                self._tools.database,
                connection,
                self._job,
                self._order.fence,
                self._segment,
                crc32=crc32,
                unreadable=self._unreadable,
                evidence=evidence,
                actor=self._tools.actor,
            )
        self._tally.segments += 1
